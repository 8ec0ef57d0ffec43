/**
 * Long-running operations that this process has submitted and that may not have ended. ARM answers 404 for some things
 * while it makes them, and tells only through the operation why they did not come about; so who finds a thing absent or
 * failed asks here first. It is a hint and nothing more: another process knows of none, and then submits again, which
 * is harmless as every submission here is repeatable.
 */
import type { Clients } from './clients.ts';
import { isNotFound } from './cloud-failure.ts';

/** What both generations of core-lro have in common. */
interface Poller {
  poll(): Promise<unknown>;
  readonly isDone: boolean | (() => boolean);
}

const submitted = new WeakMap<Clients, Map<string, Poller>>();

const operationsOf = (clients: Clients): Map<string, Poller> => {
  const known = submitted.get(clients) ?? new Map<string, Poller>();
  submitted.set(clients, known);
  return known;
};

/** Asked on the poller itself: the oldest ones (Event Grid's) are classes. */
const hasEnded = (poller: Poller): boolean =>
  typeof poller.isDone === 'function' ? poller.isDone() : poller.isDone;

/**
 * Sends an operation and remembers it under the key of what it works on. The newer SDKs' pollers are thenables that
 * wait for the end when awaited, so they are only ever asked whether they have been submitted; the older ones' `begin…`
 * sends and polls once.
 */
export async function submit(
  clients: Clients,
  key: string,
  operation:
    | ({ readonly submitted: () => Promise<void> } & Poller)
    | Promise<Poller & { readonly submitted?: never }>,
): Promise<void> {
  if ('poll' in operation) {
    await operation.submitted();
    operationsOf(clients).set(key, operation);
  } else {
    operationsOf(clients).set(key, await operation);
  }
}

/** What was worked on is there: how it came about no longer matters. */
export const forget = (clients: Clients, key: string): void => void operationsOf(clients).delete(key);

/**
 * Whether an operation on this is still running. Throws, once, what an ended one failed with; then it is forgotten and
 * may be submitted again.
 */
export async function isUnderWay(clients: Clients, key: string): Promise<boolean> {
  const operations = operationsOf(clients);
  const operation = operations.get(key);
  if (!operation) return false;
  try {
    if (!hasEnded(operation)) await operation.poll();
  } catch (error) {
    operations.delete(key);
    // It succeeded, and what it made has been removed since: the SDK reads the result from there.
    if (isNotFound(error)) return false;
    throw error;
  }
  if (!hasEnded(operation)) return true;
  operations.delete(key);
  return false;
}
