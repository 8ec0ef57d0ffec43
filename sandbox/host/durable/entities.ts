/**
 * Entities: messages of one entity are handled one batch at a time, in order of arrival. A locked entity serves only
 * the orchestration that holds its lock; a lock request is passed along the set in order, so that two orchestrations
 * that lock the same entities never wait for each other (the extension's TaskEntityShim).
 */
import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import type { EntityMessage } from './decision.ts';
import { entityInstanceId, entityKey, entityName } from './entity-id.ts';
import { EventType, historyEvent } from './history.ts';
import { sendMessage } from './instances.ts';
import type { HubParts } from './task-hub.ts';

export interface EntityRow {
  readonly id: string;
  readonly has_state: number;
  /** JSON text. */
  readonly state: string | null;
  readonly locked_by: string | null;
  readonly lock_id: string | null;
  /** Milliseconds since 1970. */
  readonly updated: number;
}

interface EntityMessageRow {
  readonly seq: number;
  readonly kind: 'op' | 'release';
  readonly message: string;
}

/** What an entity function returns: the library's EntityState. */
const batchResultSchema = z.object({
  entityExists: z.boolean().nullish(),
  entityState: z.string().nullish(),
  results: z.array(z.object({ isError: z.boolean(), result: z.string().nullish() })),
  signals: z.array(
    z.object({
      target: z.object({ name: z.string(), key: z.string() }),
      name: z.string(),
      input: z.string().nullish(),
    }),
  ),
});
type BatchResult = z.infer<typeof batchResultSchema>;

interface Request {
  readonly seq: number;
  readonly message: EntityMessage;
}

export function findEntity(hub: Pick<HubParts, 'store'>, id: string): EntityRow | undefined {
  return hub.store.get<EntityRow>('SELECT * FROM entities WHERE id = ?', id);
}

/** Handles one batch of the entity's messages: what may run now. */
export async function runEntity(hub: HubParts, id: string): Promise<void> {
  const { store, clock } = hub;
  const before = findEntity(hub, id);
  const rows = store
    .all<EntityMessageRow>(
      'SELECT seq, kind, message FROM entity_messages WHERE entity_id = ? ORDER BY seq',
      id,
    )
    .map((row) => ({ seq: row.seq, kind: row.kind, message: JSON.parse(row.message) as EntityMessage }));
  let lockedBy = before?.locked_by ?? null;
  let lockId = before?.lock_id ?? null;
  const released = rows.filter((row) => row.kind === 'release');
  if (released.some(({ message }) => message.parent === lockedBy && message.id === lockId)) {
    lockedBy = null;
    lockId = null;
  }
  const batch: Request[] = [];
  let lockRequest: Request | undefined;
  for (const row of rows) {
    if (row.kind === 'release' || (lockedBy !== null && row.message.parent !== lockedBy)) continue;
    if (row.message.lockset) {
      lockRequest = row;
      break;
    }
    batch.push(row);
  }
  if (batch.length === 0 && released.length === 0 && !lockRequest) return;
  const result = batch.length > 0 ? await runBatch(hub, id, before, batch) : undefined;
  const wakeUps = store.transaction(() => {
    const wake: (() => void)[] = [];
    for (const { seq } of [...released, ...batch, ...(lockRequest ? [lockRequest] : [])]) {
      store.run('DELETE FROM entity_messages WHERE seq = ?', seq);
    }
    if (lockRequest) {
      lockedBy = lockRequest.message.parent;
      lockId = lockRequest.message.id;
      wake.push(passLockOn(hub, lockRequest.message));
    }
    const hasState = result ? result.entityExists === true : before?.has_state === 1;
    const state = result ? (result.entityState ?? null) : (before?.state ?? null);
    store.run(
      'INSERT OR REPLACE INTO entities VALUES (?, ?, ?, ?, ?, ?)',
      id,
      hasState ? 1 : 0,
      hasState ? state : null,
      lockedBy,
      lockId,
      clock.now(),
    );
    if (result) wake.push(...report(hub, id, batch, result));
    return wake;
  });
  for (const wakeUp of wakeUps) wakeUp();
  // Something was held back by a lock that is gone now, or came in behind a lock request.
  if (released.length > 0 || lockRequest) hub.wakeEntity(id);
}

async function runBatch(
  hub: HubParts,
  id: string,
  before: EntityRow | undefined,
  batch: readonly Request[],
): Promise<BatchResult> {
  const name = hub.functions.find('entity', entityName(id));
  const unchanged = {
    entityExists: before?.has_state === 1,
    entityState: before?.state ?? null,
    signals: [],
  };
  const failAll = (message: string): BatchResult => ({
    ...unchanged,
    results: batch.map(() => ({ isError: true, result: JSON.stringify(message) })),
  });
  if (!name) return failAll(`Entity function '${entityName(id)}' does not exist.`);
  const trigger = {
    self: { name: entityName(id), key: entityKey(id) },
    exists: before?.has_state === 1,
    state: before?.state ?? null,
    batch: batch.map(({ message }) => ({
      id: message.id,
      name: message.op ?? '',
      signal: message.signal === true,
      input: message.input ?? null,
    })),
  };
  try {
    const value = await hub.functions.invoke(name, { value: JSON.stringify(trigger), instanceId: id });
    return batchResultSchema.parse(value);
  } catch (error) {
    return failAll(error instanceof Error ? error.message : String(error));
  }
}

/** Answers the callers and sends the signals of a batch. */
function report(hub: HubParts, id: string, batch: readonly Request[], result: BatchResult): (() => void)[] {
  const wake: (() => void)[] = [];
  batch.forEach(({ message }, index) => {
    const outcome = result.results[index];
    if (message.signal || !outcome) return;
    const response = {
      result: outcome.result ?? null,
      exceptionType: outcome.isError ? 'Error' : null,
    };
    wake.push(respond(hub, message, response));
  });
  for (const signal of result.signals) {
    const target = entityInstanceId(signal.target);
    sendToEntity(hub, target, {
      id: randomUUID(),
      parent: id,
      parentExecution: null,
      op: signal.name,
      signal: true,
      input: signal.input ? signal.input : null,
    });
    wake.push(() => hub.wakeEntity(target));
  }
  return wake;
}

function passLockOn(hub: HubParts, request: EntityMessage): () => void {
  const pos = (request.pos ?? 0) + 1;
  const next = request.lockset?.[pos];
  if (!next) return respond(hub, request, { result: 'Lock Acquisition Completed', exceptionType: null });
  const target = entityInstanceId(next);
  sendToEntity(hub, target, { ...request, pos });
  return () => hub.wakeEntity(target);
}

function respond(
  hub: HubParts,
  { parent, parentExecution, id }: EntityMessage,
  response: { result: string | null; exceptionType: string | null },
): () => void {
  const event = historyEvent(hub.clock.now(), {
    EventType: EventType.EventRaised,
    Name: id,
    Input: JSON.stringify(response),
  });
  sendMessage(hub.store, parent, parentExecution ?? null, event);
  return () => hub.wakeInstance(parent);
}

/** Puts a request into the entity's queue; the caller wakes the entity after the commit. */
export function sendToEntity(hub: Pick<HubParts, 'store'>, id: string, message: EntityMessage): void {
  hub.store.run(
    'INSERT INTO entity_messages (entity_id, kind, message) VALUES (?, ?, ?)',
    id,
    'op',
    JSON.stringify(message),
  );
}
