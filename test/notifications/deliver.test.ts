import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Channel, channels, type FindingChange, type Outbox } from '../../src/notifications/change.ts';
import { deliver, isTimeToTry } from '../../src/notifications/deliver.ts';

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
  const waiting = new Map<Channel, FindingChange[]>(channels.map((channel) => [channel, [...changes]]));
  return {
    pending: async (channel, top) => (waiting.get(channel) ?? []).slice(0, top),
    settle: async (channel, settled) => {
      const ids = new Set(settled.map(({ id }) => id));
      waiting.set(
        channel,
        (waiting.get(channel) ?? []).filter(({ id }) => !ids.has(id)),
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
    expect(givenUp.map(({ id }) => id)).toEqual(['old']);
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
