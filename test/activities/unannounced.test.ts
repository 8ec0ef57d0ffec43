import { describe, expect, test } from 'vitest';
import { unannounced } from '../../src/activities/unannounced.ts';
import type { StepProgress } from '../../src/orchestrations/activities.ts';
import type { EventRecord } from '../../src/store/inbox.ts';

const lastGood = Date.parse('2026-11-24T10:00:00Z');
const event = (subject: string, minutes: number, version?: string): EventRecord => {
  const at = new Date(lastGood + minutes * 60_000).toISOString();
  return {
    id: subject,
    deployment: 'chat',
    type: 't',
    source: 's',
    subject,
    ...(version === undefined ? {} : { version }),
    what: subject,
    look: [],
    occurredAt: at,
    receivedAt: at,
    outcome: 'acted',
  };
};
const step = (more: Partial<StepProgress>): StepProgress => ({
  key: 'azure/node-identity',
  state: 'ready',
  did: 'nothing',
  looks: 1,
  ...more,
});
const lacking = (...names: string[]): StepProgress =>
  step({
    did: 'repaired',
    differed: names.map((name) => ({
      path: `${name}.identity.userAssignedIdentities`,
      at: lastGood + 5 * 60_000,
    })),
  });
const knownNodes = { 'azure/node-identity': { outputs: { scaleSets: [] }, readyAt: lastGood } };
const scaleSet = (name: string): string =>
  `/subscriptions/s/resourcegroups/MC_g/providers/Microsoft.Compute/virtualMachineScaleSets/${name}`;

describe('a scale set that had lost the identity', () => {
  test('counts when no event told of it, each by itself', () => {
    const found = [lacking('aks-a-1-vmss', 'aks-b-1-vmss')];
    expect(unannounced(knownNodes, found, [])).toHaveLength(2);
    expect(unannounced(knownNodes, found, [event(scaleSet('aks-a-1-vmss'), 1)])).toEqual([
      { resource: 'azure/node-identity', what: 'aks-b-1-vmss' },
    ]);
  });

  test('counts when the only event came before it was last found as asked', () => {
    expect(
      unannounced(knownNodes, [lacking('aks-a-1-vmss')], [event(scaleSet('aks-a-1-vmss'), -1)]),
    ).toHaveLength(1);
  });

  test('does not count when an event told of its pool, in whatever case', () => {
    const told = event('/subscriptions/s/resourceGroups/g/providers/x/managedClusters/c/agentPools/A', 1);
    expect(unannounced(knownNodes, [lacking('aks-a-1-vmss')], [told])).toEqual([]);
  });

  test('counts although the echo of the repair has come since', () => {
    const echo = event(scaleSet('aks-a-1-vmss'), 6);
    expect(unannounced(knownNodes, [lacking('aks-a-1-vmss')], [echo])).toHaveLength(1);
  });

  test('counts each when none of them had it', () => {
    const scaleSets = { scaleSets: ['aks-a-1-vmss', 'aks-b-1-vmss'] };
    const known = { 'azure/node-identity': { outputs: scaleSets, readyAt: lastGood } };
    const none = step({ did: 'created', outputs: scaleSets, startedAt: lastGood + 5 * 60_000 });
    expect(unannounced(known, [none], [event(scaleSet('aks-a-1-vmss'), 1)])).toHaveLength(1);
  });

  test('does not count while the stack is being made', () => {
    expect(unannounced({}, [lacking('aks-a-1-vmss')], [])).toEqual([]);
  });
});

describe('an image and a secret', () => {
  const digest = (letter: string): string => `sha256:${letter.repeat(64)}`;
  const before = {
    'azure/images': { outputs: { openWebui: `acr/open-webui@${digest('a')}`, redis: '' }, readyAt: lastGood },
    'azure/webui-secret-key': {
      outputs: { secret: { vaultUrl: 'v', name: 'webui-secret-key', version: '1' } },
      readyAt: lastGood,
    },
  };
  const images = step({
    key: 'azure/images',
    outputs: { openWebui: `acr/open-webui@${digest('b')}`, redis: '' },
  });
  const secret = (did: StepProgress['did'] = 'nothing') =>
    step({
      key: 'azure/webui-secret-key',
      did,
      outputs: { secret: { vaultUrl: 'v', name: 'webui-secret-key', version: '2' } },
    });

  test('count when what they are now was not told', () => {
    expect(unannounced(before, [images, secret()], []).map(({ what }) => what)).toEqual([
      `openWebui ${digest('b')}`,
      'webui-secret-key 2',
    ]);
  });

  test('do not count when exactly that was told', () => {
    const events = [event('open-webui:v1', 1, digest('b')), event('webui-secret-key', 1, '2')];
    expect(unannounced(before, [images, secret()], events)).toEqual([]);
  });

  test('count when another version was told', () => {
    expect(unannounced(before, [secret()], [event('webui-secret-key', 1, '1')])).toHaveLength(1);
  });

  test('do not count when they are as they were, or when we have made them', () => {
    const same = step({ key: 'azure/images', outputs: before['azure/images'].outputs });
    expect(unannounced(before, [same, secret('created')], [])).toEqual([]);
  });
});
