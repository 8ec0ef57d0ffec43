/**
 * The kubelets of all nodes: from a scheduled pod to running containers and back. Pods are reconciled in every pass;
 * what runs in them lives in memory and is taken up again after a restart of the sandbox.
 * Slightly long, since a pod's way in and its way out belong together.
 */
import type { Software } from '../../neighbours.ts';
import type { Table } from '../../world.ts';
import { NODES, PODS } from '../api/kinds.ts';
import { FIRST_MOUNT_RETRY, LONGEST_MOUNT_RETRY } from '../durations.ts';
import {
  type Condition,
  type ContainerStatus,
  type Node,
  type Pod,
  timestamp,
  withCondition,
} from '../object.ts';
import type { Process, Surroundings } from '../processes/process.ts';
import { ContainerRun, type ImageCache, type LogLine } from './container-run.ts';
import type { ControllerContext } from './controller.ts';
import { poolOfNode } from './nodes.ts';
import { type MountedVolume, prepareVolumes } from './pod-volumes.ts';

interface PodRun {
  readonly node: string;
  readonly initial: readonly ContainerRun[];
  readonly main: readonly ContainerRun[];
  volumes: ReadonlyMap<string, MountedVolume> | undefined;
  volumesReadyAt: number;
  mountFailures: number;
  mountRetryAt: number;
  /** When the last container will have ended; set once the pod is being deleted. */
  goneAt?: number;
}

export interface RunningContainer {
  readonly pod: Pod;
  readonly container: string;
  readonly software: Software;
  readonly process: Process;
}

export class Kubelet {
  readonly #runs = new Map<string, PodRun>();
  readonly #surroundings: Surroundings;
  readonly #images: ImageCache;
  readonly #lookAgain: () => void;
  /** Pods whose node was switched off under them. */
  readonly #interrupted: Table<boolean>;

  constructor(
    surroundings: Surroundings,
    images: ImageCache,
    interrupted: Table<boolean>,
    lookAgain: () => void,
  ) {
    this.#surroundings = surroundings;
    this.#images = images;
    this.#interrupted = interrupted;
    this.#lookAgain = lookAgain;
  }

  reconcile(context: ControllerContext): void {
    const pods = context.api.list<Pod>(PODS);
    const uids = new Set(pods.map(({ metadata }) => metadata.uid));
    for (const [uid, run] of this.#runs) {
      if (uids.has(uid)) continue;
      stopAll(run);
      this.#runs.delete(uid);
    }
    for (const pod of pods) {
      if (pod.metadata.deletionTimestamp !== undefined) this.#terminate(context, pod);
      else if (pod.spec.nodeName !== undefined && !isFinished(pod)) this.#reconcilePod(context, pod);
    }
  }

  /** The nodes are switched off: everything in memory ends. */
  powerOff(): void {
    for (const [uid, run] of this.#runs) {
      stopAll(run);
      this.#interrupted.set(uid, true);
    }
    this.#runs.clear();
  }

  /** The sandbox ends; the containers will be taken up when it starts again. */
  detach(): void {
    for (const run of this.#runs.values()) stopAll(run);
    this.#runs.clear();
  }

  lookAgain(where: 'world' | 'cluster'): void {
    for (const run of this.#runs.values()) for (const container of run.main) container.lookAgain(where);
  }

  running(): RunningContainer[] {
    const pods = this.#surroundings.api.list<Pod>(PODS);
    return pods.flatMap((pod) =>
      (this.#runs.get(pod.metadata.uid)?.main ?? []).flatMap((run) => {
        const { process, software } = run;
        return process && software ? [{ pod, container: run.spec.name, software, process }] : [];
      }),
    );
  }

  runOf(pod: Pod, container: string): ContainerRun | undefined {
    const run = this.#runs.get(pod.metadata.uid);
    return [...(run?.main ?? []), ...(run?.initial ?? [])].find(({ spec }) => spec.name === container);
  }

  logOf(pod: Pod, container: string, previous: boolean): readonly LogLine[] | undefined {
    return this.runOf(pod, container)?.log(previous);
  }

  #open(context: ControllerContext, pod: Pod): PodRun {
    const known = this.#runs.get(pod.metadata.uid);
    if (known) return known;
    const make = (spec: ContainerRun['spec']): ContainerRun =>
      new ContainerRun(spec, this.#surroundings, this.#images, this.#lookAgain);
    const run: PodRun = {
      node: pod.spec.nodeName ?? '',
      initial: (pod.spec.initContainers ?? []).map(make),
      main: pod.spec.containers.map(make),
      volumes: undefined,
      volumesReadyAt: 0,
      mountFailures: 0,
      mountRetryAt: 0,
    };
    this.#runs.set(pod.metadata.uid, run);
    const statuses = [...(pod.status?.initContainerStatuses ?? []), ...(pod.status?.containerStatuses ?? [])];
    const wasInterrupted = this.#interrupted.delete(pod.metadata.uid);
    const hasRun = statuses.some(({ state }) => state?.running || state?.terminated);
    if (hasRun && !wasInterrupted) {
      // What was mounted stays mounted: the driver is not asked again.
      const pool = poolOfNode(context.cluster, pod.spec.nodeName);
      const prepared = prepareVolumes(context, pod, pool?.vnetId ?? '', () => true);
      if (prepared.ok) run.volumes = prepared.volumes;
    }
    for (const container of [...run.initial, ...run.main]) {
      const status = statuses.find(({ name }) => name === container.spec.name);
      if (!status) continue;
      if (wasInterrupted) container.interrupt(status, pod.spec.restartPolicy, context.now);
      else if (run.volumes) container.resume(status, pod, run.volumes);
    }
    return run;
  }

  #reconcilePod(context: ControllerContext, pod: Pod): void {
    const run = this.#open(context, pod);
    const deadline = deadlineOf(pod);
    if (context.now >= deadline) {
      this.#expire(context, pod, run);
      return;
    }
    context.wake(deadline);
    if (!this.#mount(context, pod, run) || !run.volumes) {
      this.#writeStatus(context, pod, run, 'ContainerCreating');
      return;
    }
    const unfinished = run.initial.find(({ exitCode }) => exitCode !== 0);
    if (unfinished) {
      unfinished.step(context, pod, run.volumes);
      if (run.initial.some(({ exitCode }) => exitCode !== 0)) {
        this.#writeStatus(context, pod, run, 'PodInitializing');
        return;
      }
    }
    const addressed =
      pod.status?.podIP === undefined ? this.#writeStatus(context, pod, run, 'ContainerCreating') : pod;
    for (const container of run.main) container.step(context, addressed, run.volumes);
    this.#writeStatus(context, addressed, run, undefined);
  }

  /** `activeDeadlineSeconds` counts from when the kubelet took the pod up (pkg/kubelet/active_deadline.go). */
  #expire(context: ControllerContext, pod: Pod, run: PodRun): void {
    const message = 'Pod was active on the node longer than the specified deadline';
    const from = { component: 'kubelet', host: run.node };
    context.events.record(pod, 'Normal', 'DeadlineExceeded', message, from);
    for (const container of [...run.initial, ...run.main]) container.expire(context);
    const stopped = this.#writeStatus(context, pod, run, undefined);
    context.api.changeStatus(
      PODS,
      stopped,
      (draft) => {
        draft.status = { ...draft.status, phase: 'Failed', reason: 'DeadlineExceeded', message };
      },
      'kubelet',
    );
    stopAll(run);
  }

  /** Whether the pod's volumes are there; asks again later when not. */
  #mount(context: ControllerContext, pod: Pod, run: PodRun): boolean {
    const { now } = context;
    if (run.volumes) {
      if (now < run.volumesReadyAt) context.wake(run.volumesReadyAt);
      return now >= run.volumesReadyAt;
    }
    if (now < run.mountRetryAt) {
      context.wake(run.mountRetryAt);
      return false;
    }
    const pool = poolOfNode(context.cluster, run.node);
    const staged = new Set(
      [...this.#runs.values()]
        .filter((other) => other !== run && other.node === run.node && now >= other.volumesReadyAt)
        .flatMap((other) => [...(other.volumes?.values() ?? [])].map(({ volume }) => volume)),
    );
    const prepared = prepareVolumes(context, pod, pool?.vnetId ?? '', (volume) => staged.has(volume));
    if (prepared.ok) {
      run.volumes = prepared.volumes;
      run.volumesReadyAt = now + prepared.milliseconds;
      return this.#mount(context, pod, run);
    }
    run.mountFailures += 1;
    run.mountRetryAt = now + Math.min(FIRST_MOUNT_RETRY * 2 ** (run.mountFailures - 1), LONGEST_MOUNT_RETRY);
    context.events.record(pod, 'Warning', prepared.reason, prepared.message, {
      component: prepared.reason === 'FailedMount' ? 'kubelet' : 'attachdetach-controller',
      host: run.node,
    });
    context.wake(run.mountRetryAt);
    return false;
  }

  #terminate(context: ControllerContext, pod: Pod): void {
    const { api, now } = context;
    const run = this.#runs.get(pod.metadata.uid);
    const grace = (pod.metadata.deletionGracePeriodSeconds ?? 0) * 1000;
    if (run && run.goneAt === undefined) {
      const takes = Math.max(0, ...run.main.map(({ stopMilliseconds }) => stopMilliseconds));
      run.goneAt = now + Math.min(takes, grace);
      for (const { spec, isRunning } of run.main) {
        if (!isRunning) continue;
        context.events.record(pod, 'Normal', 'Killing', `Stopping container ${spec.name}`, {
          component: 'kubelet',
          host: run.node,
          fieldPath: `spec.containers{${spec.name}}`,
        });
      }
      stopAll(run);
    }
    const goneAt = Math.min(run?.goneAt ?? now, Date.parse(pod.metadata.deletionTimestamp ?? '') || now);
    if (now < goneAt) {
      context.wake(goneAt);
      return;
    }
    if ((pod.metadata.finalizers ?? []).length > 0) return;
    this.#runs.delete(pod.metadata.uid);
    this.#interrupted.delete(pod.metadata.uid);
    api.removeNow(PODS, pod);
  }

  #writeStatus(context: ControllerContext, pod: Pod, run: PodRun, pending: string | undefined): Pod {
    const { api, now } = context;
    const show = (container: ContainerRun): ContainerStatus =>
      pending === undefined || run.initial.includes(container)
        ? container.status(pod, now)
        : container.pendingStatus(pending);
    const statuses = run.main.map(show);
    const initial = run.initial.map(show);
    const exits = run.main.map(({ exitCode }) => exitCode);
    const policy = pod.spec.restartPolicy ?? 'Always';
    const isOver =
      pending === undefined &&
      exits.every((code) => code !== undefined) &&
      (policy === 'Never' || (policy === 'OnFailure' && exits.every((code) => code === 0)));
    const hasStarted = statuses.some(
      ({ state, lastState }) => state?.running || state?.terminated || lastState?.terminated,
    );
    const phase = isOver
      ? exits.every((code) => code === 0)
        ? 'Succeeded'
        : 'Failed'
      : hasStarted
        ? 'Running'
        : 'Pending';
    if (isOver) stopAll(run);
    const ready = !isOver && statuses.every((status) => status.ready);
    const initialized = run.initial.every(({ exitCode }) => exitCode === 0);
    const unready = statuses.filter((status) => !status.ready).map(({ name }) => name);
    const why: Partial<Condition> = ready
      ? {}
      : isOver
        ? { reason: 'PodCompleted' }
        : { reason: 'ContainersNotReady', message: `containers with unready status: [${unready.join(' ')}]` };
    const stamp = timestamp(now);
    const hasAddress = run.volumes !== undefined;
    return api.changeStatus(
      PODS,
      pod,
      (draft) => {
        let conditions = draft.status?.conditions as Condition[] | undefined;
        const put = (type: string, ok: boolean, rest: Partial<Condition> = {}): void => {
          conditions = withCondition(conditions, { type, status: ok ? 'True' : 'False', ...rest }, stamp);
        };
        put('PodReadyToStartContainers', hasAddress);
        put('Initialized', initialized, initialized ? {} : { reason: 'ContainersNotInitialized' });
        put('Ready', ready, why);
        put('ContainersReady', ready, why);
        const address = draft.status?.podIP ?? (hasAddress ? freeAddress(api.list<Pod>(PODS)) : undefined);
        draft.status = {
          ...draft.status,
          phase,
          startTime: draft.status?.startTime ?? stamp,
          hostIP: draft.status?.hostIP ?? nodeAddress(api.find<Node>(NODES, '', run.node)),
          ...(address === undefined ? {} : { podIP: address, podIPs: [{ ip: address }] }),
          conditions: conditions ?? [],
          containerStatuses: statuses,
          ...(initial.length > 0 ? { initContainerStatuses: initial } : {}),
        };
      },
      'kubelet',
    );
  }
}

function stopAll(run: PodRun): void {
  for (const container of [...run.initial, ...run.main]) container.stop();
}

function deadlineOf({ spec, status }: Pod): number {
  const { activeDeadlineSeconds } = spec;
  return activeDeadlineSeconds === undefined || status?.startTime === undefined
    ? Number.POSITIVE_INFINITY
    : Date.parse(status.startTime) + activeDeadlineSeconds * 1000;
}

function isFinished(pod: Pod): boolean {
  return pod.status?.phase === 'Succeeded' || pod.status?.phase === 'Failed';
}

function nodeAddress(node: Node | undefined): string {
  return node?.status?.addresses?.find(({ type }) => type === 'InternalIP')?.address ?? '';
}

/** Azure CNI overlay: 10.244.0.0/16. */
function freeAddress(pods: readonly Pod[]): string {
  const taken = new Set(pods.map(({ status }) => status?.podIP));
  for (let number = 10; ; number += 1) {
    const address = `10.244.${Math.floor(number / 250)}.${(number % 250) + 1}`;
    if (!taken.has(address)) return address;
  }
}
