/** One round of checks from the call that asks for it to the answer, on a host and a store that are real. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { HostProcess } from '../host/host-process.ts';
import { minimalSpec } from '../spec/minimal-spec.ts';
import { Azurite } from '../store/azurite.ts';

interface Health {
  readonly status: string;
  readonly checkedAt?: string;
  readonly findings: readonly { readonly id: string }[];
  readonly systems: readonly {
    readonly checks: readonly { readonly id: string; readonly state: string }[];
  }[];
}

const steering = mkdtempSync(join(tmpdir(), 'steering-'));
const names = ['one', 'two'];
let azurite: Azurite;
let host: HostProcess;
beforeAll(async () => {
  azurite = await Azurite.start();
  const store = azurite.openStore();
  for (const name of names) {
    await store.putDeployment(name, minimalSpec, new Date());
    await store.recordSteps(
      name,
      [],
      [
        {
          key: 'azure/resource-group',
          title: 'Resource group',
          ordinal: 0,
          state: 'ready',
          did: 'nothing',
          looks: 1,
          waitsFor: [],
        },
      ],
    );
  }
  host = await HostProcess.start(new URL('./check-app', import.meta.url).pathname, {
    environment: { AzureWebJobsStorage: azurite.connectionString, STEERING: steering },
  });
});
afterAll(async () => {
  await host.end();
  await azurite.dispose();
  rmSync(steering, { recursive: true });
});

const call = async <T>(method: string, path: string): Promise<T> => {
  const answer = await host.fetch(`/api/deployments/${path}`, {
    method,
    headers: { 'x-functions-key': host.ready.functionsKey },
  });
  expect(answer.status).toBeLessThan(300);
  return (await answer.json()) as T;
};
const health = (name: string): Promise<Health> => call('GET', `${name}/health`);
const check = (name: string): Promise<{ after: string; joined: boolean }> => call('POST', `${name}/check`);
const answerSince = async (name: string, after: string): Promise<Health> => {
  await expect
    .poll(async () => (await health(name)).checkedAt ?? '', { timeout: 20_000 })
    .satisfies((at: string) => at >= after);
  return health(name);
};
const put = (file: string): void => writeFileSync(join(steering, file), '');
const take = (file: string): void => rmSync(join(steering, file), { force: true });

describe('a round of checks', () => {
  test('tells what it found, and what it could not look at', async () => {
    put('stopped');
    const seen = await answerSince('one', (await check('one')).after);
    expect(seen.findings.map(({ id }) => id)).toEqual(['stopped']);
    expect(seen.systems.flatMap(({ checks }) => checks.map(({ id, state }) => `${id} ${state}`))).toEqual([
      'server-runs failing',
      'site-answers unknown',
    ]);
    take('stopped');
    expect((await answerSince('one', (await check('one')).after)).findings).toEqual([]);
  });

  test('is joined by who asks while it runs, and answers for them, too', async () => {
    put('slow');
    const first = await check('one');
    const second = await check('one');
    expect([first.joined, second.joined]).toEqual([false, true]);
    take('slow');
    const { checkedAt = '' } = await answerSince('one', second.after);
    expect(checkedAt >= second.after).toBe(true);
  });

  test('is begun for every deployment when it is time', async () => {
    const before = new Date().toISOString();
    const answer = await host.fetch('/admin/functions/checkAll', {
      method: 'POST',
      headers: { 'x-functions-key': host.ready.masterKey, 'content-type': 'application/json' },
      body: '{}',
    });
    expect(answer.status).toBe(202);
    for (const name of names) await answerSince(name, before);
  });

  test('is begun for one deployment after the other, and at once for whoever asks meanwhile', async () => {
    const begin = async (): Promise<string> => {
      const before = new Date().toISOString();
      await host.fetch('/admin/functions/checkAll', {
        method: 'POST',
        headers: { 'x-functions-key': host.ready.masterKey, 'content-type': 'application/json' },
        body: '{}',
      });
      return before;
    };
    const before = await begin();
    const { checkedAt = '' } = await answerSince('two', before);
    expect(Date.parse(checkedAt) - Date.parse(before)).toBeGreaterThanOrEqual(2_000);

    const beganEarly = async (): Promise<boolean> => {
      const again = await begin();
      await expect.poll(async () => (await check('two')).joined).toBe(true);
      await answerSince('two', again);
      const { historyEvents } = await host.status('check-two', '?showHistory=true');
      return !JSON.stringify(historyEvents).includes('TimerFired');
    };
    // Its turn comes after two seconds; on a busy machine that may be before anybody has asked.
    await expect.poll(beganEarly, { timeout: 25_000, interval: 100 }).toBe(true);
  });

  test('keeps its history short', async () => {
    const { historyEvents } = await host.status('check-one', '?showHistory=true');
    expect(historyEvents?.length).toBeLessThan(30);
  });
});
