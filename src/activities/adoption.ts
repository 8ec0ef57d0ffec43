/** How a change that somebody made in a cloud gets into the spec because a rule says so, and why some do not. */
import { policyOf, type Verdict } from '../graph/drift-policy.ts';
import type { Difference } from '../graph/resource.ts';
import type { ReconcileResult } from '../orchestrations/activities.ts';
import { adopt } from '../spec/adopt.ts';
import { parseSpec } from '../spec/parse-spec.ts';
import { obstacleTo } from '../store/admission.ts';
import { ConflictError } from '../store/store.ts';
import type { Wrong } from './wrong.ts';

/** Before a resource whose field was taken into the spec is looked at again. */
const ADOPTED_SECONDS = 1;

/** Of what rules ask to take over. Taken over together, as a PUT of such a spec would be. */
export async function whyNotAdopted(
  { store, record, spec, key }: Wrong,
  differences: readonly Difference[],
): Promise<ReadonlyMap<Difference, string>> {
  const asked = differences
    .filter(({ path }) => policyOf(spec.drift.rules, key, path) === 'adopt')
    .map((difference) => ({ resource: key, difference }));
  if (asked.length === 0) return new Map();
  const { given, taken, refused } = adopt(record, spec, asked);
  const parsed = parseSpec(record.name, given);
  const obstacle = parsed.ok ? await obstacleTo(store, record.name, parsed) : undefined;
  if (!obstacle) return new Map(refused.map(({ difference, why }) => [difference, why]));
  const why =
    obstacle.kind === 'too-large'
      ? 'the spec would be too long to be stored'
      : obstacle.problems.map(({ field, message }) => `${field} ${message}`).join('; ');
  return new Map([...taken, ...refused].map(({ difference }) => [difference, why]));
}

/** A spec that somebody else changes at the same moment is theirs; the next look tries again. */
export async function takeOver(
  { store, record, spec, key, now }: Wrong,
  verdicts: readonly Verdict[],
): Promise<ReconcileResult> {
  const asked = verdicts.map(({ difference }) => ({ resource: key, difference }));
  const { given, taken } = adopt(record, spec, asked);
  const paths = taken.map(({ difference }) => difference.path);
  const waiting: ReconcileResult = {
    kind: 'waiting',
    did: 'nothing',
    reason: `taken into the spec: ${paths.join(', ')}`,
    retryAfterSeconds: ADOPTED_SECONDS,
  };
  try {
    await store.putDeployment(record.name, given, now, { ifMatch: [record.etag] });
  } catch (error) {
    if (error instanceof ConflictError) return waiting;
    throw error;
  }
  const at = now.toISOString();
  for (const path of paths) {
    await store.drift.change(record.name, key, path, (known) => ({
      ...known,
      state: 'adopted',
      settledAt: at,
    }));
  }
  // The spec is another now, and everything is to be known to be as it asks.
  await store.inbox.putRequest({
    id: `adopted-${at}`,
    deployment: record.name,
    kind: 'repair',
    cause: { kind: 'timer', what: `a change of ${key} was taken into the spec, as drift.rules asks` },
    look: 'all',
    requestedAt: at,
  });
  return waiting;
}
