import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { FindingChange, Refusals } from '../../src/notifications/change.ts';
import type { Store } from '../../src/store/store.ts';
import { Azurite } from './azurite.ts';

let azurite: Azurite;
let store: Store;
beforeAll(async () => {
  azurite = await Azurite.start();
  store = azurite.openStore();
});
afterAll(() => azurite.dispose());

const at = (time: string): string => `2026-11-24T${time}:00.000Z`;
const change = (id: string, time: string): FindingChange => ({
  id: `one/server-state/${id}`,
  deployment: 'one',
  change: 'appeared',
  at: at(time),
  finding: {
    id: 'server-stopped',
    resource: 'azure/postgres-server',
    severity: 'error',
    what: 'The server is stopped.',
    evidence: 'state Stopped',
    breaks: 'Nobody can sign in.',
    remedy: 'Start it.',
    since: at(time),
  },
});

describe('the outbox', () => {
  test('remembers what a receiver has refused, on its channel, until that is settled', async () => {
    const first = change('first', '10:00');
    const second = change('second', '10:05');
    await store.health.record('one', [], [second, first]);
    expect(await store.health.pending('webhook', 9)).toEqual([first, second]);

    const refused: Refusals = { times: 2, lastAt: at('10:06') };
    await store.health.rememberRefused('webhook', first, { times: 1, lastAt: at('10:01') });
    await store.health.rememberRefused('webhook', first, refused);
    const reopened = azurite.openStore();
    expect(await reopened.health.pending('webhook', 9)).toEqual([{ ...first, refused }, second]);
    expect(await reopened.health.pending('topic', 9)).toEqual([first, second]);
    expect(await reopened.health.history('one')).toEqual([second, first]);

    await store.health.settle('webhook', [first]);
    expect(await store.health.pending('webhook', 9)).toEqual([second]);
    expect(await store.health.pending('topic', 9)).toEqual([first, second]);
  });
});
