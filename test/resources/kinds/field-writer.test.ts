import { describe, expect, test } from 'vitest';
import { writerOf } from '../../../src/resources/kinds/field-writer.ts';

const replicas = { 'f:spec': { 'f:replicas': {} } };
const object = (...managedFields: readonly unknown[]) => ({
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name: 'open-webui', managedFields },
});
const at = (time: string) => `2026-11-24T${time}Z`;

describe('who wrote a field', () => {
  test('is the manager that owns it and wrote last, and not we', () => {
    const found = object(
      { manager: 'open-webui-control-plane', operation: 'Apply', time: at('12:00:00'), fieldsV1: replicas },
      { manager: 'kubectl-scale', operation: 'Update', time: at('10:00:00'), fieldsV1: replicas },
      { manager: 'kubectl-edit', operation: 'Update', time: at('11:00:00'), fieldsV1: replicas },
      { manager: 'argocd', operation: 'Update', time: at('13:00:00'), fieldsV1: { 'f:status': {} } },
    );
    expect(writerOf(found, 'spec.replicas')).toEqual({
      name: 'kubectl-edit',
      at: at('11:00:00'),
    });
  });

  test('is found through lists by name and through names with dots', () => {
    const fieldsV1 = {
      'f:metadata': { 'f:annotations': { '.': {}, 'f:reloader.stakater.com/auto': {} } },
      'f:spec': {
        'f:template': {
          'f:spec': {
            'f:containers': {
              'k:{"name":"open-webui"}': { '.': {}, 'f:resources': { 'f:limits': { 'f:cpu': {} } } },
              'k:{"name":"sidecar"}': { '.': {}, 'f:image': {} },
            },
          },
        },
      },
    };
    const found = object({ manager: 'kubectl', fieldsV1 });
    const container = 'spec.template.spec.containers.open-webui';
    expect(writerOf(found, `${container}.resources.limits.cpu`)).toEqual({ name: 'kubectl' });
    expect(writerOf(found, 'metadata.annotations.reloader.stakater.com/auto')).toEqual({
      name: 'kubectl',
    });
    expect(writerOf(found, `${container}.image`)).toBeUndefined();
  });

  test('is found through lists that the server knows by other fields than the name', () => {
    const http = 'k:{"port":81,"protocol":"TCP"}';
    const fieldsV1 = { 'f:spec': { 'f:ports': { [http]: { '.': {}, 'f:port': {} } } } };
    const ports = [
      { name: 'metrics', port: 9090, protocol: 'TCP' },
      { name: 'http', port: 81, protocol: 'TCP' },
    ];
    const found = { ...object({ manager: 'kubectl', fieldsV1 }), spec: { ports } };
    expect(writerOf(found, 'spec.ports.http.port')).toEqual({ name: 'kubectl' });
    expect(writerOf(found, 'spec.ports.metrics.port')).toBeUndefined();
  });

  test('is who owns the list or map that the field is part of as a whole', () => {
    const found = object({ manager: 'kubectl', fieldsV1: { 'f:spec': { 'f:selector': {} } } });
    expect(writerOf(found, 'spec.selector.app')).toEqual({ name: 'kubectl' });
  });

  test('is nobody when the object does not tell', () => {
    expect(writerOf(object(), 'spec.replicas')).toBeUndefined();
    expect(writerOf(object('nonsense', { manager: 1 }), 'spec.replicas')).toBeUndefined();
  });
});
