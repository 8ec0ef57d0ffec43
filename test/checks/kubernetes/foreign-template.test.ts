import { describe, expect, test } from 'vitest';
import { putDownTo } from '../../../src/checks/kubernetes/foreign-template.ts';
import type { PodTrouble } from '../../../src/checks/kubernetes/pod-trouble.ts';
import { fieldManager } from '../../../src/naming.ts';

const pod = (spec: object) => ({ 'f:spec': { 'f:template': { 'f:spec': spec } } });
const container = (fields: object) => pod({ 'f:containers': { 'k:{"name":"ollama"}': fields } });
const deployment = (manager: string, fieldsV1: object) => ({
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name: 'ollama', managedFields: [{ manager, fieldsV1 }] },
  spec: { template: { spec: { containers: [{ name: 'ollama' }] } } },
});
const trouble = (id: string): PodTrouble => ({
  id,
  resource: 'azure/images',
  what: 'do not run',
  evidence: 'something',
  remedy: 'az something',
  cure: 'none',
});
const of = (manager: string, fieldsV1: object, id: string): PodTrouble =>
  putDownTo(deployment(manager, fieldsV1), 'kubernetes/ollama', trouble(id));

describe('trouble of pods is put down to their template', () => {
  const memory = container({ 'f:resources': { 'f:limits': { 'f:memory': {} } } });
  test.each([
    ['out-of-memory', memory, 'spec.template.spec.containers.ollama.resources'],
    ['insufficient-memory', memory, 'spec.template.spec.containers.ollama.resources'],
    ['no-matching-node', pod({ 'f:nodeSelector': { 'f:gpu': {} } }), 'spec.template.spec.nodeSelector'],
    ['untolerated-taint', pod({ 'f:tolerations': {} }), 'spec.template.spec.tolerations'],
    ['image-missing', container({ 'f:image': {} }), 'spec.template.spec.containers.ollama.image'],
    ['crashes', container({ 'f:args': {} }), 'spec.template.spec.containers.ollama.args'],
  ])('%s, where somebody else has written what it comes from', (id, fieldsV1, path) => {
    expect(of('kubectl-patch', fieldsV1, id)).toEqual({
      ...trouble(id),
      resource: 'kubernetes/ollama',
      evidence: `something; ${path} was set by kubectl-patch`,
      remedy: 'Have the control plane put back what was changed.',
      cure: 'repair',
    });
  });

  test('and to nothing else where the control plane has written it, or it is about something else', () => {
    expect(of(fieldManager, memory, 'out-of-memory')).toEqual(trouble('out-of-memory'));
    expect(of('kubectl-patch', memory, 'image-missing')).toEqual(trouble('image-missing'));
    expect(of('kubectl-patch', memory, 'nodes-cordoned')).toEqual(trouble('nodes-cordoned'));
  });
});
