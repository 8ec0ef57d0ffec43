import { describe, expect, test } from 'vitest';
import { receiptsOf } from '../../src/activities/receipts.ts';
import type { RecordOutcomeInput, StepProgress } from '../../src/orchestrations/activities.ts';
import type { EventRecord } from '../../src/store/inbox.ts';

const at = Date.parse('2026-11-24T10:01:00Z');
const synced = (webuiKey: string, token: string) => ({
  versions: {},
  synced: {
    'open-webui-secrets': {
      resourceVersion: '77',
      keys: { WEBUI_SECRET_KEY: { secret: 'webui-secret-key', version: webuiKey } },
    },
    'cloudflared-token': {
      resourceVersion: '78',
      keys: { TUNNEL_TOKEN: { secret: 'cf-tunnel-token', version: token } },
    },
  },
});
const step = (key: StepProgress['key'], outputs: NonNullable<StepProgress['outputs']>): StepProgress => ({
  key,
  state: 'ready',
  did: 'repaired',
  looks: 1,
  outputs,
  startedAt: at - 30_000,
});
const input = (webuiKey: string, token: string): RecordOutcomeInput => ({
  deployment: 'chat',
  run: 'run',
  operations: [{ id: 'op' }],
  at,
  isSweep: false,
  before: { 'kubernetes/external-secrets': { outputs: synced('1', '1'), readyAt: 0 } },
  found: [
    step('kubernetes/external-secrets', synced(webuiKey, token)),
    step('kubernetes/open-webui', { image: 'i', revision: '4', pods: ['a', 'b'] }),
    step('kubernetes/cloudflared', { image: 'i', revision: '2', pods: ['c'] }),
  ],
});
const told = (subject: string, version: string): EventRecord => ({
  id: `${subject} ${version}`,
  deployment: 'chat',
  type: 'Microsoft.KeyVault.SecretNewVersionCreated',
  source: 's',
  subject,
  version,
  what: subject,
  look: [],
  occurredAt: '2026-11-24T10:00:15Z',
  receivedAt: '2026-11-24T10:00:16Z',
  outcome: 'acted',
});

describe('a receipt', () => {
  test('names vault version, Secret, rollout and pods, and the time since the event', () => {
    expect(receiptsOf(input('2', '1'), [told('webui-secret-key', '2')])).toEqual([
      {
        secret: 'webui-secret-key',
        version: '2',
        kubernetesSecret: { name: 'open-webui-secrets', resourceVersion: '77' },
        workloads: [{ name: 'open-webui', revision: '4', pods: ['a', 'b'] }],
        seconds: 45,
      },
    ]);
  });

  test('is left for a version that no event told of, from when it was first looked at', () => {
    expect(receiptsOf(input('1', '2'), [])).toMatchObject([
      { secret: 'cf-tunnel-token', version: '2', workloads: [{ name: 'cloudflared' }], seconds: 30 },
    ]);
  });

  test('says which version an event told of that was overtaken', () => {
    const events = [told('webui-secret-key', '2'), told('webui-secret-key', '3')];
    expect(receiptsOf(input('3', '1'), events)).toMatchObject([
      { version: '3' },
      { version: '3', announcedVersion: '2' },
    ]);
  });

  test('is not left for what nothing has become of', () => {
    expect(receiptsOf(input('1', '1'), [])).toEqual([]);
    expect(receiptsOf({ ...input('2', '1'), operations: [] }, [told('webui-secret-key', '2')])).toEqual([]);
    expect(receiptsOf(input('2', '1'), [told('somebody-elses', '9')])).toHaveLength(1);
  });
});
