import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { EventRecord, Inbox, LookRequest } from '../../src/store/inbox.ts';
import { Azurite } from './azurite.ts';

let azurite: Azurite;
let inbox: Inbox;
beforeAll(async () => {
  azurite = await Azurite.start();
  inbox = azurite.openStore().inbox;
});
afterAll(() => azurite.dispose());

let count = 0;
function newDeployment(): string {
  count += 1;
  return `deployment-${count}`;
}

const at = (second: number): string => new Date(Date.UTC(2026, 10, 24, 10, 0, second)).toISOString();
const request = (deployment: string, id: string, second = 0): LookRequest => ({
  id,
  deployment,
  kind: 'provision',
  cause: { kind: 'request', what: `PUT /api/deployments/${deployment}` },
  look: 'all',
  requestedAt: at(second),
  operationId: id,
});
const event = (deployment: string, id: string, second = 0, more: Partial<EventRecord> = {}): EventRecord => ({
  id,
  deployment,
  type: 'Microsoft.KeyVault.SecretNewVersionCreated',
  source: '/subscriptions/s/vaults/v',
  subject: 'webui-secret-key',
  what: 'the secret webui-secret-key has a new version',
  look: ['azure/webui-secret-key'],
  occurredAt: at(second),
  receivedAt: at(second),
  outcome: 'pending',
  ...more,
});
const ids = (entries: readonly { readonly id: string }[]): string[] => entries.map(({ id }) => id);

describe('the inbox', () => {
  test('gives out what waits, oldest first, and each thing to one batch', async () => {
    const name = newDeployment();
    await inbox.putRequest(request(name, 'second', 2));
    await inbox.receiveEvent(event(name, 'first', 1));
    expect(ids(await inbox.take(name, 'run', 0))).toEqual(['first', 'second']);
    expect(await inbox.take(name, 'run', 1)).toEqual([]);
  });

  test('keeps what was put off until its time has come', async () => {
    const name = newDeployment();
    const inAnHour = new Date(Date.now() + 3_600_000).toISOString();
    await inbox.putRequest({ ...request(name, 'later', 1), notBefore: inAnHour });
    await inbox.putRequest({ ...request(name, 'due', 1), notBefore: at(1) });
    expect(ids(await inbox.take(name, 'run', 0))).toEqual(['due']);
    await inbox.settle(name, 'run', () => ({ outcome: 'acted', at: at(2) }));
    expect(ids(await inbox.take(name, 'other', 0))).toEqual([]);
  });

  test('answers the same when a batch is asked for again, and what has come since', async () => {
    const name = newDeployment();
    await inbox.putRequest(request(name, 'one', 1));
    const taken = await inbox.take(name, 'run', 0);
    await inbox.putRequest(request(name, 'two', 2));
    expect(await inbox.take(name, 'run', 0)).toEqual([...taken, request(name, 'two', 2)]);
  });

  test('gives to a new run what a dead one took and never settled', async () => {
    const name = newDeployment();
    await inbox.putRequest(request(name, 'one'));
    await inbox.take(name, 'dead', 0);
    expect(ids(await inbox.take(name, 'alive', 0))).toEqual(['one']);
  });

  test('does not mistake a run whose name begins with another for it', async () => {
    const name = newDeployment();
    await inbox.putRequest(request(name, 'one'));
    await inbox.take(name, 'run-1', 0);
    await inbox.settle(name, 'run', () => ({ outcome: 'acted', at: at(9) }));
    expect(ids(await inbox.take(name, 'other', 0))).toEqual(['one']);
  });

  test('keeps one request of an id, the latest', async () => {
    const name = newDeployment();
    await inbox.putRequest(request(name, 'sweep', 1));
    await inbox.putRequest(request(name, 'sweep', 2));
    expect(await inbox.take(name, 'run', 0)).toEqual([request(name, 'sweep', 2)]);
  });

  test('is one for each deployment', async () => {
    const [one, other] = [newDeployment(), newDeployment()];
    await inbox.putRequest(request(one, 'a'));
    expect(await inbox.take(other, 'run', 0)).toEqual([]);
  });
});

describe('what a run has taken', () => {
  test('is gone once settled, except for events, which tell what they led to', async () => {
    const name = newDeployment();
    await inbox.putRequest(request(name, 'asked'));
    await inbox.receiveEvent(event(name, 'happened', 1));
    await inbox.take(name, 'run', 0);
    const settled = await inbox.settle(name, 'run', () => ({
      outcome: 'acted',
      at: at(9),
      operationId: 'op',
    }));
    expect(settled).toEqual([
      { ...event(name, 'happened', 1), outcome: 'acted', operationId: 'op', provenAt: at(9) },
    ]);
    expect(await inbox.events(name, 10)).toEqual(settled);
    expect(await inbox.take(name, 'next', 0)).toEqual([]);
  });

  test('is settled once: the second time answers the same and changes nothing', async () => {
    const name = newDeployment();
    await inbox.receiveEvent(event(name, 'happened'));
    await inbox.take(name, 'run', 0);
    const settlement = () => ({ outcome: 'nothing-differed', at: at(9) }) as const;
    const first = await inbox.settle(name, 'run', settlement);
    expect(await inbox.settle(name, 'run', settlement)).toEqual(first);
  });

  test('is not proven by failing', async () => {
    const name = newDeployment();
    await inbox.receiveEvent(event(name, 'happened'));
    await inbox.take(name, 'run', 0);
    const [failed] = await inbox.settle(name, 'run', () => ({
      outcome: 'failed',
      at: at(9),
      reason: 'no login',
    }));
    expect(failed).toMatchObject({ outcome: 'failed', reason: 'no login' });
    expect(failed).not.toHaveProperty('provenAt');
  });

  test('is told in part by a failure of very many words', async () => {
    const name = newDeployment();
    await inbox.receiveEvent(event(name, 'happened'));
    await inbox.take(name, 'run', 0);
    const reason = '\u0007'.repeat(100_000);
    const [failed] = await inbox.settle(name, 'run', () => ({ outcome: 'failed', at: at(9), reason }));
    expect(failed?.reason).toHaveLength(4_000);
    expect(await inbox.events(name, 1)).toEqual([failed]);
  });

  test('leaves what came meanwhile to wait', async () => {
    const name = newDeployment();
    await inbox.receiveEvent(event(name, 'early', 1));
    await inbox.take(name, 'run', 0);
    await inbox.receiveEvent(event(name, 'late', 2));
    await inbox.settle(name, 'run', () => ({ outcome: 'acted', at: at(9) }));
    expect(ids(await inbox.take(name, 'next', 0))).toEqual(['late']);
  });
});

describe('an event', () => {
  test('that was received before is known', async () => {
    const name = newDeployment();
    expect(await inbox.receiveEvent(event(name, 'once'))).toBe(true);
    expect(await inbox.receiveEvent(event(name, 'once', 5))).toBe(false);
    expect(await inbox.events(name, 10)).toEqual([event(name, 'once')]);
  });

  test('that is ignored is listed and waits for nobody', async () => {
    const name = newDeployment();
    await inbox.receiveEvent(event(name, 'other', 0, { outcome: 'ignored', reason: 'no tag' }));
    expect(await inbox.take(name, 'run', 0)).toEqual([]);
    expect(await inbox.events(name, 10)).toMatchObject([{ outcome: 'ignored', reason: 'no tag' }]);
  });

  test('is listed newest first, as many as are asked for', async () => {
    const name = newDeployment();
    for (const second of [1, 3, 2]) await inbox.receiveEvent(event(name, `e${second}`, second));
    expect(ids(await inbox.events(name, 2))).toEqual(['e3', 'e2']);
  });

  test('may have any text for an id', async () => {
    const name = newDeployment();
    await fc.assert(
      fc.asyncProperty(fc.string({ unit: 'grapheme', minLength: 1, maxLength: 200 }), async (id) => {
        const marked = `${id} ${Math.random()}`;
        expect(await inbox.receiveEvent(event(name, marked))).toBe(true);
        expect(await inbox.receiveEvent(event(name, marked))).toBe(false);
      }),
      { numRuns: 50 },
    );
  });

  test('is forgotten after its time, unless it still waits', async () => {
    const name = newDeployment();
    await inbox.receiveEvent(event(name, 'settled', 1));
    await inbox.take(name, 'run', 0);
    await inbox.settle(name, 'run', () => ({ outcome: 'acted', at: at(2) }));
    await inbox.receiveEvent(event(name, 'waits', 1));
    await inbox.receiveEvent(event(name, 'young', 50, { outcome: 'ignored' }));
    await inbox.forgetEvents(name, new Date(at(30)));
    expect(ids(await inbox.events(name, 10))).toEqual(['young', 'waits']);
  });
});

describe('a storm', () => {
  test('is taken in batches, none twice and none lost', async () => {
    const name = newDeployment();
    const sent = Array.from({ length: 450 }, (_, index) => `e${index}`);
    await Promise.all(sent.map((id, index) => inbox.receiveEvent(event(name, id, index % 60))));
    const first = ids(await inbox.take(name, 'run', 0));
    const second = ids(await inbox.take(name, 'run', 1));
    expect(await inbox.take(name, 'run', 2)).toEqual([]);
    expect([...first, ...second].toSorted()).toEqual(sent.toSorted());
    expect(await inbox.settle(name, 'run', () => ({ outcome: 'acted', at: at(59) }))).toHaveLength(450);
  });
});

test('deployments are named in which something has waited for long', async () => {
  const [old, young, settled] = [newDeployment(), newDeployment(), newDeployment()];
  await inbox.putRequest(request(old, 'a', 1));
  await inbox.putRequest(request(young, 'b', 40));
  await inbox.putRequest(request(settled, 'c', 1));
  await inbox.take(settled, 'run', 0);
  await inbox.settle(settled, 'run', () => ({ outcome: 'acted', at: at(2) }));
  const waiting = await inbox.waitingSince(new Date(at(20)));
  expect(waiting).toContain(old);
  expect(waiting).not.toContain(young);
  expect(waiting).not.toContain(settled);
});
