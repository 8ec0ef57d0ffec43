/** Of logs as a call: what one pod keeps from us is told of it alone. */
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { getLogs } from '../../src/api/get-logs.ts';
import type { Clients } from '../../src/clients/clients.ts';
import {
  type KubernetesApi,
  KubernetesError,
  type KubernetesObject,
} from '../../src/clients/kubernetes-api.ts';
import type { Store } from '../../src/store/store.ts';
import { minimalSpec } from '../spec/minimal-spec.ts';
import { Azurite } from '../store/azurite.ts';
import { type Answer, call } from './requests.ts';

let azurite: Azurite;
let store: Store;
beforeAll(async () => {
  azurite = await Azurite.start();
  store = azurite.openStore();
  await store.putDeployment('chat', minimalSpec, new Date('2026-11-24T10:00:00Z'));
});
afterAll(() => azurite.dispose());
afterEach(() => {
  vi.useRealTimers();
});

type Log = KubernetesApi['log'];

const pod = (name: string, minute: number): KubernetesObject => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, creationTimestamp: `2026-11-24T09:0${minute}:00Z` },
});
const listed = async (): Promise<readonly KubernetesObject[]> => [pod('one', 2), pod('other', 1)];

/** By the names of pods; those left out have written a line. */
const logs =
  (those: Readonly<Record<string, Log>>): Log =>
  async (which, options) =>
    those[which.name]?.(which, options) ?? `2026-11-24T09:30:00Z ${which.name} is well\n`;

function ask(log: Log, list: KubernetesApi['list'] = listed): Promise<Answer> {
  const kubernetes = { list, log } as Partial<KubernetesApi> as KubernetesApi;
  const handler = getLogs({
    store,
    wake: async () => undefined,
    clientsFor: () => ({ kubernetes: async () => kubernetes }) as Partial<Clients> as Clients,
  });
  const params = { name: 'chat', workload: 'open-webui' };
  return call(handler, 'GET', '/api/deployments/chat/logs/open-webui', params);
}

const other = { pod: 'other', lines: ['2026-11-24T09:30:00Z other is well'] };

describe('the log of a pod', () => {
  test.each([
    new KubernetesError(400, 'BadRequest', 'previous terminated container "open-webui" not found'),
    new KubernetesError(500, 'InternalError', 'error dialing backend: No agent available'),
    new KubernetesError(403, 'Forbidden', 'pods/log is forbidden'),
  ])('that cannot be read says why, and those of the others are told: $message', async (error) => {
    const { status, body } = await ask(logs({ one: () => Promise.reject(error) }));
    expect(status).toBe(200);
    expect(body.pods).toEqual([{ pod: 'one', lines: [], why: error.message }, other]);
  });

  test('that the client gave up on says so in words, too', async () => {
    const timeout = new DOMException('The operation was aborted due to timeout', 'TimeoutError');
    const { status, body } = await ask(logs({ one: () => Promise.reject(timeout) }));
    expect(status).toBe(200);
    expect(body.pods).toEqual([{ pod: 'one', lines: [], why: 'there was no answer in time' }, other]);
  });

  test('that does not come is not waited for for longer than fifteen seconds', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const hang = vi.fn<Log>(() => new Promise(() => undefined));
    const answer = ask(logs({ one: hang }));
    await vi.waitFor(() => expect(hang).toHaveBeenCalledOnce());
    await vi.advanceTimersByTimeAsync(15_000);
    const told = await Promise.race([answer, Promise.resolve('nothing was told')]);
    expect(told).toMatchObject({ status: 200, body: { pods: [{ pod: 'one', lines: [] }, other] } });
    expect((await answer).body.pods[0].why).toMatch(/did not come within \d+ seconds/);
  });

  test('is an error of ours where ours is the error', async () => {
    const { status, errors } = await ask(logs({ one: () => Promise.reject(new RangeError('ours')) }));
    expect(status).toBe(500);
    expect(errors).toHaveLength(1);
  });
});

test('pods that cannot be listed are an answer that the cluster did not give', async () => {
  const list = () => Promise.reject(new KubernetesError(500, 'InternalError', 'etcdserver: no leader'));
  const { status, body } = await ask(logs({}), list);
  expect(status).toBe(503);
  expect(body).toMatchObject({
    type: '/problems/not-answered',
    detail: 'InternalError: etcdserver: no leader',
  });
});
