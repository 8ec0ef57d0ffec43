/** What one sweep of a stack that is as asked costs, against a look at everything that takes nothing from a list. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { callsSince, isMutation, type RecordedCall, type Sample, sampleName, startSample } from './sample.ts';

let sample: Sample;
beforeAll(async () => {
  sample = await startSample({ speed: 60 });
  expect((await sample.ask()).failure).toBeUndefined();
}, 240_000);
afterAll(async () => {
  await sample?.stop();
});

const position = async (): Promise<number> => (await callsSince(sample, 0)).next;
const ours = async (mark: number): Promise<readonly RecordedCall[]> =>
  (await callsSince(sample, mark)).calls.filter(
    ({ caller, service }) => caller !== 'anonymous' && service !== 'site',
  );

/** Nothing is written any more, by anybody. */
async function quiet(): Promise<void> {
  await expect
    .poll(
      async () => {
        const mark = await position();
        await new Promise((resolve) => setTimeout(resolve, 1500));
        return (await ours(mark)).filter(isControlPlanes).length;
      },
      { timeout: 60_000, interval: 100 },
    )
    .toBe(0);
}

const isControlPlanes = ({ service, caller }: RecordedCall): boolean =>
  service === 'cloudflare' ? true : caller === 'id-openwebui-ctl';

const sweptAt = async (): Promise<string | undefined> =>
  ((await sample.api.deployment(sampleName)) as { sweptAt?: string }).sweptAt;

async function sweep(): Promise<void> {
  const before = await sweptAt();
  const { masterKey } = JSON.parse(readFileSync(join(sample.sandbox.directory, 'keys.json'), 'utf8')) as {
    masterKey: string;
  };
  const answer = await fetch(`${sample.sandbox.endpoints.functions}/admin/functions/sweep`, {
    method: 'POST',
    headers: { 'x-functions-key': masterKey, 'content-type': 'application/json' },
    body: '{}',
  });
  expect(answer.status).toBeLessThan(300);
  await expect.poll(sweptAt, { timeout: 60_000, interval: 100 }).not.toBe(before);
  await quiet();
}

const byService = (calls: readonly RecordedCall[]): Record<string, number> =>
  Object.fromEntries(
    Object.entries(Object.groupBy(calls, ({ service }) => service)).map(([service, some]) => [
      service,
      some?.length ?? 0,
    ]),
  );

test('a sweep writes nothing and asks the Resource Manager less than a look without lists', {
  timeout: 120_000,
}, async () => {
  await quiet();
  const first = await position();
  await sample.ask();
  await quiet();
  const asked = (await ours(first)).filter(isControlPlanes);
  const second = await position();
  await sweep();
  const swept = (await ours(second)).filter(isControlPlanes);
  console.info('asked for again', byService(asked), 'swept', byService(swept));
  console.info(
    swept
      .filter(({ service }) => service === 'arm')
      .map(({ method, path }) => `${method} ${path}`)
      .join('\n'),
  );
  expect(swept.filter(isMutation)).toEqual([]);
  expect(byService(swept)['arm']).toBeLessThan(byService(asked)['arm'] ?? 0);
});
