/**
 * The door for Event Grid. It finds out which deployments an event concerns, leaves it in their inboxes and wakes their
 * runs; everything else happens behind. It never refuses an event for what it is: Event Grid would deliver it again, or
 * drop it with others behind it.
 */
import type { EventGridHandler, InvocationContext } from '@azure/functions';
import { namesOf } from '../naming.ts';
import { parseSpec } from '../spec/parse-spec.ts';
import type { Store } from '../store/store.ts';
import { type ConcernedDeployment, concernOf } from './concern.ts';
import { type IncomingEvent, readEvents } from './event.ts';
import type { Waker } from './waker.ts';

/** What deployments there are is remembered for so long; one that is newer is being looked at anyway. */
const REMEMBERED_MILLISECONDS = 5_000;
/** Repetitions of so many events are recognised without asking the store. */
const RECENT_EVENTS = 10_000;
/** Event Grid is answered within a second; a waking that takes longer goes on, and the timer would make up for it. */
const ANSWER_MILLISECONDS = 400;

export function receiveEvent(store: Store, wake: Waker): EventGridHandler {
  const known = remembered(() => concernedDeployments(store), REMEMBERED_MILLISECONDS);
  const handled = new Set<string>();

  const receive = async (event: IncomingEvent, context: InvocationContext): Promise<void> => {
    for (const deployment of await known()) {
      const mark = `${deployment.name} ${event.id}`;
      if (handled.has(mark)) continue;
      const concern = concernOf(event, deployment);
      if (!concern) continue;
      const now = new Date().toISOString();
      const version = event.data.version ?? event.data.digest;
      const { caller } = event.data;
      await store.inbox.receiveEvent({
        id: event.id,
        deployment: deployment.name,
        type: event.type,
        source: event.source,
        subject: event.subject,
        ...(version ? { version } : {}),
        ...(caller ? { caller } : {}),
        what: concern.what,
        look: concern.look,
        occurredAt: event.time || now,
        receivedAt: now,
        outcome: concern.look.length > 0 ? 'pending' : 'ignored',
        ...(concern.why === undefined ? {} : { reason: concern.why }),
      });
      // Also when it came before: the one who received it then may not have got as far as waking anybody.
      if (concern.look.length > 0) await atMost(ANSWER_MILLISECONDS, wake(context, deployment.name));
      if (handled.size >= RECENT_EVENTS) handled.clear();
      handled.add(mark);
    }
  };

  return async (value, context) => {
    for (const event of readEvents(value)) await receive(event, context);
  };
}

async function concernedDeployments(store: Store): Promise<readonly ConcernedDeployment[]> {
  const records = await store.listDeployments();
  return Promise.all(
    records.flatMap((record) => {
      const parsed = parseSpec(record.name, record.spec);
      return parsed.ok ? [concerned(store, record.name, parsed.spec)] : [];
    }),
  );
}

async function concerned(
  store: Store,
  name: string,
  spec: ConcernedDeployment['spec'],
): Promise<ConcernedDeployment> {
  const cluster = await store.findLook(name, 'azure/cluster');
  const nodeResourceGroup = cluster?.outputs?.['nodeResourceGroup'];
  return {
    name,
    spec,
    names: namesOf(name, spec),
    ...(typeof nodeResourceGroup === 'string' ? { nodeResourceGroup } : {}),
  };
}

function remembered<T>(look: () => Promise<T>, milliseconds: number): () => Promise<T> {
  let last: { readonly value: Promise<T>; readonly at: number } | undefined;
  return () => {
    // Not `Date.now()`: that is the sandbox's virtual time.
    const now = performance.now();
    if (last && now - last.at < milliseconds) return last.value;
    const current = { value: look(), at: now };
    last = current;
    current.value.catch(() => {
      if (last === current) last = undefined;
    });
    return current.value;
  };
}

/** Waits for work, but not for ever; what goes wrong later shows in what it was to bring about. */
async function atMost(milliseconds: number, work: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const enough = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, milliseconds);
  });
  try {
    await Promise.race([work, enough]);
  } finally {
    clearTimeout(timer);
    work.catch(() => undefined);
  }
}
