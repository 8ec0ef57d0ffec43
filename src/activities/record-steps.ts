import { toFailure } from '../clients/cloud-failure.ts';
import type { Finding, Notice } from '../graph/finding.ts';
import type { ResourceKey } from '../graph/resource.ts';
import type { Activities, StepProgress } from '../orchestrations/activities.ts';
import type { StackResource } from '../resources/index.ts';
import { isUnsettled } from '../store/drift.ts';
import type { StepRecord, Store } from '../store/store.ts';
import { settled } from './drift.ts';
import type { Implementation } from './implementation.ts';
import { loadStack, shapeOf } from './stack.ts';

const isoTime = (milliseconds: number): string => new Date(milliseconds).toISOString();

/** Writes how far the given resources have got into the operations' records, and what was noticed about them. */
export const recordSteps =
  (store: Store): Implementation<Activities['recordSteps']> =>
  async ({ deployment, operations, steps }) => {
    try {
      const { wanted } = await loadStack(store, deployment);
      const waitsFor = new Map(shapeOf(wanted).map((node) => [node.key, node.waitsFor]));
      const needsEarlier = steps.some(
        (step) => isUndecided(step) || step.notices || step.failure || step.wish === undefined,
      );
      const earlier = needsEarlier ? await store.lastLook(deployment) : [];
      const toRecord = ({
        startedAt,
        readyAt,
        seenAt,
        differed: _,
        held = [],
        notices = [],
        ...step
      }: StepProgress): StepRecord => {
        const resource = wanted.find(({ key }) => key === step.key);
        const last = earlier.find(({ key }) => key === step.key);
        const before = last?.findings ?? [];
        const failed = step.state === 'failed' && step.failure ? [asNotice(deployment, step, resource)] : [];
        const findings = isUndecided(step)
          ? before
          : [...failed, ...notices].map((notice) => sinceWhen(step.key, notice, before));
        return {
          // What reads the last look meanwhile, the door for events for one, is not to know less than before.
          ...(last?.outputs ? { outputs: last.outputs } : {}),
          // Whatever has become of it since, that is what it was last asked for and found as, and when.
          ...(last?.wish === undefined ? {} : { wish: last.wish }),
          ...(last?.seenAt === undefined ? {} : { seenAt: last.seenAt }),
          ...step,
          title: resource?.title ?? step.key,
          ordinal: wanted.findIndex(({ key }) => key === step.key),
          waitsFor: waitsFor.get(step.key) ?? [],
          ...(held.length > 0 && notices.length > 0
            ? { reason: notices.map(({ what }) => what).join(' ') }
            : {}),
          ...(findings.length > 0 ? { findings } : {}),
          ...(startedAt === undefined ? {} : { startedAt: isoTime(startedAt) }),
          ...(readyAt === undefined ? {} : { readyAt: isoTime(readyAt) }),
          ...(seenAt === undefined ? {} : { seenAt: isoTime(seenAt) }),
        };
      };
      await store.recordSteps(
        deployment,
        operations.map(({ id }) => id),
        steps.map(toRecord),
      );
      await settleDrift(store, deployment, operations[0]?.id, steps, new Set(waitsFor.keys()));
      return { ok: true };
    } catch (error) {
      return { ok: false, failure: toFailure(error) };
    }
  };

/** What is as asked again has been put right, or was by somebody else. */
async function settleDrift(
  store: Store,
  deployment: string,
  operationId: string | undefined,
  steps: readonly StepProgress[],
  wanted: ReadonlySet<ResourceKey>,
): Promise<void> {
  const ready = new Map(steps.flatMap((step) => (step.state === 'ready' ? [[step.key, step]] : [])));
  if (ready.size === 0) return;
  const over = (await store.drift.unsettled(deployment)).filter(({ resource, path }) => {
    const step = ready.get(resource);
    if (!wanted.has(resource)) return true;
    return step !== undefined && !(step.held ?? []).includes(path);
  });
  const at = new Date().toISOString();
  for (const { resource, path } of over) {
    // A person may have accepted it meanwhile, or the log told who it was.
    await store.drift.change(deployment, resource, path, (record) =>
      isUnsettled(record) ? settled(record, at, operationId) : undefined,
    );
  }
}

/** Until a look has an answer, what was found wrong before is still said, since when it was. */
const isUndecided = ({ state }: StepProgress): boolean => state !== 'ready' && state !== 'failed';

/** The same trouble as before has been there since then. */
function sinceWhen(resource: ResourceKey, notice: Notice, before: readonly Finding[]): Finding {
  const known = before.find(({ id }) => id === notice.id);
  return { ...notice, resource, since: known?.since ?? new Date().toISOString() };
}

/** What a resource failed with, as a finding. */
function asNotice(
  deployment: string,
  { key, failure }: StepProgress,
  resource: StackResource | undefined,
): Notice {
  const [title, message] = [resource?.title ?? key, failure?.message ?? 'failed'];
  return {
    id: failure?.code ?? 'failed',
    severity: 'error',
    what: message.startsWith(title) ? message : `${title}: ${message}`,
    evidence: failure?.code ?? '',
    breaks: 'it is not as asked, and what depends on it is not looked after',
    remedy: `Put right what is said here. The next regular look then goes on; at once: POST /api/deployments/${deployment}/repair`,
  };
}
