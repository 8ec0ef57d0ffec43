/** What runs in a container, as the kubelet and the network see it. */
import type { VirtualClock } from '../../../clock.ts';
import type { Answer, NodePool, Software } from '../../neighbours.ts';
import type { Table } from '../../world.ts';
import type { ApiServer } from '../api/api-server.ts';
import type { KubernetesNeighbours } from '../controllers/controller.ts';
import type { EventRecorder } from '../controllers/events.ts';
import type { Container, Pod } from '../object.ts';
import type { StoredSecretSet } from '../secret-sets.ts';

export interface Mount {
  readonly path: string;
  /** What keeps the data: a persistent volume by name, or the pod for volumes that live with it. */
  readonly volume: string;
  readonly isPersistent: boolean;
  /** As it is now, since disks grow; undefined when the volume has no size of its own. */
  readonly capacityBytes: () => number | undefined;
}

/** The cluster around a process: its network, its node, its volumes. */
export interface Surroundings {
  readonly clusterId: string;
  readonly clock: VirtualClock;
  readonly api: ApiServer;
  readonly events: EventRecorder;
  readonly neighbours: KubernetesNeighbours;
  /** The pool of a node as it is now; undefined once the node has gone. */
  nodePool(node: string | undefined): NodePool | undefined;
  /** Who answers a TCP connection to this host name and port from a pod of that namespace; a reason when nobody does. */
  dial(
    host: string,
    port: number,
    namespace: string,
  ): { readonly pod: Pod; readonly software: Software } | { readonly refused: string };
  /** An HTTP request of that pod to a URL inside the cluster, through its Service. */
  request(url: string, init: RequestInit, client: Pod): Promise<Answer<{ response: Response }>>;
  readonly volumeData: Table<unknown>;
  readonly secretSets: Table<StoredSecretSet>;
}

export interface ProcessContext extends Surroundings {
  readonly pod: Pod;
  readonly container: Container;
  readonly env: Readonly<Record<string, string>>;
  readonly mounts: readonly Mount[];
  /** It ran before the sandbox was restarted: it goes on without starting again. */
  readonly isResumed: boolean;
  log(line: string): void;
  /** Ends the process. */
  exit(code: number): void;
  /** What it answers has changed: probes look again. */
  changed(): void;
  /** Calls back after this many virtual milliseconds unless the process has ended. */
  after(milliseconds: number, then: () => void): void;
}

export interface Process {
  /** The status code of a GET, or undefined when nothing listens on the port. */
  status(port: number, path: string): number | undefined;
  /** Whether a TCP connection to the port is accepted. */
  listens(port: number): boolean;
  /** A whole HTTP exchange; undefined when nothing listens. */
  fetch?(port: number, request: Request, path: string): Promise<Response> | undefined;
  /** Exit code of a command run in the container by an exec probe. */
  exec?(command: readonly string[]): number;
  /** Something may have changed: outside the cluster (`world`) or among its objects (`cluster`). */
  lookAgain?(where: 'world' | 'cluster'): void;
  /** SIGTERM and then the end: gives back what it holds outside. */
  stop(): void;
}
