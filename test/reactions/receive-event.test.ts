/** The door for events, with a real store behind it: nothing that comes makes it throw, write to a cloud, or loop. */
import { InvocationContext } from '@azure/functions';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { receiveEvent } from '../../src/reactions/receive-event.ts';
import type { Store } from '../../src/store/store.ts';
import { Azurite } from '../store/azurite.ts';
import {
  cluster,
  newVersionOf,
  pushOf,
  scaleSetWrite,
  secretEvent,
  spec,
  subscriptionId,
} from './event-samples.ts';

let azurite: Azurite;
let store: Store;
/** Whose runs were woken. */
let woken: string[] = [];
/** What waking does. */
let waking: () => Promise<void> = async () => undefined;
let receive: (value: unknown) => Promise<void>;

beforeAll(async () => {
  azurite = await Azurite.start();
  store = azurite.openStore();
  await store.putDeployment(
    'chat',
    {
      subscriptionId,
      tenantId: spec.tenantId,
      registry: { name: 'acrchat' },
      tunnel: { accountId: 'a'.repeat(32), zoneId: 'b'.repeat(32), hostName: 'chat.example.com' },
    },
    new Date('2026-11-24T10:00:00Z'),
  );
  receive = door();
});
afterAll(() => azurite.dispose());

/** A door as a new instance of the app would have it: it remembers nothing. */
function door(): (value: unknown) => Promise<void> {
  const handler = receiveEvent(store, (_context, deployment) => {
    woken.push(deployment);
    return waking();
  });
  return async (value) => {
    await handler(value as never, new InvocationContext());
  };
}

let count = 0;
/** The same event under an id of its own. */
function fresh<T extends object>(sample: T): T & { readonly id: string } {
  count += 1;
  return { ...sample, id: `event-${count}` };
}
const stored = async (id: string) =>
  (await store.inbox.events('chat', 1000)).find((event) => event.id === id);

describe('an event of a deployment', () => {
  test('lies in the inbox before its run is woken', async () => {
    const event = fresh(newVersionOf('webui-secret-key'));
    let found: unknown;
    waking = async () => {
      found = await stored(event.id);
    };
    await receive(event);
    waking = async () => undefined;
    expect(found).toMatchObject({
      id: event.id,
      outcome: 'pending',
      subject: 'webui-secret-key',
      version: 'ee059b2bb5bc48398a53b168c6cdcb10',
      look: expect.arrayContaining(['azure/webui-secret-key']),
    });
  });

  test('that comes again wakes nobody, at this instance of the app', async () => {
    const event = fresh(newVersionOf('webui-secret-key'));
    await receive(event);
    woken = [];
    await receive(event);
    expect(woken).toEqual([]);
  });

  test('that comes again at another instance is one event, and wakes once more in case the first had not', async () => {
    const event = fresh(newVersionOf('cf-tunnel-token'));
    await receive(event);
    woken = [];
    await door()(event);
    expect(woken).toEqual(['chat']);
    const all = await store.inbox.events('chat', 1000);
    expect(all.filter(({ id }) => id === event.id)).toHaveLength(1);
  });

  test('is answered within a second though the engine hangs', async () => {
    waking = () => new Promise(() => undefined);
    const began = performance.now();
    await receive(fresh(newVersionOf('webui-secret-key')));
    waking = async () => undefined;
    expect(performance.now() - began).toBeLessThan(1_000);
  });

  test('is refused when the engine refuses, so that Event Grid brings it again, and then it is taken', async () => {
    const event = fresh(newVersionOf('webui-secret-key'));
    waking = () => Promise.reject(new Error('no engine'));
    await expect(receive(event)).rejects.toThrow('no engine');
    waking = async () => undefined;
    woken = [];
    await receive(event);
    expect(woken).toEqual(['chat']);
  });

  test('that there is nothing to look at for is noted, and wakes nobody', async () => {
    woken = [];
    const event = fresh(pushOf({ repository: 'open-webui', digest: `sha256:${'a'.repeat(64)}` }));
    await receive(event);
    expect(woken).toEqual([]);
    expect(await stored(event.id)).toMatchObject({ outcome: 'ignored', reason: expect.any(String) });
  });

  test('is kept with one name of who caused it, and nothing else of what it claims', async () => {
    const event = fresh(scaleSetWrite);
    await receive(event);
    const kept = await stored(event.id);
    expect(kept).toMatchObject({ caller: 'aperson', subject: event.subject });
    expect(JSON.stringify(kept)).not.toMatch(/somebody|correlation|Subscription Admin/);
  });
});

test("an event of somebody else's vault leaves no trace", async () => {
  const sample = newVersionOf('webui-secret-key');
  const event = fresh({ ...sample, topic: sample.topic.replace(/[^/]+$/, 'kv-somebody') });
  woken = [];
  await receive(event);
  expect(woken).toEqual([]);
  expect(await stored(event.id)).toBeUndefined();
});

test('a batch is taken apart, whatever lies between', async () => {
  const events = [
    fresh(newVersionOf('webui-secret-key')),
    null,
    'nonsense',
    fresh(secretEvent('SecretExpired', 'cf-tunnel-token')),
  ];
  await receive(events);
  for (const event of [events[0], events[3]] as { id: string }[])
    expect(await stored(event.id)).toBeDefined();
});

describe('whatever comes', () => {
  const mutated = fc
    .record({
      base: fc.constantFrom(
        newVersionOf('webui-secret-key'),
        pushOf({ repository: 'open-webui', tag: 'v1' }),
      ),
      changes: fc.dictionary(
        fc.constantFrom(
          'id',
          'topic',
          'source',
          'subject',
          'eventType',
          'type',
          'eventTime',
          'data',
          '__proto__',
          cluster,
        ),
        fc.jsonValue(),
        { maxKeys: 3 },
      ),
    })
    .map(({ base, changes }) => ({ ...base, ...changes }));

  test('makes it neither throw nor wake more than once for each event', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(fc.jsonValue(), fc.anything(), mutated, fc.array(mutated, { maxLength: 4 })),
        async (value) => {
          woken = [];
          await receive(value);
          expect(woken.length).toBeLessThanOrEqual(Array.isArray(value) ? value.length : 1);
          expect(woken.every((name) => name === 'chat')).toBe(true);
        },
      ),
      { numRuns: 300 },
    );
  });
});
