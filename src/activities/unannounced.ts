/**
 * Changes that a sweep found and that no event has told: what Event Grid owes us. A change counts once, by the thing that
 * changed: a scale set, a secret's version, an image's digest.
 */
import type { Outputs, ResourceKey } from '../graph/resource.ts';
import type { KnownLook, KnownLooks, StepProgress } from '../orchestrations/activities.ts';
import type { EventRecord } from '../store/inbox.ts';

export interface Unannounced {
  readonly resource: ResourceKey;
  readonly what: string;
}

export function unannounced(
  before: KnownLooks,
  found: readonly StepProgress[],
  events: readonly EventRecord[],
): readonly Unannounced[] {
  return found.flatMap((step) => {
    const known = before[step.key];
    // What was not there or not ready before has been made by us; no event was to be expected.
    if (!known) return [];
    return changesOf(step, known)
      .filter(
        ({ isTold, foundAt }) =>
          !events.some(
            (event) =>
              Date.parse(event.receivedAt) >= known.readyAt &&
              Date.parse(event.receivedAt) <= foundAt &&
              isTold(event),
          ),
      )
      .map(({ what }) => ({ resource: step.key, what }));
  });
}

interface Change {
  readonly what: string;
  /** What came later may be the echo of our own repair. */
  readonly foundAt: number;
  isTold(event: EventRecord): boolean;
}

function changesOf(step: StepProgress, known: KnownLook): readonly Change[] {
  if (step.key === 'azure/node-identity') return scaleSets(step, known.outputs);
  if (step.key === 'azure/images') return images(step.outputs, known.outputs);
  // What we have put into the vault ourselves needs no event.
  return step.did === 'nothing' ? secrets(step.outputs, known.outputs) : [];
}

/** One for each scale set that lacked the identity: its difference is at `<scale set>.identity.…`. */
function scaleSets(
  { did, differed = [], outputs, startedAt = 0 }: StepProgress,
  then: Outputs,
): readonly Change[] {
  const lacked = differed.map(({ path, at }) => ({ name: path.split('.')[0] ?? '', at }));
  // None of them had it: nothing is said of each.
  const all = did === 'created' ? namesIn(outputs).filter((name) => namesIn(then).includes(name)) : [];
  return [...lacked, ...all.map((name) => ({ name, at: startedAt }))].map(({ name, at }) => {
    // AKS names a scale set after its pool: aks-<pool>-<number>-vmss.
    const pool = /^aks-(.+)-\d+-vmss$/i.exec(name)?.[1] ?? name;
    return {
      what: name,
      foundAt: at,
      isTold: ({ subject }) =>
        [name, pool].some((told) => subject.toLowerCase().endsWith(`/${told.toLowerCase()}`)),
    };
  });
}

function namesIn(outputs: Outputs | undefined): readonly string[] {
  const names: unknown = outputs?.['scaleSets'];
  return Array.isArray(names) ? names.map(String) : [];
}

function images(now: Outputs = {}, then: Outputs): readonly Change[] {
  return Object.entries(now).flatMap(([name, reference]) => {
    const digest = String(reference).split('@')[1];
    if (digest === undefined || then[name] === undefined || then[name] === reference) return [];
    return [
      {
        what: `${name} ${digest}`,
        foundAt: Number.POSITIVE_INFINITY,
        isTold: ({ version }) => version === digest,
      },
    ];
  });
}

/** References to secrets stand in outputs as `{vaultUrl, name, version}`. */
function secrets(now: Outputs = {}, then: Outputs): readonly Change[] {
  return Object.entries(now).flatMap(([field, value]) => {
    const [is, was] = [referenceIn(value), referenceIn(then[field])];
    if (!is || !was || is.version === was.version) return [];
    return [
      {
        what: `${is.name} ${is.version}`,
        foundAt: Number.POSITIVE_INFINITY,
        isTold: ({ version }) => version === is.version,
      },
    ];
  });
}

function referenceIn(value: unknown): { readonly name: string; readonly version: string } | undefined {
  if (typeof value !== 'object' || value === null || !('name' in value) || !('version' in value))
    return undefined;
  return { name: String(value.name), version: String(value.version) };
}
