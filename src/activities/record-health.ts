/** Tells the store what the checks found: since when each finding has been so, and what has appeared or cleared. */
import { systems } from '../checks/check.ts';
import { toFailure } from '../clients/cloud-failure.ts';
import type { FindingChange } from '../notifications/change.ts';
import type { Activities, CheckResult, RecordHealthInput } from '../orchestrations/activities.ts';
import type { CheckRecord, KnownFinding } from '../store/health.ts';
import type { Store } from '../store/store.ts';
import type { Implementation } from './implementation.ts';

export const recordHealth =
  (store: Store): Implementation<Activities['recordHealth']> =>
  async (input) => {
    try {
      const before = await store.health.checks(input.deployment);
      const after = recordsOf(input, before);
      await store.health.record(input.deployment, after, changesOf(input, before, after));
      return { ok: true };
    } catch (error) {
      return { ok: false, failure: toFailure(error) };
    }
  };

function recordsOf(
  { systems: told, at }: RecordHealthInput,
  before: readonly CheckRecord[],
): readonly CheckRecord[] {
  const checkedAt = new Date(at).toISOString();
  return systems.flatMap((system) => {
    const results = told.find((answer) => answer.system === system)?.results ?? [];
    return results.map(({ findings, ...result }): CheckRecord => {
      const known = before.find(({ id }) => id === result.id)?.findings ?? [];
      const kept =
        result.state === 'unknown' ? known : findings.map((found) => remember(found, known, checkedAt));
      return { ...result, system, checkedAt, findings: kept };
    });
  });
}

function remember(
  found: CheckResult['findings'][number],
  known: readonly KnownFinding[],
  at: string,
): KnownFinding {
  const earlier = known.find(({ id, resource }) => id === found.id && resource === found.resource);
  return { ...found, since: earlier?.since ?? at, lastSeenAt: at };
}

function changesOf(
  { deployment, at }: RecordHealthInput,
  before: readonly CheckRecord[],
  after: readonly CheckRecord[],
): readonly FindingChange[] {
  const old = findingsOf(deployment, before);
  const current = findingsOf(deployment, after);
  const tell = (change: FindingChange['change'], from: typeof old, unless: typeof old): FindingChange[] =>
    [...from].flatMap(([id, { lastSeenAt: _, ...finding }]) =>
      unless.has(id)
        ? []
        : [{ id: `${id}/${change}`, deployment, change, at: new Date(at).toISOString(), finding }],
    );
  return [...tell('appeared', current, old), ...tell('cleared', old, current)];
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
