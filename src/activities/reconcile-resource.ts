/**
 * The one generic activity that moves a resource: observe, push if it is not as asked and nothing holds that back,
 * observe again. It waits for nothing and never rejects for a cloud's answer.
 */
import { fromSnapshot } from '../clients/arm-snapshot.ts';
import type { Clients } from '../clients/clients.ts';
import { toFailure } from '../clients/cloud-failure.ts';
import { retryable } from '../graph/failure.ts';
import type {
  Dependencies,
  DependencyOutputs,
  Difference,
  Observed,
  Outputs,
  ResourceKey,
} from '../graph/resource.ts';
import {
  type Activities,
  type Did,
  type ReconcileResult,
  SNAPSHOT_MILLISECONDS,
} from '../orchestrations/activities.ts';
import type { Scope } from '../resources/scope.ts';
import { shownDifference } from '../spec/hidden-value.ts';
import type { Store } from '../store/store.ts';
import { holdBack } from './drift.ts';
import type { Implementation } from './implementation.ts';
import { readerOf } from './spec-reads.ts';
import { loadStack } from './stack.ts';
import { type Asked, wishOf } from './wish.ts';

/** Beyond this the activity gives the call up and the orchestration looks again; work already begun is found then. */
const LONGEST_MILLISECONDS = 60_000;

export const reconcileResource =
  (
    store: Store,
    clientsFor: (subscriptionId: string) => Clients,
  ): Implementation<Activities['reconcileResource']> =>
  async (input) => {
    let did: Did = 'nothing';
    const reconcile = async (): Promise<ReconcileResult> => {
      const { record, spec, names, wanted, remembered } = await loadStack(store, input.deployment);
      const resource = wanted.find(({ key }) => key === input.key);
      // The spec was changed after the run asked who is wanted; it asks again as soon as it takes the change up.
      if (!resource)
        throw retryable('NoLongerWanted', `${input.deployment} does not ask for ${input.key} now`);
      const reader = readerOf(spec);
      const scope: Scope = {
        spec: reader.spec,
        names,
        clients: clientsFor(spec.subscriptionId),
        now: new Date(input.now),
        ...remembered,
      };
      const deps = dependencyOutputs(resource.dependsOn, input.outputs);
      const { key, title } = resource;
      const asked: Asked = { key, spec, names, record, dependencies: input.outputs };
      const wish = () => wishOf(asked, reader.reads());

      const look = () => resource.observe(scope, deps);
      const seen = await (input.isSweep ? lookInSweep(look) : look());
      if (!mustPush(seen)) return toResult(seen, 'nothing', wish());
      const shown = withoutSecretsIn(seen);
      const { now } = scope;
      const wrong = { ...asked, store, record, title, resource, seen: shown, reads: reader.reads(), now };
      const held = await holdBack(wrong);
      if ('result' in held) return held.result;
      const differedAt = Date.now();
      did = seen.state === 'absent' ? 'created' : 'repaired';
      await resource.ensure(scope, deps, resource.pushesApart ? only(seen, held.pushed) : seen);
      const after = toResult(await look(), did, wish());
      return shown.state === 'drifted' ? { ...after, differences: shown.differences, differedAt } : after;
    };
    try {
      return await withinTime(reconcile());
    } catch (error) {
      return { kind: 'failed', did, failure: toFailure(error) };
    }
  };

/** What is ready may be seen so in what was read for others a moment ago; nothing else is believed of that. */
async function lookInSweep(look: () => Promise<Observed<Outputs>>): Promise<Observed<Outputs>> {
  const seen = await fromSnapshot(SNAPSHOT_MILLISECONDS, look);
  return seen.state === 'ready' ? seen : look();
}

/** The resource itself is given what it has seen: some of it is what it pushes. */
const withoutSecretsIn = (seen: Observed<Outputs>): Observed<Outputs> =>
  seen.state === 'drifted' ? { ...seen, differences: seen.differences.map(shownDifference) } : seen;

function only(seen: Observed<Outputs>, pushed: readonly Difference[]): Observed<Outputs> {
  if (seen.state !== 'drifted') return seen;
  const differences = seen.differences.filter((one) => pushed.some(({ path }) => path === one.path));
  return { ...seen, differences };
}

function dependencyOutputs(
  dependsOn: Dependencies,
  outputs: Readonly<Partial<Record<ResourceKey, Outputs>>>,
): DependencyOutputs<Dependencies> {
  return Object.fromEntries(
    Object.entries(dependsOn).map(([name, dependency]) => [name, outputs[dependency.key]]),
  );
}

const mustPush = (seen: Observed<Outputs>): boolean =>
  seen.state === 'absent' || seen.state === 'drifted' || seen.state === 'failed';

function toResult(seen: Observed<Outputs>, did: Did, wish: string): ReconcileResult {
  switch (seen.state) {
    case 'ready':
      return {
        kind: 'ready',
        did,
        outputs: seen.outputs,
        wish,
        ...(seen.notices ? { notices: seen.notices } : {}),
      };
    case 'changing':
      return {
        kind: 'waiting',
        did,
        reason: seen.reason,
        ...(seen.retryAfterSeconds === undefined ? {} : { retryAfterSeconds: seen.retryAfterSeconds }),
      };
    case 'absent':
      return { kind: 'waiting', did, reason: 'asked for, and does not show yet' };
    case 'drifted':
      return {
        kind: 'waiting',
        did,
        reason: `asked to change, and does not show yet: ${seen.differences.map(({ path }) => path).join(', ')}`,
      };
    case 'failed':
      return {
        kind: 'failed',
        did,
        failure: { kind: 'retryable', code: seen.code, message: seen.message },
      };
    case 'foreign':
      return { kind: 'failed', did, failure: { kind: 'fatal', code: 'Foreign', message: seen.reason } };
  }
}

async function withinTime<T>(work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(retryable('TookTooLong', 'the cloud did not answer in time')),
      LONGEST_MILLISECONDS,
    );
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
