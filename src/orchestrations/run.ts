/** One piece of work of the orchestration: what it was asked for, and how far it has got. Pure; survives `continueAsNew`. */
import type { GraphShape } from '../graph/plan.ts';
import { type Cause, type Look, type OperationKind, operationKinds } from '../graph/request.ts';
import type { ResourceKey } from '../graph/resource.ts';
import type { KnownLooks, OperationReference, TakenRequests } from './activities.ts';
import { lookAgainAt, noProgress, type Progress, startFrom } from './progress.ts';

export interface Run {
  /** Marks the requests that were taken for it. */
  readonly id: string;
  readonly batch: number;
  /** Something may wait in the inbox. */
  readonly mustAsk: boolean;
  readonly hasWork: boolean;
  /** It began because it was time to look at everything; events may have joined since. */
  readonly beganAsSweep: boolean;
  /** The operations this works for; all get the same outcome. Empty until there is something to tell. */
  readonly operations: readonly OperationReference[];
  readonly kind: OperationKind;
  readonly cause?: Cause;
  /** Where to look that has not gone into the progress yet. */
  readonly look: Look;
  readonly progress: Progress;
  /** What was known of the resources that events tell about, before this began. */
  readonly before: KnownLooks;
}

/**
 * Resources of which events tell that they have changed, and those by which a rotation is proven: their former state is
 * kept, to tell afterwards what has become of it.
 */
export const toldByEvents: readonly ResourceKey[] = [
  'azure/webui-secret-key',
  'azure/storage-credentials',
  'azure/postgres-password',
  'azure/postgres-connection-string',
  'entra/client-secret',
  'cloudflare/tunnel-token',
  'azure/images',
  'azure/node-identity',
  'kubernetes/external-secrets',
  'kubernetes/open-webui',
  'kubernetes/cloudflared',
];

export const emptyRun = (id: string): Run => ({
  id,
  batch: 0,
  mustAsk: true,
  hasWork: false,
  beganAsSweep: false,
  operations: [],
  kind: 'sweep',
  look: [],
  progress: noProgress,
  before: {},
});

/** Takes in what waited in the inbox: it joins what is under way. */
export function takeIn(run: Run, taken: TakenRequests): Run {
  const asked = { ...run, mustAsk: false, batch: run.batch + 1 };
  if (taken.count === 0) return asked;
  const known = new Set(run.operations.map(({ id }) => id));
  const isHeavier = !run.cause || operationKinds.indexOf(taken.kind) < operationKinds.indexOf(run.kind);
  return {
    ...asked,
    hasWork: true,
    beganAsSweep: run.hasWork ? run.beganAsSweep : taken.isSweep,
    operations: [...run.operations, ...taken.operations.filter(({ id }) => !known.has(id))],
    // What is under way is not begun anew because it is time to look; the next sweep comes.
    look: taken.isSweep && !run.hasWork ? 'all' : both(run.look, taken.look),
    ...(isHeavier && taken.cause ? { kind: taken.kind, cause: taken.cause } : {}),
  };
}

const both = (one: Look, other: Look): Look =>
  one === 'all' || other === 'all' ? 'all' : [...new Set([...one, ...other])];

/** Turns where to look into steps. Resources the stack does not have are left out. */
export function aim(run: Run, shape: GraphShape, known: KnownLooks): Run {
  const keys = new Set(shape.map(({ key }) => key));
  const look = run.look === 'all' ? run.look : run.look.filter((key) => keys.has(key));
  const isFresh = Object.keys(run.progress.steps).length === 0;
  return {
    ...run,
    look: [],
    progress: isFresh ? startFrom(known, shape, look) : lookAgainAt(only(keys, run.progress), look),
    before: isFresh ? knownOf(known) : run.before,
  };
}

/** What a changed spec does not ask for any more is not told of any more. */
function only(keys: ReadonlySet<ResourceKey>, { steps, records, unrecorded }: Progress): Progress {
  const those = <T>(all: Readonly<Partial<Record<ResourceKey, T>>>): Partial<Record<ResourceKey, T>> =>
    Object.fromEntries(Object.entries(all).filter(([key]) => keys.has(key as ResourceKey))) as Partial<
      Record<ResourceKey, T>
    >;
  return {
    steps: those(steps),
    records: those(records),
    unrecorded: unrecorded.filter((key) => keys.has(key)),
  };
}

const knownOf = (known: KnownLooks): KnownLooks =>
  Object.fromEntries(toldByEvents.flatMap((key) => (known[key] ? [[key, known[key]]] : [])));
