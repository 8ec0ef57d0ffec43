/**
 * Which resources may move now. Pure: the orchestrator feeds it the shape of the graph and what each step last
 * reported, and gets the next round. It knows nothing of clouds, time or storage.
 */
import type { Failure } from './failure.ts';
import type { Outputs, ResourceKey } from './resource.ts';

/** The shape of a stack for one spec: wanted resources only, in reading order, each with the keys it waits for. */
export type GraphShape = readonly { readonly key: ResourceKey; readonly waitsFor: readonly ResourceKey[] }[];

export type StepState =
  /** To be looked at; `was`: what it told when it was last ready, if that is known. */
  | { readonly kind: 'pending'; readonly was?: Outputs }
  | { readonly kind: 'ready'; readonly outputs: Outputs }
  /** Looked at, moving or expected to move; due again at `dueAt` (milliseconds since 1970). */
  | {
      readonly kind: 'waiting';
      readonly dueAt: number;
      /** When it first had to wait in this operation: its patience counts from there. */
      readonly since: number;
      /** Failed looks in a row: the pauses between them grow. */
      readonly failures: number;
      readonly was?: Outputs;
    }
  | { readonly kind: 'failed'; readonly failure: Failure; readonly was?: Outputs }
  /** Cannot move because `by` failed. */
  | { readonly kind: 'blocked'; readonly by: ResourceKey };

export type Steps = Readonly<Partial<Record<ResourceKey, StepState>>>;

export type Next =
  | { readonly kind: 'reconcile'; readonly keys: readonly ResourceKey[] }
  | { readonly kind: 'wait'; readonly until: number }
  | { readonly kind: 'done'; readonly failed: readonly ResourceKey[] };

const stateOf = (steps: Steps, key: ResourceKey): StepState => steps[key] ?? { kind: 'pending' };

/** Throws when a resource waits for one that is not in the shape, or for itself through others. */
export function assertAcyclic(shape: GraphShape): void {
  const waitsFor = new Map(shape.map((node) => [node.key, node.waitsFor]));
  const settled = new Set<ResourceKey>();
  const visit = (key: ResourceKey, trail: readonly ResourceKey[]): void => {
    if (settled.has(key)) return;
    if (trail.includes(key)) throw new Error(`resources wait for each other: ${[...trail, key].join(' → ')}`);
    const needs = waitsFor.get(key);
    if (!needs) throw new Error(`${trail.at(-1) ?? 'the graph'} waits for ${key}, which is not in it`);
    for (const need of needs) visit(need, [...trail, key]);
    settled.add(key);
  };
  for (const { key } of shape) visit(key, []);
}

/** Those that wait for `key` directly. */
export const dependentsOf = (shape: GraphShape, key: ResourceKey): readonly ResourceKey[] =>
  shape.filter(({ waitsFor }) => waitsFor.includes(key)).map((node) => node.key);

/** The failed resource that keeps this one from moving, if any. */
function blockerOf(shape: GraphShape, steps: Steps, key: ResourceKey): ResourceKey | undefined {
  const node = shape.find((candidate) => candidate.key === key);
  for (const need of node?.waitsFor ?? []) {
    const state = stateOf(steps, need);
    if (state.kind === 'failed') return need;
    const further = blockerOf(shape, steps, need);
    if (further) return further;
  }
  return undefined;
}

/** All resources that cannot move because something they wait for has failed, each with the one to blame. */
export function blocked(shape: GraphShape, steps: Steps): ReadonlyMap<ResourceKey, ResourceKey> {
  const result = new Map<ResourceKey, ResourceKey>();
  for (const { key } of shape) {
    const blocker = blockerOf(shape, steps, key);
    if (blocker) result.set(key, blocker);
  }
  return result;
}

/**
 * The next move: everything that is pending or due and whose dependencies are ready is reconciled at once; when all
 * that is left is waiting, wait for the earliest; when nothing can move any more, done.
 */
export function next(shape: GraphShape, steps: Steps, now: number): Next {
  const movable = shape.filter(({ waitsFor }) =>
    waitsFor.every((key) => stateOf(steps, key).kind === 'ready'),
  );
  const due = movable.filter(({ key }) => {
    const state = stateOf(steps, key);
    return state.kind === 'pending' || (state.kind === 'waiting' && state.dueAt <= now);
  });
  if (due.length > 0) return { kind: 'reconcile', keys: due.map(({ key }) => key) };
  const dueTimes = movable.flatMap(({ key }) => {
    const state = stateOf(steps, key);
    return state.kind === 'waiting' ? [state.dueAt] : [];
  });
  if (dueTimes.length > 0) return { kind: 'wait', until: Math.min(...dueTimes) };
  return {
    kind: 'done',
    failed: shape.map(({ key }) => key).filter((key) => stateOf(steps, key).kind === 'failed'),
  };
}
