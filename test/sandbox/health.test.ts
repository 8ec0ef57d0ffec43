/** The checks of a whole running stack, as the README shows them. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { settings } from '../../sandbox/cloud/bootstrap.ts';
import { callsSince, isMutation, type Sample, sampleName, startSample } from './sample.ts';

interface Health {
  readonly status: string;
  readonly checkedAt?: string;
  readonly findings: readonly { readonly id: string; readonly resource: string; readonly what: string }[];
  readonly systems: readonly {
    readonly system: string;
    readonly checks: readonly { readonly id: string; readonly state: string; readonly why?: string }[];
  }[];
}

describe('the health of a stack', () => {
  let sample: Sample;
  beforeAll(async () => {
    sample = await startSample({ speed: 60 });
    expect((await sample.ask()).failure).toBeUndefined();
  }, 180_000);
  afterAll(async () => {
    await sample?.stop();
  });

  const call = async (method: string, path: string) => {
    const { functions, functionsKey } = sample.sandbox.endpoints;
    const answer = await fetch(`${functions}/api/${path}`, {
      method,
      headers: { 'x-functions-key': functionsKey },
    });
    // biome-ignore lint/suspicious/noExplicitAny: looked into by the tests, which say what they expect
    return { status: answer.status, body: (await answer.json()) as any };
  };
  const health = async (): Promise<Health> => (await call('GET', `deployments/${sampleName}/health`)).body;
  /** Asks for a check, and answers what it found. */
  const check = async (): Promise<Health> => {
    const { status, body } = await call('POST', `deployments/${sampleName}/check`);
    expect(status).toBe(202);
    await expect
      .poll(async () => (await health()).checkedAt ?? '', { timeout: 60_000 })
      .satisfies((at: string) => at >= body.after);
    return health();
  };
  const told = async (): Promise<
    readonly { channel: string; event: { type: string; data: { id: string } } }[]
  > => (await (await fetch(`${sample.sandbox.endpoints.sandbox}/notifications`)).json()) as never;

  test('is good when nothing is wrong, every check having looked, without a write', async () => {
    const { next } = await callsSince(sample, 0);
    const seen = await check();
    const unknown = seen.systems.flatMap(({ checks }) => checks.filter(({ state }) => state !== 'ok'));
    expect(unknown).toEqual([]);
    expect(seen.findings).toEqual([]);
    expect(seen.status).toBe('healthy');
    const { calls } = await callsSince(sample, next);
    expect(calls.filter(isMutation)).toEqual([]);
  }, 120_000);

  test('the app itself is alive, and ready', async () => {
    expect((await call('GET', 'live')).status).toBe(200);
    expect(await call('GET', 'ready')).toMatchObject({ status: 200 });
  });

  test('names what is wrong first, tells it once on each channel, and tells when it is over', async () => {
    const server = (await sample.clouds.arm(
      `/subscriptions/${settings.subscriptionId}/resourceGroups/rg-openwebui/providers/Microsoft.DBforPostgreSQL/flexibleServers?api-version=2024-08-01`,
    )) as { body: { value: { id: string }[] } };
    const id = server.body.value[0]?.id ?? '';
    await sample.clouds.arm(`${id}/stop?api-version=2024-08-01`, { method: 'POST' });
    await expect
      .poll(async () => (await check()).findings[0]?.resource, { timeout: 60_000 })
      .toBe('azure/postgres-server');
    const [first] = (await check()).findings;
    const about = async () => (await told()).filter(({ event }) => event.data.id === first?.id);
    await expect
      .poll(async () => (await about()).map(({ channel }) => channel).toSorted(), { timeout: 60_000 })
      .toEqual(['topic', 'webhook']);
    await sample.clouds.arm(`${id}/start?api-version=2024-08-01`, { method: 'POST' });
    await expect.poll(async () => (await check()).findings, { timeout: 60_000 }).toEqual([]);
    await expect
      .poll(async () => (await about()).map(({ event }) => event.type.split('.').at(-1)).toSorted(), {
        timeout: 60_000,
      })
      .toEqual(['FindingAppeared', 'FindingAppeared', 'FindingCleared', 'FindingCleared']);
  }, 240_000);
});
