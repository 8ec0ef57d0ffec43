import { RestError } from '@azure/core-rest-pipeline';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  type Channel,
  channels,
  type FindingChange,
  type Outbox,
  type PendingChange,
} from '../../src/notifications/change.ts';
import { type Delivery, deliver, isTimeToTry, type Teller } from '../../src/notifications/deliver.ts';
import { WebhookAnswer } from '../../src/notifications/refusal.ts';

const START = Date.UTC(2026, 10, 24, 10);
const minute = (minutes: number): Date => new Date(START + minutes * 60_000);
const change = (id: string, minutes = 0): FindingChange => ({
  id,
  deployment: 'chat',
  change: 'appeared',
  at: minute(minutes).toISOString(),
  finding: {
    id: 'server-stopped',
    resource: 'azure/postgres-server',
    severity: 'error',
    what: 'The server is stopped.',
    evidence: 'state Stopped',
    breaks: 'Nobody can sign in.',
    remedy: 'Start it.',
    since: minute(minutes).toISOString(),
  },
});

/** What waits, and what has been told; the outbox is a list for each channel. */
function anOutbox(changes: readonly FindingChange[]): Outbox {
  const waiting = new Map<Channel, PendingChange[]>(channels.map((channel) => [channel, [...changes]]));
  return {
    pending: async (channel, top) => (waiting.get(channel) ?? []).slice(0, top),
    settle: async (channel, settled) => {
      const ids = new Set(settled.map(({ id }) => id));
      waiting.set(
        channel,
        (waiting.get(channel) ?? []).filter(({ id }) => !ids.has(id)),
      );
    },
    rememberRefused: async (channel, { id }, refused) => {
      waiting.set(
        channel,
        (waiting.get(channel) ?? []).map((one) => (one.id === id ? { ...one, refused } : one)),
      );
    },
  };
}

describe('telling of changes', () => {
  test('reaches every channel once, in order', async () => {
    const outbox = anOutbox([change('one'), change('two')]);
    const told: string[] = [];
    const teller =
      (channel: Channel) =>
      async ({ id }: FindingChange): Promise<void> => {
        told.push(`${channel} ${id}`);
      };
    const tellers = { webhook: teller('webhook'), topic: teller('topic') };
    expect(await deliver(outbox, tellers, minute(1))).toMatchObject({ told: 4, failures: {} });
    expect(await deliver(outbox, tellers, minute(2))).toMatchObject({ told: 0 });
    expect(told.toSorted()).toEqual(['topic one', 'topic two', 'webhook one', 'webhook two']);
    expect(told.filter((line) => line.startsWith('webhook'))).toEqual(['webhook one', 'webhook two']);
  });

  test('a channel that does not answer holds up no other, and gets the same again', async () => {
    const outbox = anOutbox([change('one'), change('two')]);
    const told: string[] = [];
    let isDown = true;
    const tellers = {
      webhook: async ({ id }: FindingChange) => {
        if (isDown) throw new Error('the webhook answered 503');
        told.push(`webhook ${id}`);
      },
      topic: async ({ id }: FindingChange) => {
        told.push(`topic ${id}`);
      },
    };
    const first = await deliver(outbox, tellers, minute(1));
    expect(first).toMatchObject({ told: 2, failures: { webhook: new Error('the webhook answered 503') } });
    isDown = false;
    expect(await deliver(outbox, tellers, minute(2))).toMatchObject({ told: 2, failures: {} });
    expect(told).toEqual(['topic one', 'topic two', 'webhook one', 'webhook two']);
  });

  test('what is a day old is no news: it is given up, and said so', async () => {
    const outbox = anOutbox([change('old', -24 * 60 - 1), change('new')]);
    const told: string[] = [];
    const tellers = { webhook: async ({ id }: FindingChange) => void told.push(id) };
    const { givenUp } = await deliver(outbox, tellers, minute(0));
    expect(givenUp).toEqual([{ channel: 'webhook', change: change('old', -24 * 60 - 1) }]);
    expect(told).toEqual(['new']);
  });

  test('what happened before anybody listened is not told later', async () => {
    const outbox = anOutbox([change('one')]);
    await deliver(outbox, {}, minute(1));
    const told: string[] = [];
    await deliver(outbox, { topic: async ({ id }) => void told.push(id) }, minute(2));
    expect(told).toEqual([]);
  });

  test('whatever fails when, each change is taken once by each channel in the end', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.boolean(), { maxLength: 60 }), async (luck) => {
        const outbox = anOutbox([change('one'), change('two'), change('three')]);
        const left = [...luck];
        const taken: string[] = [];
        const teller = async ({ id }: FindingChange): Promise<void> => {
          if (left.pop() === false) throw new Error('not now');
          taken.push(id);
        };
        for (let passed = 1; passed < 24 * 60; passed += 1) {
          await deliver(outbox, { webhook: teller }, minute(passed));
        }
        expect(taken).toEqual(['one', 'two', 'three']);
      }),
      { numRuns: 20 },
    );
  });

  test('is tried each minute at first, then every tenth', () => {
    const tries = Array.from({ length: 60 }, (_, passed) => passed).filter((passed) =>
      isTimeToTry(passed * 60_000),
    );
    expect(tries).toEqual([...Array(15).keys(), 20, 30, 40, 50]);
  });
});

const refusalBy: Readonly<Record<Channel, (status: number) => Error>> = {
  webhook: (status) => new WebhookAnswer(status),
  topic: (status) => new RestError('refused', { statusCode: status }),
};

describe.each(channels)('a %s that refuses a change', (channel) => {
  interface Minute extends Delivery {
    readonly passed: number;
    readonly tried: readonly string[];
  }

  /** One receiver, for a number of minutes; `answerTo` tells how it fails, if it does. */
  async function pass(
    minutes: number,
    answerTo: (id: string, passed: number) => Error | undefined,
    outbox = anOutbox([change('one'), change('two'), change('three'), change('four')]),
  ): Promise<Minute[]> {
    const all: Minute[] = [];
    for (let passed = 1; passed <= minutes; passed += 1) {
      const tried: string[] = [];
      const tell: Teller = async ({ id }) => {
        tried.push(id);
        const failure = answerTo(id, passed);
        if (failure) throw failure;
      };
      all.push({ ...(await deliver(outbox, { [channel]: tell }, minute(passed))), passed, tried });
    }
    return all;
  }

  const tries = (minutes: readonly Minute[]): [number, readonly string[]][] =>
    minutes.filter(({ tried }) => tried.length > 0).map(({ passed, tried }) => [passed, tried]);
  const givenUp = (minutes: readonly Minute[]): Delivery['givenUp'] =>
    minutes.flatMap((delivery) => delivery.givenUp);
  const always =
    (refused: string, failure: Error) =>
    (id: string): Error | undefined =>
      id === refused ? failure : undefined;

  test.each([400, 413, 422])(
    'with %i is asked three times, and then gets those behind it',
    async (status) => {
      const minutes = await pass(60, always('two', refusalBy[channel](status)));
      expect(tries(minutes)).toEqual([
        [1, ['one', 'two']],
        [6, ['two']],
        [11, ['two', 'three', 'four']],
      ]);
      expect(givenUp(minutes)).toEqual([
        { channel, change: expect.objectContaining(change('two')), refusedWith: status },
      ]);
      const failed = minutes.filter(({ failures }) => failures[channel] !== undefined);
      expect(failed.map(({ passed }) => passed)).toEqual([1, 6]);
    },
  );

  test('is asked three times an hour later, too, when tries are rare', async () => {
    const away = refusalBy[channel](503);
    const refused = refusalBy[channel](400);
    const minutes = await pass(120, (id, passed) =>
      passed < 60 ? away : id === 'two' ? refused : undefined,
    );
    expect(tries(minutes).filter(([passed]) => passed >= 60)).toEqual([
      [60, ['one', 'two']],
      [70, ['two']],
      [80, ['two', 'three', 'four']],
    ]);
  });

  test('but takes it a few minutes later has got everything, in order', async () => {
    const minutes = await pass(60, (id, passed) =>
      id === 'two' && passed < 6 ? refusalBy[channel](400) : undefined,
    );
    expect(tries(minutes)).toEqual([
      [1, ['one', 'two']],
      [6, ['two', 'three', 'four']],
    ]);
    expect(givenUp(minutes)).toEqual([]);
  });

  test.each([401, 403, 404, 407, 408, 409, 425, 429, 302, 500, 503])(
    'with %i holds up those behind it for a day: that is about the way or the moment',
    async (status) => {
      const minutes = await pass(24 * 60 + 1, always('two', refusalBy[channel](status)));
      expect(tries(minutes).slice(0, 3)).toEqual([
        [1, ['one', 'two']],
        [2, ['two']],
        [3, ['two']],
      ]);
      expect(minutes.flatMap(({ tried }) => tried).filter((id) => id === 'three')).toEqual([]);
      expect(givenUp(minutes).map(({ change: { id }, ...how }) => [id, how])).toEqual(
        ['two', 'three', 'four'].map((id) => [id, { channel }]),
      );
    },
  );

  test('that was away between its refusals has to refuse it three times still', async () => {
    const minutes = await pass(40, (id, passed) =>
      id === 'two' ? refusalBy[channel](passed === 1 || passed > 8 ? 400 : 503) : undefined,
    );
    expect(tries(minutes)).toEqual([
      [1, ['one', 'two']],
      [6, ['two']],
      [7, ['two']],
      [8, ['two']],
      [9, ['two']],
      [14, ['two', 'three', 'four']],
    ]);
  });

  test('is asked three times for each that it refuses', async () => {
    const refused = refusalBy[channel](400);
    const minutes = await pass(120, (id) => (['two', 'three'].includes(id) ? refused : undefined));
    const tried = Map.groupBy(
      minutes.flatMap((one) => one.tried),
      (id) => id,
    );
    expect([...tried].map(([id, all]) => [id, all.length])).toEqual([
      ['one', 1],
      ['two', 3],
      ['three', 3],
      ['four', 1],
    ]);
  });

  test('holds up no other channel', async () => {
    const outbox = anOutbox([change('one'), change('two')]);
    const other = channels.find((one) => one !== channel) ?? channel;
    const told: string[] = [];
    const tellers: Partial<Record<Channel, Teller>> = {
      [channel]: () => Promise.reject(refusalBy[channel](400)),
      [other]: async ({ id }: FindingChange) => void told.push(id),
    };
    await deliver(outbox, tellers, minute(1));
    expect(told).toEqual(['one', 'two']);
    expect(await outbox.pending(channel, 9)).toMatchObject([
      { id: 'one', refused: { times: 1 } },
      { id: 'two' },
    ]);
  });
});

describe('a refusal that is not the receiver’s', () => {
  const refusedByTheVault = new RestError('BadParameter', { statusCode: 400 });
  const refusedSignIn = Object.assign(new Error('invalid_request'), {
    name: 'AuthenticationError',
    statusCode: 400,
  });
  test.each([
    { channel: 'webhook' as const, failure: refusedByTheVault },
    { channel: 'topic' as const, failure: refusedSignIn },
    { channel: 'topic' as const, failure: new Error('no answer') },
    { channel: 'webhook' as const, failure: new Error('the webhook did not answer (TimeoutError)') },
  ])('gives up nothing on the $channel: $failure.message', async ({ channel, failure }) => {
    const outbox = anOutbox([change('one'), change('two')]);
    const tell: Teller = () => Promise.reject(failure);
    for (let passed = 1; passed < 60; passed += 1) {
      expect((await deliver(outbox, { [channel]: tell }, minute(passed))).givenUp).toEqual([]);
    }
    expect((await outbox.pending(channel, 9)).map(({ id }) => id)).toEqual(['one', 'two']);
  });
});
