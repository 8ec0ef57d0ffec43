/** The few things the control plane says to a Kubernetes API server. */

export interface KubernetesObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
    readonly uid?: string;
    readonly resourceVersion?: string;
    readonly generation?: number;
    readonly creationTimestamp?: string;
    readonly deletionTimestamp?: string;
    readonly managedFields?: readonly unknown[];
  };
  readonly [field: string]: unknown;
}

export interface ObjectReference {
  readonly apiVersion: string;
  readonly kind: string;
  readonly name: string;
  /** Absent for cluster-scoped kinds. */
  readonly namespace?: string;
}

export interface KubernetesApi {
  /** `undefined` only for a 404 of the object itself; everything else that is not a 2xx throws a KubernetesError. */
  find(reference: ObjectReference): Promise<KubernetesObject | undefined>;
  list(
    kind: Omit<ObjectReference, 'name'>,
    selector?: { readonly labels?: string; readonly fields?: string },
  ): Promise<readonly KubernetesObject[]>;
  /** Whether the server serves this kind: CRDs appear only once their operator is installed. */
  serves(apiVersion: string, kind: string): Promise<boolean>;
  /** Server-side apply as our field manager; takes over conflicting fields, since what we apply is ours by contract. */
  apply(object: KubernetesObject, options?: { readonly dryRun?: boolean }): Promise<KubernetesObject>;
  /** RFC 7396 merge patch, for single fields that are not ours to apply. */
  mergePatch(reference: ObjectReference, patch: unknown): Promise<KubernetesObject>;
  /** Already gone is success. */
  remove(reference: ObjectReference): Promise<void>;
  /**
   * The end of a container's log as text, at most 1 MiB of it: fewer lines than asked for where they would be more, and of
   * a last line that is longer its beginning. `undefined` when there is no such pod. `tailLines` cannot be left out, since
   * Kubernetes then begins at the start of the log, and the limit would leave the oldest lines instead of the newest.
   */
  log(
    pod: { readonly namespace: string; readonly name: string; readonly container?: string },
    options: {
      readonly tailLines: number;
      readonly sinceSeconds?: number;
      /** Of the container's run before this one. */
      readonly previous?: boolean;
    },
  ): Promise<string | undefined>;
  /** An HTTP request to a Service through the API server. */
  requestService(target: ProxyTarget, request: ProxyRequest): Promise<ProxyAnswer>;
  /** The same to one pod, on the port that its container listens on. */
  requestPod(target: ProxyTarget, request: ProxyRequest): Promise<ProxyAnswer>;
}

export interface ProxyTarget {
  readonly namespace: string;
  readonly name: string;
  readonly port: number;
}

export interface ProxyRequest {
  readonly method: 'GET' | 'POST' | 'DELETE';
  readonly path: string;
  readonly body?: unknown;
}

export interface ProxyAnswer {
  readonly status: number;
  readonly body: unknown;
}

/** An answer of the API server that is not a success, with the `Status` object's reason and message. */
export class KubernetesError extends Error {
  readonly status: number;
  readonly reason: string;
  readonly retryAfterSeconds: number | undefined;

  constructor(status: number, reason: string, message: string, retryAfterSeconds?: number) {
    super(message);
    this.name = 'KubernetesError';
    this.status = status;
    this.reason = reason;
    this.retryAfterSeconds = retryAfterSeconds;
  }
}
