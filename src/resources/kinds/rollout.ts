/**
 * A workload whose image is guarded: a new one is tried, watched, and kept only when it has proved itself; one that
 * fails gives way to the last good one and is quarantined, so that its digest is not tried again under whatever tag.
 *
 * Nothing is remembered but in the cloud: the Deployment's annotation names the image last proven good, its template
 * the one that runs. Where they differ the running one is on trial, and each look judges it by the evidence at hand:
 *  - a pod of its own template crashes again and again, or its image can never be pulled;
 *  - its pods run and are not ready when the progress deadline is over;
 *  - all pods are ready, and two minutes later what they serve is still broken.
 * What keeps pods from starting at all (no room, no volume, no secret, a registry out of reach) speaks against no image.
 * A newer candidate ends the trial at once and unjudged: it replaces what is on trial by being another image.
 *
 * The very first image has nothing to fall back to: its trouble is told like any other, and it is good once it runs.
 */
import type { KubernetesApi, KubernetesObject } from '../../clients/kubernetes-api.ts';
import { fatal } from '../../graph/failure.ts';
import type { Notice } from '../../graph/finding.ts';
import type { Dependencies, DependencyOutputs, Observed, Resource } from '../../graph/resource.ts';
import { managedBy } from '../../naming.ts';
import type { ImageName } from '../../spec/spec.ts';
import type { images } from '../azure/images.ts';
import type { Scope, Wishes, Workload } from '../scope.ts';
import {
  connect,
  isOurs,
  type KubernetesObjects,
  kubernetesObjects,
  type Manifest,
} from './kubernetes-object.ts';
import { isReady, type Pod, podsOf, revisionOf } from './pods.ts';
import { restart } from './restart.ts';
import { imageOf, isRolledOut, progressOf, replicasOf } from './workload.ts';

const goodAnnotation = `${managedBy}/good-image`;

/** A crash or two at the start is ordinary: a dependency that comes up in the same moment. */
const LEAST_RESTARTS = 3;
/** A registry that is out of reach for a moment is the kubelet's to retry. */
const PULL_PATIENCE_MS = 300_000;
const SERVICE_PATIENCE_MS = 120_000;
const LOOK_AGAIN_SECONDS = 10;

type GuardedDependencies = Dependencies & { readonly images: typeof images };

export interface GuardedWorkload<Deps extends GuardedDependencies>
  extends Omit<KubernetesObjects<Deps, Rollout>, 'outputs'> {
  readonly image: ImageName;
  /** What shows only when all pods are ready and are asked for something; undefined when they serve. */
  serviceTrouble?(scope: Scope, api: KubernetesApi): Promise<string | undefined>;
}

/** What runs: enough for a receipt of who was replaced by what. */
export type Rollout = {
  readonly image: string;
  /** The Deployment's own count of its templates. */
  readonly revision: string;
  /** Names of the ready pods of the newest template. */
  readonly pods: readonly string[];
};

/** The image last proven good, as a whole reference; undefined before the first one has run. */
export const goodImageOf = (deployment: KubernetesObject | undefined): string | undefined =>
  deployment?.metadata.annotations?.[goodAnnotation];

interface Plan {
  readonly image: string;
  readonly good: string | undefined;
}

interface Verdict extends Plan {
  readonly deployment?: KubernetesObject;
  /** Why the image on trial is given up. */
  readonly rejection?: string;
  /** What the image on trial has still to prove. */
  readonly lacks?: string;
}

/** The Deployment is the first of the workload's objects; its pods' image is `deps.images[image]`. */
export function guardedWorkload<const Deps extends GuardedDependencies>(
  workload: GuardedWorkload<Deps>,
): Resource<Scope, Deps, Rollout> & Pick<KubernetesObjects<Deps, Rollout>, 'objects'> {
  const carryingOut = (plan?: Verdict) =>
    kubernetesObjects<Deps, Rollout>({
      ...workload,
      objects: (scope, known) =>
        workload
          .objects(scope, known)
          .map((manifest) =>
            manifest.kind === 'Deployment'
              ? withRestart(withImage(manifest, workload.image, plan), scope.wishes)
              : manifest,
          ),
      outputs: () => ({ image: plan?.image ?? '', revision: '', pods: [] }),
    });

  const judge = async (scope: Scope, deps: DependencyOutputs<Deps>): Promise<Verdict> => {
    const api = await connect(scope);
    const deployment = api && (await findOurs(api, scope, workload.objects(scope, deps)[0]));
    const good = goodImageOf(deployment);
    const candidate = imagesOf(deps)[workload.image];
    const image = candidate !== '' && !scope.quarantine.has(digestOf(candidate)) ? candidate : good;
    if (image === undefined) {
      const field = `registry.images.${workload.image}`;
      throw fatal(
        'NoImage',
        `every image that ${field} admits is quarantined, and none has been good before`,
      );
    }
    if (!api || !deployment) return { image, good };
    const plan = { deployment, image, good };
    if (image === good || imageOf(deployment) !== image) return plan;
    const isRunning = isRolledOut(deployment) && replicasOf(deployment) > 0;
    if (good === undefined) return { ...plan, good: isRunning ? image : undefined };
    if (!isRunning) {
      const { current } = await podsOf(api, deployment);
      const own = current.filter((pod) => pod.spec.containers[0]?.image === image);
      const rejection = troubleOfImage(scope.now, deployment, own);
      return rejection === undefined ? plan : { ...plan, rejection };
    }
    // What serves is judged only while all else is as wished: the image is not to blame for the rest.
    if ((await carryingOut(plan).observe(scope, deps)).state !== 'ready') return plan;
    const trouble = await workload.serviceTrouble?.(scope, api);
    if (trouble === undefined) return { ...plan, good: image };
    return isOverdue(scope.now, deployment) ? { ...plan, rejection: trouble } : { ...plan, lacks: trouble };
  };

  const plain = carryingOut();
  return {
    ...plain,

    async observe(scope, deps): Promise<Observed<Rollout>> {
      const verdict = await judge(scope, deps);
      const { image, good, rejection, lacks, deployment } = verdict;
      if (rejection !== undefined) {
        return { state: 'failed', code: 'ImageRejected', message: `${image} ${rejection}` };
      }
      const seen = await carryingOut(verdict).observe(scope, deps);
      if (seen.state !== 'ready' || !deployment) return seen;
      if (image !== good) {
        const reason = `${image} is rolled out and has to prove itself${lacks ? `: it ${lacks}` : ''}`;
        return { state: 'changing', reason, retryAfterSeconds: LOOK_AGAIN_SECONDS };
      }
      const api = await scope.clients.kubernetes(scope.names.resourceGroup, scope.names.cluster);
      const { current } = await podsOf(api, deployment);
      const pods = current.filter(isReady).map(({ metadata }) => metadata.name);
      return {
        ...seen,
        outputs: { image, revision: revisionOf(deployment), pods: pods.toSorted() },
        notices: [...(seen.notices ?? []), ...quarantineNotices(scope, workload.image)],
      };
    },

    async ensure(scope, deps, seen) {
      const verdict = await judge(scope, deps);
      const { image, good, rejection } = verdict;
      if (rejection === undefined || good === undefined) {
        await carryingOut(verdict).ensure(scope, deps, seen);
        return;
      }
      // Entered first: should this process die here, the next look restores the good one because of it.
      const repository = scope.spec.registry.images[workload.image].repository;
      await scope.quarantine.add({
        digest: digestOf(image),
        repository,
        reason: `It ${oneLine(rejection)}.`,
      });
      await carryingOut({ image: good, good }).ensure(scope, deps, seen);
    },
  };
}

/** The manifest with the planned image, and the good one on record. */
const withImage = <Deps extends GuardedDependencies>(
  manifest: Manifest<Deps>,
  name: ImageName,
  plan: Plan | undefined,
): Manifest<Deps> => ({
  ...manifest,
  body: (deps, found) => {
    const { image, good } = plan ?? planWithoutTrial(imagesOf(deps)[name], found);
    const { [goodAnnotation]: _, ...others } = found?.metadata.annotations ?? {};
    const record = good === undefined ? {} : { [goodAnnotation]: good };
    // The workload's own wishes may depend on whether there is a good image: they see what is about to be recorded.
    const known = found && {
      ...found,
      metadata: { ...found.metadata, annotations: { ...others, ...record } },
    };
    const { annotations, ...body } = manifest.body(
      { ...deps, images: { ...imagesOf(deps), [name]: image } } as DependencyOutputs<Deps>,
      known,
    );
    return { ...body, annotations: { ...annotations, ...record } };
  },
});

const withRestart = <Deps extends Dependencies>(
  manifest: Manifest<Deps>,
  wishes: Wishes | undefined,
): Manifest<Deps> => {
  const after = wishes?.restartAfter[manifest.name as Workload];
  return after === undefined ? manifest : { ...manifest, once: restart(after) };
};

function planWithoutTrial(image: string, found: KubernetesObject | undefined): Plan {
  const good = goodImageOf(found);
  const isProven =
    found !== undefined && imageOf(found) === image && isRolledOut(found) && replicasOf(found) > 0;
  return { image, good: good ?? (isProven ? image : undefined) };
}

const imagesOf = (deps: object): Readonly<Record<ImageName, string>> =>
  (deps as { readonly images: Readonly<Record<ImageName, string>> }).images;

const digestOf = (image: string): string => image.split('@')[1] ?? '';

async function findOurs<Deps extends Dependencies>(
  api: KubernetesApi,
  scope: Scope,
  manifest: Manifest<Deps> | undefined,
): Promise<KubernetesObject | undefined> {
  if (!manifest) return undefined;
  const { apiVersion, kind, name } = manifest;
  const found = await api.find({ apiVersion, kind, name, namespace: scope.names.namespace });
  return found && isOurs(found, scope) && !found.metadata.deletionTimestamp ? found : undefined;
}

/** Words in which kubelets tell of a registry that is out of reach or does not let them in. */
const notTheImage =
  /\b(401|403|429|5\d\d)\b|unauthorized|forbidden|denied|no such host|timeout|timed out|refused|too many/i;

/** What speaks against an image while it is being rolled out. */
function troubleOfImage(now: Date, deployment: KubernetesObject, pods: readonly Pod[]): string | undefined {
  for (const { metadata, status } of pods) {
    for (const { state, lastState, restartCount } of status.containerStatuses) {
      const { reason = '', message = '' } = state.waiting ?? {};
      if (reason === 'CrashLoopBackOff' && restartCount >= LEAST_RESTARTS) {
        const { exitCode = 'unknown', message: words = '' } = lastState.terminated ?? {};
        return oneLine(`crashes again and again: exit code ${exitCode}${words ? `, ${words}` : ''}`);
      }
      const isOld = now.getTime() - Date.parse(metadata.creationTimestamp) >= PULL_PATIENCE_MS;
      const isUnpullable =
        ['ImagePullBackOff', 'ErrImagePull'].includes(reason) && !notTheImage.test(message);
      if (reason === 'InvalidImageName' || (isUnpullable && isOld)) {
        return oneLine(`cannot be pulled: ${message || reason}`);
      }
    }
  }
  const hasStarted = pods.some(
    (pod) =>
      !isReady(pod) &&
      pod.status.containerStatuses.some(
        ({ state, lastState }) => state.running || state.terminated || lastState.terminated,
      ),
  );
  const isLate = progressOf(deployment)?.reason === 'ProgressDeadlineExceeded';
  return isLate && hasStarted ? 'runs and does not get ready in time' : undefined;
}

const oneLine = (text: string): string => text.replaceAll(/\s+/g, ' ').trim().slice(0, 400);

/** Since when all of it has been rolled out stands in the Deployment's own status. */
function isOverdue(now: Date, deployment: KubernetesObject): boolean {
  const { reason, lastUpdateTime } = progressOf(deployment) ?? {};
  return (
    reason === 'NewReplicaSetAvailable' &&
    lastUpdateTime !== undefined &&
    now.getTime() - Date.parse(lastUpdateTime) >= SERVICE_PATIENCE_MS
  );
}

/** Of more than these, the newest are told one by one. */
const MOST_TOLD = 5;

function quarantineNotices(scope: Scope, name: ImageName): readonly Notice[] {
  const { repository } = scope.spec.registry.images[name];
  const quarantined = scope.quarantine.of(repository);
  if (quarantined.length === 0) return [];
  const deployment = `/api/deployments/${scope.names.deployment}`;
  const told = quarantined.slice(-MOST_TOLD);
  const lifting = told.map(({ digest }) => `DELETE ${deployment}/quarantine/${digest}`);
  const others =
    told.length < quarantined.length
      ? ` GET ${deployment} tells of ${quarantined.length - told.length} more.`
      : '';
  return [
    {
      id: 'image-quarantined',
      severity: 'warning',
      what: `${quarantined.length === 1 ? 'An image' : 'Images'} of ${repository} failed and will not be deployed again.`,
      evidence: `${told.map(({ digest, reason }) => `${digest}: ${oneLine(reason)}`).join(' ')}${others}`,
      breaks: 'Nothing: the last good image runs.',
      remedy: `Push another image, or have it tried once more: ${lifting.join(', ')}`,
    },
  ];
}
