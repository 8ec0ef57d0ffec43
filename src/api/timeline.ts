/** What happened to a deployment, in one list: what was done, what the clouds told, what others changed, what went wrong. */
import type { Cause } from '../graph/request.ts';
import type { ResourceKey } from '../graph/resource.ts';
import type { FindingChange } from '../notifications/change.ts';
import type { DriftRecord, DriftState } from '../store/drift.ts';
import type { EventRecord } from '../store/inbox.ts';
import type { OperationSummary } from '../store/store.ts';

export interface TimelineEntry {
  /** ISO 8601. */
  readonly at: string;
  readonly kind: 'operation' | 'event' | 'drift' | 'finding';
  /** One sentence. */
  readonly what: string;
  readonly cause?: Cause;
  readonly resource?: ResourceKey;
  /** The failing resource that a finding comes from. */
  readonly causedBy?: ResourceKey;
  readonly operationId?: string;
}

export interface Happened {
  readonly operations: readonly OperationSummary[];
  readonly events: readonly EventRecord[];
  readonly drift: readonly DriftRecord[];
  readonly findings: readonly FindingChange[];
}

/** Newest first, at most `top`. */
export function timelineOf({ operations, events, drift, findings }: Happened, top: number): TimelineEntry[] {
  return [
    ...operations.map(ofOperation),
    ...events.map(ofEvent),
    ...drift.flatMap(ofDrift),
    ...findings.map(ofFinding),
  ]
    .toSorted((one, other) => other.at.localeCompare(one.at))
    .slice(0, top);
}

function ofOperation({ id, kind, cause, state, requestedAt, failure }: OperationSummary): TimelineEntry {
  const end = failure ? `${state}: ${failure.message}` : state;
  return {
    at: requestedAt,
    kind: 'operation',
    what: `A ${kind} operation has ${endings[state] ?? end}.`,
    cause,
    operationId: id,
  };
}

const endings: Readonly<Record<string, string>> = { accepted: 'been asked for', running: 'begun' };

function ofEvent({ what, caller, outcome, receivedAt, reason, operationId }: EventRecord): TimelineEntry {
  const led = reason === undefined ? outcomes[outcome] : `${outcomes[outcome]}, ${reason}`;
  return {
    at: receivedAt,
    kind: 'event',
    what: `${upperFirst(what)}${caller === undefined ? '' : ` by ${caller}`}: ${led}.`,
    ...(operationId === undefined ? {} : { operationId }),
  };
}

const outcomes: Readonly<Record<EventRecord['outcome'], string>> = {
  pending: 'waiting to be looked at',
  acted: 'acted upon',
  'nothing-differed': 'nothing differed',
  ignored: 'ignored',
  failed: 'failed',
};

/** When it was seen first, and what became of it when that is over. */
function ofDrift({
  resource,
  path,
  since,
  actor,
  state,
  settledAt,
  operationId,
}: DriftRecord): TimelineEntry[] {
  const field = path === '' ? 'It' : path;
  const who = actor ? ` by ${actor.name}` : '';
  const entry = { kind: 'drift', resource, ...(operationId === undefined ? {} : { operationId }) } as const;
  return [
    { ...entry, at: since, what: path === '' ? `It was removed${who}.` : `${field} was changed${who}.` },
    ...(settledAt === undefined ? [] : [{ ...entry, at: settledAt, what: `${field} ${ends[state]}.` }]),
  ];
}

const ends: Readonly<Record<DriftState, string>> = {
  open: 'is being put right',
  repaired: 'was put right',
  reported: 'was left as it was',
  adopted: 'was taken into the spec',
  fought: 'was left as it was, since it was changed back each time',
  paused: 'was left as it was, since automation was paused',
  gone: 'is as asked again, without our doing',
};

const ofFinding = ({ at, change, finding: { resource, what }, causedBy }: FindingChange): TimelineEntry => ({
  at,
  kind: 'finding',
  resource,
  ...(causedBy === undefined ? {} : { causedBy }),
  what: tellings[change](what),
});

const tellings: Readonly<Record<FindingChange['change'], (what: string) => string>> = {
  appeared: (what) => what,
  worsened: (what) => `Worse: ${what}`,
  cleared: (what) => `No more: ${what}`,
};

const upperFirst = (text: string): string => text.slice(0, 1).toUpperCase() + text.slice(1);
