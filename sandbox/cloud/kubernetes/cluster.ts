/**
 * One cluster at work: its API server, its controllers and what runs on its nodes. Nothing polls: a pass over all
 * controllers follows each change of an object, each change elsewhere in the world, and each moment a controller asked
 * to be woken at; passes repeat until nothing moves.
 */
import type { Cluster, NodePool } from '../neighbours.ts';
import type { World } from '../world.ts';
import { requestAt } from './answer.ts';
import { ApiServer } from './api/api-server.ts';
import { ObjectStore } from './api/object-store.ts';
import { type Answered, Network } from './cluster-network.ts';
import { bootstrap, DNS_IMAGE } from './controllers/bootstrap.ts';
import type { Image } from './controllers/container-run.ts';
import type { Controller, KubernetesNeighbours } from './controllers/controller.ts';
import { deployments } from './controllers/deployments.ts';
import { EventRecorder } from './controllers/events.ts';
import { garbageCollector } from './controllers/garbage-collector.ts';
import { Kubelet } from './controllers/kubelet.ts';
import { nodes, poolOfNode } from './controllers/nodes.ts';
import { replicaSets } from './controllers/replica-sets.ts';
import { scheduler } from './controllers/scheduler.ts';
import { services } from './controllers/services.ts';
import { volumeGrowth } from './controllers/volume-growth.ts';
import { volumes } from './controllers/volumes.ts';
import type { Surroundings } from './processes/process.ts';
import { ServiceTraffic } from './service-traffic.ts';

/** In one pass at most; a cluster that still moves then goes on in the next. */
const MOST_ROUNDS = 50;

export class KubernetesCluster {
  readonly id: string;
  readonly api: ApiServer;
  readonly events: EventRecorder;
  readonly kubelet: Kubelet;
  readonly network: Network;
  readonly traffic: ServiceTraffic;
  readonly #world: World;
  readonly #neighbours: KubernetesNeighbours;
  readonly #controllers: readonly Controller[];
  #closing = new AbortController();
  #scheduled: NodeJS.Immediate | undefined;
  #alarm: { cancel(): void } | undefined;
  #isPassing = false;
  #isClosed = false;

  constructor(world: World, neighbours: KubernetesNeighbours, id: string) {
    this.id = id;
    this.#world = world;
    this.#neighbours = neighbours;
    const { clock } = world;
    this.api = new ApiServer(new ObjectStore(world, id), clock);
    this.events = new EventRecorder(this.api, clock);
    const images = world.table<Image>('kubernetes/node-images');
    const surroundings: Surroundings = {
      clusterId: id,
      clock,
      api: this.api,
      events: this.events,
      neighbours,
      nodePool: (node) => this.#poolOf(node),
      dial: (host, port, namespace) => this.dial(host, port, namespace),
      request: (url, init, client) =>
        requestAt(this.traffic, url, new Request(url, init), {
          client: client.metadata.uid,
          namespace: client.metadata.namespace ?? '',
        }),
      volumeData: world.table('kubernetes/volume-data'),
      secretSets: world.table('kubernetes/secret-sets'),
    };
    this.kubelet = new Kubelet(
      surroundings,
      {
        find: (node, image) =>
          image === DNS_IMAGE ? { digest: '', software: 'other' } : images.get(`${id}\n${node}\n${image}`),
        add: (node, image, found) => images.set(`${id}\n${node}\n${image}`, found),
      },
      world.table('kubernetes/interrupted-pods'),
      () => this.request(),
    );
    this.network = new Network(this.api, this.kubelet);
    this.traffic = new ServiceTraffic(this.network, clock);
    this.#controllers = [
      bootstrap,
      nodes,
      garbageCollector,
      deployments,
      replicaSets,
      volumes,
      volumeGrowth,
      scheduler,
      (context) => this.kubelet.reconcile(context),
      services,
    ];
    this.api.store.subscribe(() => {
      if (!this.#isPassing) this.request();
    });
    this.request();
  }

  /** The cluster as ARM has it now; undefined once it has been deleted. */
  get resource(): Cluster | undefined {
    return this.#neighbours.clusters?.list().find(({ id }) => id.toLowerCase() === this.id);
  }

  /** Aborted when the API server goes away: on stop and on deletion. */
  get closing(): AbortSignal {
    return this.#closing.signal;
  }

  /** Asks for a pass soon. */
  request(): void {
    if (this.#isClosed) return;
    this.#scheduled ??= setImmediate(() => {
      this.#scheduled = undefined;
      this.#pass();
    });
  }

  /** Something outside may have changed. */
  touch(): void {
    this.kubelet.lookAgain('world');
    this.request();
  }

  dial(host: string, port: number, namespace: string): Answered {
    return this.network.dial(host, port, namespace);
  }

  close(): void {
    this.#isClosed = true;
    if (this.#scheduled) clearImmediate(this.#scheduled);
    this.#alarm?.cancel();
    this.kubelet.detach();
    this.#closing.abort();
  }

  #poolOf(node: string | undefined): NodePool | undefined {
    const cluster = this.resource;
    return cluster && poolOfNode(cluster, node);
  }

  #pass(): void {
    const cluster = this.resource;
    if (!cluster?.isRunning) {
      this.kubelet.powerOff();
      this.#closing.abort();
      this.#closing = new AbortController();
      return;
    }
    const now = this.#world.clock.now();
    let wakeAt = Number.POSITIVE_INFINITY;
    const context = {
      api: this.api,
      events: this.events,
      neighbours: this.#neighbours,
      cluster,
      now,
      wake: (at: number): void => {
        wakeAt = Math.min(wakeAt, at);
      },
    };
    const { store } = this.api;
    const first = store.version;
    this.#isPassing = true;
    try {
      for (let round = 0; round < MOST_ROUNDS; round += 1) {
        const before = store.version;
        wakeAt = Number.POSITIVE_INFINITY;
        for (const controller of this.#controllers) this.#run(controller, context);
        if (store.version === before) break;
      }
      this.events.expire(now);
    } finally {
      this.#isPassing = false;
    }
    if (store.version !== first || first !== this.#lastSeen) this.kubelet.lookAgain('cluster');
    this.#lastSeen = store.version;
    this.#alarm?.cancel();
    this.#alarm =
      wakeAt === Number.POSITIVE_INFINITY ? undefined : this.#world.clock.alarm(wakeAt, () => this.request());
  }

  #lastSeen = 0;

  /** One controller's defect is shown to whoever runs the sandbox and does not stop the others. */
  #run(controller: Controller, context: Parameters<Controller>[0]): void {
    try {
      controller(context);
    } catch (error) {
      console.error('kubernetes controller failed', error);
    }
  }
}
