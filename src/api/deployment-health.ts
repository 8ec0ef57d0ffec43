/** The health of one deployment, put together from what the checks found and what the engine saw when it last looked. */
import { type System, systems } from '../checks/check.ts';
import { type RankedFinding, rank } from '../checks/rank.ts';
import { intervalOf } from '../schedule.ts';
import type { CheckRecord } from '../store/health.ts';
import type { Store } from '../store/store.ts';
import type { KnownDeployment } from './deployment-state.ts';

export type HealthStatus = 'healthy' | 'degraded' | 'failing' | 'unknown';

export interface SystemHealth {
  readonly system: System;
  readonly state: CheckRecord['state'];
  readonly checkedAt: string;
  readonly checks: readonly Pick<CheckRecord, 'id' | 'title' | 'state' | 'why'>[];
}

export interface DeploymentHealth {
  readonly status: HealthStatus;
  /** Why it is not known. */
  readonly why?: string;
  readonly checkedAt?: string;
  /** What is wrong, the root of it first. */
  readonly findings: readonly RankedFinding[];
  /** What should be known though nothing is wrong: a newer version that could be had. */
  readonly news: readonly RankedFinding[];
  readonly systems: readonly SystemHealth[];
}

export async function loadHealth(
  store: Store,
  { record, resources }: KnownDeployment,
  now: Date,
  staleAfterMilliseconds: number,
): Promise<DeploymentHealth> {
  const recorded = await store.health.checks(record.name);
  // What resources notice is taken from the looks themselves, which may be newer.
  const checks = recorded.flatMap(({ system, ...check }) =>
    system === 'engine' ? [] : [{ ...check, system }],
  );
  const ranked = rank(
    resources.map(({ key, waitsFor }) => ({ key, waitsFor })),
    checks.flatMap(({ id, system, findings: found }) =>
      found.map((finding) => ({ ...finding, check: id, system })),
    ),
    resources.flatMap((resource) => resource.findings ?? []),
  );
  const findings = ranked.filter(({ severity }) => severity !== 'info');
  const checkedAt = checks.map((check) => check.checkedAt).toSorted()[0];
  const unknown = whyUnknown(resources, checkedAt, now.getTime() - staleAfterMilliseconds);
  return {
    ...(unknown === undefined ? judge(checks, findings) : { status: 'unknown', why: unknown }),
    ...(checkedAt === undefined ? {} : { checkedAt }),
    findings,
    news: ranked.filter(({ severity }) => severity === 'info'),
    systems: systems.flatMap((system) => summary(system, checks) ?? []),
  };
}

function whyUnknown(
  resources: readonly { readonly state: string }[],
  checkedAt: string | undefined,
  staleBefore: number,
): string | undefined {
  if (checkedAt === undefined) {
    if (!resources.some(({ state }) => state === 'ready')) return 'not provisioned yet';
    return resources.every(({ state }) => state === 'ready')
      ? 'not checked yet'
      : 'not checked before its first operation has ended';
  }
  return Date.parse(checkedAt) < staleBefore ? 'not checked for too long' : undefined;
}

/** Nothing is healthy as long as something could not be looked at. */
function judge(
  checks: readonly CheckRecord[],
  findings: readonly Pick<RankedFinding, 'severity'>[],
): Pick<DeploymentHealth, 'status' | 'why'> {
  if (findings.some(({ severity }) => severity === 'error')) return { status: 'failing' };
  if (findings.some(({ severity }) => severity === 'warning')) return { status: 'degraded' };
  const unmade = checks.filter(({ state }) => state === 'unknown').map(({ id }) => id);
  return unmade.length === 0
    ? { status: 'healthy' }
    : { status: 'unknown', why: `could not be checked: ${unmade.join(', ')}` };
}

function summary(system: System, checks: readonly CheckRecord[]): SystemHealth | undefined {
  const own = checks.filter((check) => check.system === system);
  const [first] = own;
  if (!first) return undefined;
  const states = new Set(own.map(stateOf));
  return {
    system,
    state: states.has('failing') ? 'failing' : states.has('unknown') ? 'unknown' : 'ok',
    checkedAt: first.checkedAt,
    checks: own.map((check) => ({
      id: check.id,
      title: check.title,
      state: stateOf(check),
      ...(check.why === undefined ? {} : { why: check.why }),
    })),
  };
}

/** What is only good to know stands under `news`, and fails nothing. */
const stateOf = ({ state, findings }: CheckRecord): CheckRecord['state'] =>
  state === 'failing' && findings.every(({ severity }) => severity === 'info') ? 'ok' : state;

/** For where the whole story is one call away. */
export function healthInShort({ status, why, checkedAt, findings, news }: DeploymentHealth) {
  const count = (severity: string): number =>
    findings.filter((finding) => finding.severity === severity).length;
  const [worst] = findings;
  return {
    status,
    ...(why === undefined ? {} : { why }),
    ...(checkedAt === undefined ? {} : { checkedAt }),
    ...(worst === undefined ? {} : { worst }),
    findings: { error: count('error'), warning: count('warning') },
    news: news.length,
  };
}

const DAY = 86_400_000;

/** Three intervals of a schedule that comes every so many minutes or hours; three days of any other. */
export const staleAfter = (schedule: string): number => 3 * (intervalOf(schedule) ?? DAY);
