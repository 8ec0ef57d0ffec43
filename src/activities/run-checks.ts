/**
 * Runs all checks of one system side by side. Each has a time limit of its own: a cloud that does not answer makes what
 * was asked of it unknown, and nothing else.
 */
import type { Check, CheckFinding, CheckScope } from '../checks/check.ts';
import { repairCall } from '../checks/repair.ts';
import type { Clients } from '../clients/clients.ts';
import { toFailure } from '../clients/cloud-failure.ts';
import type { Activities, CheckResult } from '../orchestrations/activities.ts';
import type { Store } from '../store/store.ts';
import { lastReadyLooks } from './describe-stack.ts';
import type { Implementation } from './implementation.ts';
import { loadStack } from './stack.ts';

const LIMIT_MILLISECONDS = 20_000;
/** With texts of this many characters a check's findings fit into a column of the store, and into an answer. */
const MOST_FINDINGS = 12;
const LONGEST_TEXT = 400;

export const runChecks =
  (
    store: Store,
    clientsFor: (subscriptionId: string) => Clients,
    checks: readonly Check[],
    limitMilliseconds = LIMIT_MILLISECONDS,
  ): Implementation<Activities['runChecks']> =>
  async ({ deployment, system, now }) => {
    const ofSystem = checks.filter((check) => check.system === system);
    try {
      const [{ spec, names }, looks, before] = await Promise.all([
        loadStack(store, deployment),
        store.lastLook(deployment),
        store.health.checks(deployment),
      ]);
      const scope: CheckScope = {
        spec,
        names,
        clients: clientsFor(spec.subscriptionId),
        now: new Date(now),
        known: lastReadyLooks(looks),
        foundBefore: new Map(before.flatMap(({ findings }) => findings.map((found) => [found.id, found]))),
      };
      const wanted = ofSystem.filter((check) => check.isWanted?.(scope) ?? true);
      return { results: await Promise.all(wanted.map((check) => runOne(check, scope, limitMilliseconds))) };
    } catch (error) {
      return { results: ofSystem.map((check) => unknown(check, whyOf(error))) };
    }
  };

async function runOne(check: Check, scope: CheckScope, limitMilliseconds: number): Promise<CheckResult> {
  let timer: NodeJS.Timeout | undefined;
  try {
    const limit = new Promise<undefined>((resolve) => {
      timer = setTimeout(resolve, limitMilliseconds, undefined);
    });
    const findings = await Promise.race([check.run(scope), limit]);
    if (findings === undefined) return unknown(check, 'did not answer in time');
    const { id, title } = check;
    return { id, title, state: findings.length === 0 ? 'ok' : 'failing', findings: fitting(scope, findings) };
  } catch (error) {
    return unknown(check, whyOf(error));
  } finally {
    clearTimeout(timer);
  }
}

const unknown = ({ id, title }: Check, why: string): CheckResult => ({
  id,
  title,
  state: 'unknown',
  why,
  findings: [],
});

function whyOf(error: unknown): string {
  const { code, message } = toFailure(error);
  return cut(`${code}: ${message}`);
}

/** The same trouble of the same resource is one finding. */
function fitting(scope: CheckScope, findings: readonly CheckFinding[]): readonly CheckFinding[] {
  const first = new Map<string, CheckFinding>();
  for (const finding of findings) {
    const trouble = `${finding.resource} ${finding.id}`;
    if (!first.has(trouble)) first.set(trouble, finding);
  }
  return [...first.values()].slice(0, MOST_FINDINGS).map(({ repair, ...finding }) => ({
    ...finding,
    ...(repair === undefined ? {} : { repair: repairCall(scope, { ...finding, repair }) }),
    what: cut(finding.what),
    evidence: cut(finding.evidence),
    breaks: cut(finding.breaks),
    remedy: cut(finding.remedy),
  }));
}

const cut = (text: string): string =>
  text.length <= LONGEST_TEXT ? text : `${text.slice(0, LONGEST_TEXT - 1)}…`;
