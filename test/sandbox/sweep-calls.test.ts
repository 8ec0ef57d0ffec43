/** What one sweep of a stack that is as asked costs, against a look at everything that takes nothing from a list. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { isMutation, type RecordedCall, type Sample, startSample } from './sample.ts';
import { ownCalls, position, quiet, sweep } from './sweep.ts';

let sample: Sample;
beforeAll(async () => {
  sample = await startSample({ speed: 60 });
  expect((await sample.ask()).failure).toBeUndefined();
}, 240_000);
afterAll(async () => {
  await sample?.stop();
});

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
  await quiet(sample);
  const first = await position(sample);
  await sample.ask();
  await quiet(sample);
  const asked = await ownCalls(sample, first);
  const second = await position(sample);
  await sweep(sample);
  const swept = await ownCalls(sample, second);
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
