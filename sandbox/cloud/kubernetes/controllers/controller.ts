/** What every controller of a cluster works with. */
import type { Cluster, Neighbours } from '../../neighbours.ts';
import type { ApiServer } from '../api/api-server.ts';
import type { EventRecorder } from './events.ts';

export type KubernetesNeighbours = Pick<
  Neighbours,
  | 'directory'
  | 'authorization'
  | 'clusters'
  | 'vaults'
  | 'registries'
  | 'storageAccounts'
  | 'databases'
  | 'tunnels'
  | 'network'
  | 'certificates'
>;

export interface ControllerContext {
  readonly api: ApiServer;
  readonly events: EventRecorder;
  readonly neighbours: KubernetesNeighbours;
  /** As it is now. */
  readonly cluster: Cluster;
  /** Virtual milliseconds, the same during one pass. */
  readonly now: number;
  /** Asks for a pass at this virtual time at the latest. */
  wake(at: number): void;
}

/** Looks at the whole cluster and moves it one step toward what is wished; doing nothing when nothing is to do. */
export type Controller = (context: ControllerContext) => void;
