import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type {
  Dependencies,
  DependencyOutputs,
  Observed,
  Outputs,
  Resource,
} from '../../../src/graph/resource.ts';
import { cloudflared } from '../../../src/resources/kubernetes/cloudflared.ts';
import { namespace } from '../../../src/resources/kubernetes/namespace.ts';
import { ollama } from '../../../src/resources/kubernetes/ollama.ts';
import { openWebui } from '../../../src/resources/kubernetes/open-webui.ts';
import { redis } from '../../../src/resources/kubernetes/redis.ts';
import { noWishes, type Scope, type Workload, workloads } from '../../../src/resources/scope.ts';
import { specOf } from '../spec.ts';
import { surroundings } from '../surroundings.ts';
import { type AnApiServer, startApiServer } from './an-api-server.ts';
import { known } from './known-outputs.ts';

type AnyResource = Resource<Scope, Dependencies, Outputs>;
const RESTARTED_AT = 'kubectl.kubernetes.io/restartedAt';
const resources = { 'open-webui': openWebui, ollama, cloudflared, redis } as unknown as Readonly<
  Record<Workload, AnyResource>
>;
const deps = known as unknown as DependencyOutputs<Dependencies>;

let server: AnApiServer;
const scope = (restartAfter: Partial<Record<Workload, string>> = {}): Scope => ({
  ...specOf(),
  clients: server.clients,
  now: new Date(),
  ...surroundings(),
  wishes: { ...noWishes, restartAfter },
});
async function push(resource: AnyResource, given: Scope): Promise<Observed<Outputs>> {
  const seen = await resource.observe(given, deps);
  if (['absent', 'drifted', 'failed'].includes(seen.state)) await resource.ensure(given, deps, seen);
  return seen;
}
const reference = (name: Workload) => ({
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  name,
  namespace: 'open-webui',
});
interface Found {
  readonly metadata: { readonly generation: number };
  readonly spec: {
    readonly template: { readonly metadata: { readonly annotations?: Readonly<Record<string, string>> } };
  };
}
const find = async (name: Workload): Promise<Found> =>
  (await server.api.find(reference(name))) as unknown as Found;
const restartedAt = async (name: Workload): Promise<string | undefined> =>
  (await find(name)).spec.template.metadata.annotations?.[RESTARTED_AT];
/** What `kubectl rollout restart` sends. */
const byHand = (name: Workload, time: string) =>
  server.api.mergePatch(reference(name), {
    spec: { template: { metadata: { annotations: { [RESTARTED_AT]: time } } } },
  });

beforeAll(async () => {
  server = await startApiServer();
  await namespace.ensure(scope(), {} as never, { state: 'absent' });
  for (const name of workloads) await push(resources[name], scope());
});
afterAll(() => server.stop());
beforeEach(() => void server.writes());

describe('a restart', () => {
  test.each(workloads)('of %s changes its pod template once', async (name) => {
    const before = (await find(name)).metadata.generation;
    const wished = scope({ [name]: '2026-11-24T10:00:00.400Z' });
    await push(resources[name], wished);
    expect(await restartedAt(name)).toBe('2026-11-24T10:00:00Z');
    expect((await find(name)).metadata.generation).toBe(before + 1);
    server.writes();
    await push(resources[name], wished);
    expect(server.writes()).toEqual([]);
  });

  test('of one workload leaves the others alone', async () => {
    const time = '2026-11-24T10:00:00.400Z';
    const later = scope({ 'open-webui': time, cloudflared: time, redis: '2026-11-24T11:00:00Z' });
    for (const name of ['open-webui', 'cloudflared'] as const) await push(resources[name], later);
    expect(server.writes()).toEqual([]);
  });

  test('by hand, later than ours, is left as it is', async () => {
    await byHand('ollama', '2026-11-24T12:30:00+01:00');
    server.writes();
    await push(ollama as unknown as AnyResource, scope({ ollama: '2026-11-24T10:00:00.400Z' }));
    expect(server.writes()).toEqual([]);
    expect(await restartedAt('ollama')).toBe('2026-11-24T12:30:00+01:00');
  });

  test('asked for after one by hand is made', async () => {
    await push(ollama as unknown as AnyResource, scope({ ollama: '2026-11-24T13:00:00.000Z' }));
    expect(await restartedAt('ollama')).toBe('2026-11-24T13:00:00Z');
  });

  test('by hand is nothing to us while nobody has asked us for one', async () => {
    await push(redis as unknown as AnyResource, scope());
    await byHand('redis', '2026-11-24T14:00:00Z');
    server.writes();
    await push(redis as unknown as AnyResource, scope());
    expect(server.writes()).toEqual([]);
    expect(await restartedAt('redis')).toBe('2026-11-24T14:00:00Z');
  });
});
