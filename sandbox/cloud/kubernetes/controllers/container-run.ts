/**
 * One container of one pod on its node: pulled, configured, started, probed, restarted with back-off. What it shows is
 * its `ContainerStatus`; what it does inside is a process. A single state machine, and long because its states are read
 * best side by side.
 */
import { randomUUID } from 'node:crypto';
import type { Behaviour, Software } from '../../neighbours.ts';
import {
  BACKOFF_RESET,
  CREATE_CONTAINER,
  FIRST_BACKOFF,
  KUBELET_SYNC,
  LONGEST_BACKOFF,
  PULL,
  PULL_ERROR_SHOWN,
  STOP,
} from '../durations.ts';
import { type Container, type ContainerStatus, type Pod, type Probe, timestamp } from '../object.ts';
import type { Mount, Process, ProcessContext, Surroundings } from '../processes/process.ts';
import { startProcess } from '../processes/start.ts';
import type { ControllerContext } from './controller.ts';
import { environmentOf } from './pod-environment.ts';
import type { MountedVolume } from './pod-volumes.ts';
import { ProbeWatch, probe } from './probes.ts';

export interface LogLine {
  readonly time: number;
  readonly text: string;
}

export interface Image {
  readonly digest: string;
  readonly software: Software;
  readonly behaviour?: Behaviour | undefined;
}

/** The images a node has. */
export interface ImageCache {
  find(node: string, image: string): Image | undefined;
  add(node: string, image: string, found: Image): void;
}

interface Run {
  readonly process: Process;
  readonly startedAt: number;
  readonly log: LogLine[];
  readonly end: AbortController;
  readonly id: string;
  startup: ProbeWatch | undefined;
  liveness: ProbeWatch | undefined;
  readiness: ProbeWatch | undefined;
  isStarted: boolean;
  exitCode?: number;
  /** Set while it is being killed: when it is over. */
  killedAt?: number;
}

type Terminated = NonNullable<NonNullable<ContainerStatus['state']>['terminated']>;

const KEPT_LINES = 2000;
/** MaxContainerTerminationMessageLogLines and -Length in pkg/kubelet/container/runtime.go. */
const LAST_LINES = 80;
const LAST_BYTES = 2048;

export class ContainerRun {
  readonly spec: Container;
  readonly #surroundings: Surroundings;
  readonly #images: ImageCache;
  readonly #lookAgain: () => void;
  #image: Image | undefined;
  #phase: 'pull' | 'pulling' | 'create' | 'creating' | 'running' | 'ended' = 'pull';
  #waiting: { reason: string; message?: string } = { reason: 'ContainerCreating' };
  #dueAt = 0;
  #pullFailures = 0;
  #crashes = 0;
  #restartCount = 0;
  #run: Run | undefined;
  #previousLog: readonly LogLine[] = [];
  #ended: Terminated | undefined;
  #last: Terminated | undefined;

  constructor(spec: Container, surroundings: Surroundings, images: ImageCache, lookAgain: () => void) {
    this.spec = spec;
    this.#surroundings = surroundings;
    this.#images = images;
    this.#lookAgain = lookAgain;
  }

  /** Takes up a container that ran before the sandbox was restarted. */
  resume(status: ContainerStatus, pod: Pod, mounts: ReadonlyMap<string, MountedVolume>): void {
    this.#restartCount = status.restartCount;
    this.#last = status.lastState?.terminated;
    const image = this.#images.find(pod.spec.nodeName ?? '', this.spec.image ?? '');
    if (status.state?.terminated) {
      this.#ended = status.state.terminated;
      this.#phase = 'ended';
      this.#image = image;
      return;
    }
    const startedAt = status.state?.running?.startedAt;
    if (!startedAt || !image) return;
    const environment = environmentOf(this.#surroundings.api, pod, this.spec);
    if ('missing' in environment) return;
    this.#image = image;
    const run = this.#start(pod, environment.env, mounts, Date.parse(startedAt), true);
    run.isStarted = status.started === true;
    if (run.isStarted) run.startup = undefined;
    if (run.readiness) run.readiness.value = status.ready;
  }

  /**
   * A node that was stopped starts its containers anew; one that ran and may never run again is found lost
   * (convertToAPIContainerStatuses in pkg/kubelet/kubelet_pods.go).
   */
  interrupt(status: ContainerStatus, policy: string | undefined, now: number): void {
    const began = status.state?.running?.startedAt;
    const ended = status.state?.terminated;
    const stays = policy === 'Never' || (policy === 'OnFailure' && ended?.exitCode === 0);
    if (stays && (began || ended)) {
      this.#restartCount = status.restartCount;
      this.#ended = ended ?? {
        exitCode: 137,
        reason: 'ContainerStatusUnknown',
        message: 'The container could not be located when the pod was terminated',
        ...(began === undefined ? {} : { startedAt: began }),
        finishedAt: timestamp(now),
      };
      this.#phase = 'ended';
      return;
    }
    this.#restartCount = status.restartCount + 1;
  }

  /** The pod's time is up: what runs is killed. */
  expire(context: ControllerContext): void {
    if (this.#phase === 'running' && this.#run) this.#end(context, this.#run, 137, 'Error');
  }

  get isRunning(): boolean {
    return this.#phase === 'running' && this.#run?.killedAt === undefined;
  }

  get process(): Process | undefined {
    return this.isRunning ? this.#run?.process : undefined;
  }

  get software(): Software | undefined {
    return this.#image?.software;
  }

  get exitCode(): number | undefined {
    return this.#phase === 'ended' ? this.#ended?.exitCode : undefined;
  }

  get isReady(): boolean {
    const run = this.#run;
    return this.isRunning && run?.isStarted === true && (run.readiness?.value ?? true);
  }

  get stopMilliseconds(): number {
    return this.isRunning ? STOP[this.#image?.software ?? 'other'] : 0;
  }

  log(previous: boolean): readonly LogLine[] | undefined {
    if (previous) return this.#last || this.#previousLog.length > 0 ? this.#previousLog : undefined;
    return this.#run?.log ?? (this.#previousLog.length > 0 ? this.#previousLog : undefined);
  }

  step(context: ControllerContext, pod: Pod, volumes: ReadonlyMap<string, MountedVolume>): void {
    for (let moved = true; moved; ) {
      const before = this.#phase;
      this.#advance(context, pod, volumes);
      moved = this.#phase !== before;
    }
  }

  #advance(context: ControllerContext, pod: Pod, volumes: ReadonlyMap<string, MountedVolume>): void {
    if (this.#phase !== 'running' && context.now < this.#dueAt) {
      if (this.#waiting.reason === 'ErrImagePull' && context.now >= this.#errorShownUntil)
        this.#backOffPull(context, pod);
      context.wake(
        this.#waiting.reason === 'ErrImagePull' ? Math.min(this.#dueAt, this.#errorShownUntil) : this.#dueAt,
      );
      return;
    }
    switch (this.#phase) {
      case 'pull':
        this.#pull(context, pod);
        return;
      case 'pulling':
        this.#images.add(
          pod.spec.nodeName ?? '',
          this.spec.image ?? '',
          this.#image ?? { digest: '', software: 'other' },
        );
        this.#event(
          context,
          pod,
          'Normal',
          'Pulled',
          `Successfully pulled image "${this.spec.image}" in ${((context.now - this.#pullStartedAt) / 1000).toFixed(3)}s`,
        );
        this.#phase = 'create';
        return;
      case 'create':
        this.#create(context, pod);
        return;
      case 'creating':
        this.#begin(context, pod, volumes);
        return;
      case 'running':
        this.#watch(context, pod);
        return;
      case 'ended':
        this.#restart(context, pod);
        return;
    }
  }

  #pullStartedAt = 0;
  #errorShownUntil = 0;

  #pull(context: ControllerContext, pod: Pod): void {
    const { now, neighbours, cluster } = context;
    const image = this.spec.image ?? '';
    const cached = this.#images.find(pod.spec.nodeName ?? '', image);
    if (cached && this.spec.imagePullPolicy !== 'Always') {
      this.#image = cached;
      this.#event(context, pod, 'Normal', 'Pulled', `Container image "${image}" already present on machine`);
      this.#phase = 'create';
      return;
    }
    if (this.spec.imagePullPolicy === 'Never') {
      this.#wait(
        'ErrImageNeverPull',
        `Container image "${image}" is not present with pull policy of Never`,
        now + KUBELET_SYNC,
      );
      return;
    }
    this.#event(context, pod, 'Normal', 'Pulling', `Pulling image "${image}"`);
    const pulled = neighbours.registries.pull(image, cluster.kubelet.principalId);
    if (pulled.ok) {
      this.#pullFailures = 0;
      const { digest, software, behaviour } = pulled;
      this.#image = { digest, software, behaviour };
      this.#pullStartedAt = now;
      this.#waiting = { reason: 'ContainerCreating' };
      this.#dueAt = now + (cached?.digest === pulled.digest ? 300 : PULL[pulled.software]);
      this.#phase = 'pulling';
      return;
    }
    this.#pullFailures += 1;
    this.#event(context, pod, 'Warning', 'Failed', `Failed to pull image "${image}": ${pulled.reason}`);
    this.#event(context, pod, 'Warning', 'Failed', 'Error: ErrImagePull');
    this.#errorShownUntil = now + PULL_ERROR_SHOWN;
    this.#wait('ErrImagePull', pulled.reason, now + backOff(this.#pullFailures));
  }

  #backOffPull(context: ControllerContext, pod: Pod): void {
    const reason = this.#waiting.message ?? '';
    this.#errorShownUntil = Number.POSITIVE_INFINITY;
    this.#waiting = {
      reason: 'ImagePullBackOff',
      message: `Back-off pulling image "${this.spec.image}": ErrImagePull: ${reason}`,
    };
    this.#event(context, pod, 'Normal', 'BackOff', `Back-off pulling image "${this.spec.image}"`);
    this.#event(context, pod, 'Warning', 'Failed', 'Error: ImagePullBackOff');
  }

  #wait(reason: string, message: string, until: number): void {
    this.#waiting = { reason, message };
    this.#dueAt = until;
  }

  #create(context: ControllerContext, pod: Pod): void {
    const environment = environmentOf(context.api, pod, this.spec);
    if ('missing' in environment) {
      this.#event(context, pod, 'Warning', 'Failed', `Error: ${environment.missing}`);
      this.#wait('CreateContainerConfigError', environment.missing, context.now + KUBELET_SYNC);
      return;
    }
    if (this.#crashes === 0) this.#waiting = { reason: 'ContainerCreating' };
    this.#dueAt = context.now + CREATE_CONTAINER;
    this.#phase = 'creating';
  }

  #begin(context: ControllerContext, pod: Pod, volumes: ReadonlyMap<string, MountedVolume>): void {
    const environment = environmentOf(context.api, pod, this.spec);
    if ('missing' in environment) {
      this.#phase = 'create';
      return;
    }
    this.#event(context, pod, 'Normal', 'Created', `Created container: ${this.spec.name}`);
    this.#event(context, pod, 'Normal', 'Started', `Started container ${this.spec.name}`);
    this.#start(pod, environment.env, volumes, context.now, false);
  }

  #start(
    pod: Pod,
    env: Readonly<Record<string, string>>,
    volumes: ReadonlyMap<string, MountedVolume>,
    startedAt: number,
    isResumed: boolean,
  ): Run {
    const { clock } = this.#surroundings;
    const end = new AbortController();
    const log: LogLine[] = [];
    const mounts: Mount[] = (this.spec.volumeMounts ?? []).flatMap(({ name, mountPath }) => {
      const found = volumes.get(name);
      return found ? [{ path: mountPath, ...found }] : [];
    });
    const context: ProcessContext = {
      ...this.#surroundings,
      pod,
      container: this.spec,
      env,
      mounts,
      isResumed,
      log: (text) => {
        log.push({ time: clock.now(), text });
        if (log.length > KEPT_LINES) log.shift();
        for (const listener of this.logListeners) listener();
      },
      exit: (code) => {
        if (run.exitCode !== undefined || end.signal.aborted) return;
        run.exitCode = code;
        this.#lookAgain();
      },
      changed: () => this.#lookAgain(),
      after: (milliseconds, then) => {
        if (end.signal.aborted) return;
        const stop = (): void => alarm.cancel();
        const alarm = clock.alarm(clock.now() + milliseconds, () => {
          end.signal.removeEventListener('abort', stop);
          then();
        });
        end.signal.addEventListener('abort', stop, { once: true });
      },
    };
    const probeFrom = isResumed ? clock.now() : startedAt;
    const watchOf = (spec: Probe | undefined, initial: boolean): ProbeWatch | undefined =>
      spec && new ProbeWatch(spec, probeFrom, initial);
    const run: Run = {
      process: startProcess(this.#image?.software ?? 'other', context, this.#image?.behaviour),
      startedAt,
      log,
      end,
      id: `containerd://${randomUUID().replaceAll('-', '')}${randomUUID().replaceAll('-', '')}`,
      startup: watchOf(this.spec.startupProbe, false),
      liveness: watchOf(this.spec.livenessProbe, true),
      readiness: watchOf(this.spec.readinessProbe, false),
      isStarted: this.spec.startupProbe === undefined,
    };
    this.#run = run;
    this.#ended = undefined;
    this.#phase = 'running';
    return run;
  }

  readonly logListeners = new Set<() => void>();

  #watch(context: ControllerContext, pod: Pod): void {
    const { now } = context;
    const run = this.#run;
    if (!run) return;
    if (run.killedAt !== undefined) {
      if (now >= run.killedAt) this.#end(context, run, 137, 'Error');
      else context.wake(run.killedAt);
      return;
    }
    if (run.exitCode !== undefined) {
      this.#end(context, run, run.exitCode, run.exitCode === 0 ? 'Completed' : 'Error');
      return;
    }
    const address = pod.status?.podIP ?? '127.0.0.1';
    if (run.startup) {
      const outcome = probe(run.process, run.startup.spec, this.spec, address);
      const { wakeAt } = run.startup.update(outcome.ok, now);
      if (run.startup.value) {
        run.isStarted = true;
        const restartProbe = (watch: ProbeWatch | undefined): ProbeWatch | undefined =>
          watch && new ProbeWatch({ ...watch.spec, initialDelaySeconds: 0 }, now, watch.value);
        run.startup = undefined;
        run.liveness = restartProbe(run.liveness);
        run.readiness = restartProbe(run.readiness);
      } else {
        if (now >= run.startup.givesUpAt) {
          this.#event(context, pod, 'Warning', 'Unhealthy', `Startup probe failed: ${outcome.message}`);
          this.#kill(context, pod, run, 'startup');
          return;
        }
        context.wake(Math.min(wakeAt ?? Number.POSITIVE_INFINITY, run.startup.givesUpAt));
        return;
      }
    }
    if (run.liveness) {
      const outcome = probe(run.process, run.liveness.spec, this.spec, address);
      const { wakeAt, failedFirst } = run.liveness.update(outcome.ok, now);
      if (failedFirst && wakeAt !== undefined) {
        this.#event(context, pod, 'Warning', 'Unhealthy', `Liveness probe failed: ${outcome.message}`);
      }
      if (!run.liveness.value) {
        this.#kill(context, pod, run, 'liveness');
        return;
      }
      if (wakeAt !== undefined) context.wake(wakeAt);
    }
    if (run.readiness) {
      const outcome = probe(run.process, run.readiness.spec, this.spec, address);
      const { wakeAt, failedFirst } = run.readiness.update(outcome.ok, now);
      if (failedFirst)
        this.#event(context, pod, 'Warning', 'Unhealthy', `Readiness probe failed: ${outcome.message}`);
      if (wakeAt !== undefined) context.wake(wakeAt);
    }
  }

  #kill(context: ControllerContext, pod: Pod, run: Run, which: string): void {
    this.#event(
      context,
      pod,
      'Normal',
      'Killing',
      `Container ${this.spec.name} failed ${which} probe, will be restarted`,
    );
    run.killedAt = context.now + STOP[this.#image?.software ?? 'other'];
    run.process.stop();
    context.wake(run.killedAt);
  }

  #end(context: ControllerContext, run: Run, exitCode: number, reason: string): void {
    this.#stopRun(run);
    const ranLong = context.now - run.startedAt >= BACKOFF_RESET;
    this.#crashes = ranLong ? 1 : this.#crashes + 1;
    this.#ended = {
      exitCode,
      reason,
      startedAt: timestamp(run.startedAt),
      finishedAt: timestamp(context.now),
      containerID: run.id,
      ...this.#lastWords(run, exitCode),
    };
    this.#previousLog = run.log;
    this.#run = undefined;
    this.#phase = 'ended';
    // The first restart is immediate; later ones back off (pkg/kubelet/kuberuntime doBackOff).
    this.#dueAt = this.#crashes === 1 ? context.now : context.now + backOff(this.#crashes - 1);
  }

  /** The end of the log, where the container asks for it; the processes here write no message of their own. */
  #lastWords({ log }: Run, exitCode: number): { message?: string } {
    if (this.spec.terminationMessagePolicy !== 'FallbackToLogsOnError' || exitCode === 0) return {};
    const lines = log.slice(-LAST_LINES).map(({ text }) => `${text}\n`);
    const message = Buffer.from(lines.join('')).subarray(-LAST_BYTES).toString();
    return message === '' ? {} : { message };
  }

  #restart(context: ControllerContext, pod: Pod): void {
    const policy = pod.spec.restartPolicy ?? 'Always';
    if (policy === 'Never' || (policy === 'OnFailure' && this.#ended?.exitCode === 0)) return;
    this.#restartCount += 1;
    this.#last = this.#ended;
    this.#ended = undefined;
    this.#phase = 'pull';
    this.#dueAt = context.now;
  }

  #stopRun(run: Run): void {
    if (run.killedAt === undefined) run.process.stop();
    run.end.abort();
    for (const listener of this.logListeners) listener();
  }

  /** The container goes for good, or its node does. */
  stop(): void {
    const run = this.#run;
    if (run && !run.end.signal.aborted) this.#stopRun(run);
  }

  lookAgain(where: 'world' | 'cluster'): void {
    this.process?.lookAgain?.(where);
  }

  #event(
    context: ControllerContext,
    pod: Pod,
    type: 'Normal' | 'Warning',
    reason: string,
    message: string,
  ): void {
    context.events.record(pod, type, reason, message, {
      component: 'kubelet',
      ...(pod.spec.nodeName === undefined ? {} : { host: pod.spec.nodeName }),
      fieldPath: `spec.containers{${this.spec.name}}`,
    });
  }

  /** Shown while the pod's volumes or earlier containers are not ready. */
  pendingStatus(reason: string): ContainerStatus {
    return {
      ...this.#base(),
      ready: false,
      started: false,
      state: { waiting: { reason } },
    };
  }

  status(pod: Pod, now: number): ContainerStatus {
    const run = this.#run;
    if (this.#phase === 'running' && run) {
      return {
        ...this.#base(),
        ready: this.isReady,
        started: run.isStarted,
        containerID: run.id,
        state: { running: { startedAt: timestamp(run.startedAt) } },
      };
    }
    const policy = pod.spec.restartPolicy ?? 'Always';
    if (this.#phase === 'ended' && this.#ended) {
      const stays = policy === 'Never' || (policy === 'OnFailure' && this.#ended.exitCode === 0);
      if (!stays && now < this.#dueAt) {
        const seconds = backOff(this.#crashes - 1) / 1000;
        const wait = seconds >= 60 ? `${Math.floor(seconds / 60)}m${seconds % 60}s` : `${seconds}s`;
        return {
          ...this.#base(),
          ready: false,
          started: false,
          lastState: { terminated: this.#ended },
          state: {
            waiting: {
              reason: 'CrashLoopBackOff',
              message: `back-off ${wait} restarting failed container=${this.spec.name} pod=${pod.metadata.name}_${pod.metadata.namespace}(${pod.metadata.uid})`,
            },
          },
        };
      }
      return { ...this.#base(), ready: false, started: false, state: { terminated: this.#ended } };
    }
    return { ...this.#base(), ready: false, started: false, state: { waiting: this.#waiting } };
  }

  #base(): Omit<ContainerStatus, 'ready' | 'state' | 'started'> {
    const image = this.spec.image ?? '';
    const repository = image.replace(/@.*$/, '').replace(/:[^:/]+$/, '');
    const isPulled = this.#image !== undefined && this.#phase !== 'pulling' && this.#phase !== 'pull';
    return {
      name: this.spec.name,
      image,
      imageID: isPulled ? `${repository}@${this.#image?.digest}` : '',
      restartCount: this.#restartCount,
      lastState: this.#last ? { terminated: this.#last } : {},
    };
  }
}

function backOff(failures: number): number {
  return Math.min(FIRST_BACKOFF * 2 ** Math.max(0, failures - 1), LONGEST_BACKOFF);
}
