import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { recordSteps } from '../../src/activities/record-steps.ts';
import type { Notice } from '../../src/graph/finding.ts';
import type { StepProgress } from '../../src/orchestrations/activities.ts';
import type { Store } from '../../src/store/store.ts';
import { minimalSpec } from '../spec/minimal-spec.ts';
import { Azurite } from '../store/azurite.ts';

const NAME = 'chat';
const key = 'azure/cluster-version';
let azurite: Azurite;
let store: Store;
beforeAll(async () => {
  azurite = await Azurite.start();
  store = azurite.openStore();
  await store.putDeployment(NAME, minimalSpec, new Date('2026-11-24T10:00:00Z'));
});
afterAll(() => azurite.dispose());

const notice: Notice = {
  id: 'new-version',
  severity: 'info',
  what: 'Kubernetes 1.35 is offered',
  evidence: '1.34',
  breaks: 'nothing',
  remedy: 'change cluster.kubernetesVersion',
};
const record = async (more: Partial<StepProgress>) => {
  const step: StepProgress = { key, state: 'ready', did: 'nothing', looks: 1, ...more };
  const answer = await recordSteps(store)({ deployment: NAME, operations: [], steps: [step] });
  expect(answer).toEqual({ ok: true });
  return store.findLook(NAME, key);
};

describe('what was noticed about a resource', () => {
  test('has been so since it was first noticed, however often it is looked at', async () => {
    const first = await record({ outputs: { version: '1.34' }, notices: [notice] });
    const since = first?.findings?.[0]?.since;
    expect(first?.findings).toEqual([{ ...notice, resource: key, since: expect.any(String) }]);
    await record({ state: 'pending' });
    const again = await record({ outputs: { version: '1.34' }, notices: [notice] });
    expect(again?.findings?.[0]?.since).toBe(since);
  });

  test('stays known, with what the resource told, while it is being looked at again', async () => {
    await record({ outputs: { version: '1.34' }, notices: [notice] });
    const meanwhile = await record({ state: 'pending' });
    expect(meanwhile).toMatchObject({ state: 'pending', outputs: { version: '1.34' } });
    expect(meanwhile?.findings).toHaveLength(1);
  });

  test('goes when it is no longer so', async () => {
    await record({ outputs: { version: '1.34' }, notices: [notice] });
    expect(await record({ outputs: { version: '1.35' } })).not.toHaveProperty('findings');
  });

  test('is why a step that is left alone counts as ready all the same', async () => {
    const paused = {
      ...notice,
      id: 'drift-paused',
      what: 'Settings: data is not as asked, and automation is paused.',
    };
    const held = await record({ outputs: {}, held: ['data'], notices: [paused] });
    expect(held).toMatchObject({ state: 'ready', reason: paused.what });
    expect(await record({ outputs: {} })).not.toHaveProperty('reason');
  });

  test('is told once where the failure names the resource itself', async () => {
    const failure = { kind: 'fatal', code: 'HeldBack', message: 'Kubernetes version is gone' } as const;
    const failed = await record({ state: 'failed', failure });
    expect(failed?.findings).toMatchObject([{ what: 'Kubernetes version is gone' }]);
  });

  test('is its failure, too, in plain words', async () => {
    const failure = { kind: 'fatal', code: 'NodeResourceGroupLocked', message: 'AKS locks it' } as const;
    const failed = await record({ state: 'failed', failure });
    expect(failed?.findings).toEqual([
      expect.objectContaining({
        id: 'NodeResourceGroupLocked',
        severity: 'error',
        what: 'Kubernetes version: AKS locks it',
        resource: key,
      }),
    ]);
  });
});

test('when and under which wish it was last as asked stays known while it is looked at again, and when it fails', async () => {
  const seenAt = Date.parse('2026-11-24T12:00:00Z');
  const failure = { kind: 'fatal', code: 'Gone', message: 'it is gone' } as const;
  await record({ outputs: { version: '1.34' }, wish: 'mark', seenAt });
  for (const more of [{ state: 'pending' }, { state: 'failed', failure }] as const) {
    expect(await record(more)).toMatchObject({ wish: 'mark', seenAt: '2026-11-24T12:00:00.000Z' });
  }
});
