/**
 * Tells the store what the checks found: since when each finding has been so, and what has appeared or cleared. What
 * resources noticed themselves is told beside it, so that nobody has to ask to get to know of it.
 */
import { systems } from '../checks/check.ts';
import { rank } from '../checks/rank.ts';
import { toFailure } from '../clients/cloud-failure.ts';
import type { Severity } from '../graph/finding.ts';
import type { GraphShape } from '../graph/plan.ts';
import type { ResourceKey } from '../graph/resource.ts';
import type { FindingChange } from '../notifications/change.ts';
import type { Activities, CheckResult, RecordHealthInput } from '../orchestrations/activities.ts';
import type { CheckRecord, KnownFinding } from '../store/health.ts';
import type { StepRecord, Store } from '../store/store.ts';
import { type BeingChanged, beingChanged } from './being-changed.ts';
import type { Implementation } from './implementation.ts';
import { loadStack, shapeOf } from './stack.ts';

export const recordHealth =
  (store: Store): Implementation<Activities['recordHealth']> =>
  async (input) => {
    try {
      const { deployment, at } = input;
      const [before, changed, { wanted }, allLooks] = await Promise.all([
        store.health.checks(deployment),
        beingChanged(store, deployment, at),
        loadStack(store, deployment),
        store.lastLook(deployment),
      ]);
      // What the spec does not ask for any more was looked at once, too.
      const looks = allLooks.filter((look) => wanted.some(({ key }) => key === look.key));
      const checks = recordsOf(input, before, changed);
      const after = [...checks, ...ofLooks(looks, checks, at)];
      await store.health.record(deployment, after, changesOf(input, before, after, shapeOf(wanted)));
      return { ok: true };
    } catch (error) {
      return { ok: false, failure: toFailure(error) };
    }
  };

function recordsOf(
  { systems: told, at }: RecordHealthInput,
  before: readonly CheckRecord[],
  changed: BeingChanged | undefined,
): readonly CheckRecord[] {
  const checkedAt = new Date(at).toISOString();
  return systems.flatMap((system) => {
    const results = told.find((answer) => answer.system === system)?.results ?? [];
    return results.map((told): CheckRecord => {
      const known = before.find(({ id }) => id === told.id)?.findings ?? [];
      const { findings, ...result } = withoutChanges(told, known, changed);
      const kept =
        result.state === 'unknown' ? known : findings.map((found) => remember(found, known, checkedAt));
      return { ...result, system, checkedAt, findings: kept };
    });
  });
}

/** A check all of whose findings may come of what is being done cannot be made for now. */
function withoutChanges(
  result: CheckResult,
  known: readonly KnownFinding[],
  changed: BeingChanged | undefined,
): CheckResult {
  if (!changed) return result;
  const findings = result.findings.filter(
    (found) => earlierOf(found, known) !== undefined || !changed.covers(found.resource),
  );
  if (findings.length > 0 || result.findings.length === 0) return { ...result, findings };
  const why = `operation ${changed.operationId} is changing what it is about`;
  return { ...result, state: 'unknown', why, findings };
}

/** A record for each that noticed something: what is told by all of them together has no bound, and a row has one. */
function ofLooks(
  looks: readonly StepRecord[],
  checks: readonly CheckRecord[],
  at: number,
): readonly CheckRecord[] {
  const told = new Set(checks.flatMap(({ findings }) => findings).map(troubleOf));
  const checkedAt = new Date(at).toISOString();
  return looks.flatMap(({ key, findings: noticed = [] }): CheckRecord[] => {
    const findings = noticed
      .filter((finding) => !told.has(troubleOf(finding)))
      .map((finding) => ({ ...finding, lastSeenAt: checkedAt }));
    if (findings.length === 0) return [];
    return [
      {
        id: `engine-${key.replace('/', '-')}`,
        system: 'engine',
        title: `${key} notices nothing wrong while it is looked at`,
        state: 'failing',
        checkedAt,
        findings,
      },
    ];
  });
}

const troubleOf = ({ resource, id }: Pick<KnownFinding, 'resource' | 'id'>): string => `${resource} ${id}`;

const earlierOf = (
  found: Pick<KnownFinding, 'resource' | 'id'>,
  known: readonly KnownFinding[],
): KnownFinding | undefined => known.find((earlier) => troubleOf(earlier) === troubleOf(found));

function remember(
  found: CheckResult['findings'][number],
  known: readonly KnownFinding[],
  at: string,
): KnownFinding {
  return { ...found, since: earlierOf(found, known)?.since ?? at, lastSeenAt: at };
}

function changesOf(
  { deployment, at }: RecordHealthInput,
  before: readonly CheckRecord[],
  after: readonly CheckRecord[],
  shape: GraphShape,
): readonly FindingChange[] {
  const causes = causesOf(after, shape);
  const old = findingsOf(deployment, before);
  const current = findingsOf(deployment, after);
  const time = new Date(at).toISOString();
  const tell = (
    change: FindingChange['change'],
    from: typeof old,
    isSo: (id: string, finding: KnownFinding) => boolean,
  ): FindingChange[] =>
    [...from].flatMap(([known, found]) => {
      if (!isSo(known, found)) return [];
      const { lastSeenAt: _, ...finding } = found;
      const causedBy = change === 'cleared' ? undefined : causes.get(troubleOf(finding));
      const cause = causedBy === undefined ? {} : { causedBy };
      // It may become worse more than once.
      const id = change === 'worsened' ? `${known}/${change}/${time}` : `${known}/${change}`;
      return [{ id, deployment, change, at: time, finding, ...cause }];
    });
  return [
    ...tell('appeared', current, (id) => !old.has(id)),
    ...tell('worsened', current, (id, { severity }) => isWorse(severity, old.get(id)?.severity)),
    ...tell('cleared', old, (id) => !current.has(id)),
  ];
}

const severities: readonly Severity[] = ['info', 'warning', 'error'];

const isWorse = (now: Severity, before: Severity | undefined): boolean =>
  before !== undefined && severities.indexOf(now) > severities.indexOf(before);

/** Which other failing resource a trouble comes from. */
function causesOf(records: readonly CheckRecord[], shape: GraphShape): ReadonlyMap<string, ResourceKey> {
  const findings = records.flatMap(({ id, system, findings: found }) =>
    found.map((finding) => (system === 'engine' ? finding : { ...finding, check: id, system })),
  );
  return new Map(
    rank(shape, findings, []).flatMap((finding) =>
      finding.causedBy === undefined ? [] : [[troubleOf(finding), finding.causedBy]],
    ),
  );
}

/** By an id that is the same as long as the finding is. */
const findingsOf = (deployment: string, records: readonly CheckRecord[]): ReadonlyMap<string, KnownFinding> =>
  new Map(
    records.flatMap((record) =>
      record.findings.map((finding) => [
        `${deployment}/${record.id}/${finding.id}/${finding.resource}/${finding.since}`,
        finding,
      ]),
    ),
  );
