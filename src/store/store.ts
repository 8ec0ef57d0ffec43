/**
 * What the control plane remembers: the wish, the audit trail and the last look. The clouds are the truth; losing the
 * store loses no stack. Records are written with optimistic concurrency, and never hold a secret's value.
 */
import type { Failure } from '../graph/failure.ts';
import type { Finding } from '../graph/finding.ts';
import type { Cause, OperationKind } from '../graph/request.ts';
import type { Difference, Outputs, ResourceKey } from '../graph/resource.ts';
import type { QuarantinedImage, Rotation, Wishes } from '../resources/scope.ts';
import type { DeploymentSpecInput } from '../spec/spec.ts';
import type { DriftStore } from './drift.ts';
import type { HealthStore } from './health.ts';
import type { Inbox } from './inbox.ts';

/** Automation that a person has switched off for a while: it looks and tells, and writes nothing. */
export interface Pause {
  /** Left out: all of the deployment. */
  readonly resource?: ResourceKey;
  readonly reason: string;
  /** ISO 8601, as are all times here. */
  readonly since: string;
  /** When it ends by itself. */
  readonly until: string;
}

export interface DeploymentRecord {
  readonly name: string;
  /** As the user gave it, without defaults. */
  readonly spec: DeploymentSpecInput;
  /** Grows by one with each accepted change of the spec. */
  readonly revision: number;
  readonly createdAt: string;
  readonly updatedAt: string;
  readonly lastOperationId?: string;
  /** When a person last asked for a new value of a secret, ISO 8601, by what is rotated. */
  readonly rotateAfter: Readonly<Partial<Record<Rotation, string>>>;
  /** Images that failed here, oldest first. */
  readonly quarantine: readonly QuarantinedImage[];
  readonly wishes: Wishes;
  /** Those that have ended may still be listed. */
  readonly pauses: readonly Pause[];
  /** When a person last asked for a repair: differences seen before are put right whatever the policy says. */
  readonly repairAfter: Readonly<Partial<Record<ResourceKey, string>>>;
  /** Changes that a sweep found and no event had told. */
  readonly missedEvents: number;
  /** When all of it was last looked at by the timer. */
  readonly sweptAt?: string;
  /** Strong entity tag of the spec, in quotes; the same until the spec changes, whatever happens to the stack. */
  readonly etag: string;
}

/** What is remembered of a deployment beside its spec; left out means as it is. */
export type DeploymentMemory = Partial<
  Pick<
    DeploymentRecord,
    'rotateAfter' | 'quarantine' | 'wishes' | 'pauses' | 'repairAfter' | 'missedEvents' | 'sweptAt'
  >
>;

/** What must hold of a deployment's entity tag before it is written, as HTTP puts it; `*` stands for any. */
export interface Precondition {
  /** There is one, and its tag is among these. */
  readonly ifMatch?: readonly string[];
  /** There is none, or its tag is not among these. */
  readonly ifNoneMatch?: readonly string[];
}

/** A string in Azure Table Storage has at most 64 KiB in UTF-16; a longer spec cannot be kept. */
export const LARGEST_SPEC_CHARACTERS = 32_000;

export interface StepRecord {
  readonly key: ResourceKey;
  readonly title: string;
  /** Its place in the stack's reading order, from 0. */
  readonly ordinal: number;
  readonly state: 'pending' | 'waiting' | 'ready' | 'failed' | 'blocked';
  /** What this operation did to it so far; completes the sentence "the resource has been …". */
  readonly did: 'nothing' | 'created' | 'repaired';
  /** What is being waited for, why it is blocked, or what of it is left as it is and why. */
  readonly reason?: string;
  readonly failure?: Failure;
  /** What was found wrong before it was repaired. */
  readonly differences?: readonly Difference[];
  /** Times it was looked at. */
  readonly looks: number;
  readonly waitsFor: readonly ResourceKey[];
  readonly outputs?: Outputs;
  /** What is wrong with it, or will be. */
  readonly findings?: readonly Finding[];
  /** ISO 8601, as are all times here: when it could first move, and when it was found ready. */
  readonly startedAt?: string;
  readonly readyAt?: string;
  /** When it was last found ready. */
  readonly seenAt?: string;
  /** A mark of what it was asked to be when it was last found so. */
  readonly wish?: string;
}

/** That a new value of a secret has reached whoever uses it. Versions and names, never a value. */
export interface Receipt {
  /** Name in the vault. */
  readonly secret: string;
  readonly version: string;
  /** Of the event that told of it, when that was about an earlier version which this one has overtaken. */
  readonly announcedVersion?: string;
  readonly kubernetesSecret: { readonly name: string; readonly resourceVersion: string };
  /** Workloads that run with it, as they are now. */
  readonly workloads: readonly {
    readonly name: string;
    readonly revision: string;
    readonly pods: readonly string[];
  }[];
  /** From the event (or the request) to the proof. */
  readonly seconds: number;
}

export interface OperationRecord {
  readonly id: string;
  readonly deployment: string;
  readonly kind: OperationKind;
  readonly cause: Cause;
  readonly revision: number;
  /** `running` from its first step on. */
  readonly state: 'accepted' | 'running' | 'succeeded' | 'failed';
  readonly requestedAt: string;
  readonly finishedAt?: string;
  /** The first thing that went wrong, when it failed. */
  readonly failure?: Failure & { readonly key?: ResourceKey };
  readonly receipts: readonly Receipt[];
  readonly steps: readonly StepRecord[];
}

/** An operation without its steps. */
export type OperationSummary = Omit<OperationRecord, 'steps' | 'receipts'>;

export class ConflictError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'ConflictError';
  }
}

export interface Store {
  /** Throws when the store does not answer. */
  check(): Promise<void>;
  findDeployment(name: string): Promise<DeploymentRecord | undefined>;
  listDeployments(): Promise<readonly DeploymentRecord[]>;
  /**
   * Writes a new spec; a spec equal to the stored one keeps its revision. Throws ConflictError when the precondition
   * does not hold, or when others keep writing the same deployment at the same moment.
   */
  putDeployment(
    name: string,
    spec: DeploymentSpecInput,
    now: Date,
    precondition?: Precondition,
  ): Promise<DeploymentRecord>;
  /** Changes what is remembered beside the spec, again and again until nobody was faster. Throws for an unknown one. */
  changeDeployment(
    name: string,
    change: (record: DeploymentRecord) => DeploymentMemory,
  ): Promise<DeploymentRecord>;
  /** Makes it the deployment's last operation, too; throws when there is no such deployment. */
  createOperation(
    operation: Pick<OperationRecord, 'id' | 'deployment' | 'kind' | 'cause' | 'revision' | 'requestedAt'>,
  ): Promise<void>;
  /** With its steps, in reading order of the stack. */
  findOperation(id: string): Promise<OperationRecord | undefined>;
  /** Newest first, at most `top`. */
  listOperations(deployment: string, top: number): Promise<readonly OperationSummary[]>;
  /** Overwrites the given steps of an operation, and the deployment's own last look at these resources. */
  recordSteps(
    deployment: string,
    operationIds: readonly string[],
    steps: readonly StepRecord[],
  ): Promise<void>;
  /** Does nothing for an operation whose record is lost: the work was done all the same. */
  recordOutcome(
    operationId: string,
    outcome: Pick<OperationRecord, 'state'> & {
      readonly at: string;
      readonly failure?: OperationRecord['failure'];
      readonly receipts?: readonly Receipt[];
    },
  ): Promise<void>;
  /** The last look at each resource of a deployment. */
  lastLook(deployment: string): Promise<readonly StepRecord[]>;
  /** The last look at one of them. */
  findLook(deployment: string, key: ResourceKey): Promise<StepRecord | undefined>;
  readonly inbox: Inbox;
  readonly drift: DriftStore;
  readonly health: HealthStore;
}
