/**
 * Which pod a request to a Service reaches, as kube-proxy decides it: ready endpoints in turn, or with `ClientIP` the one
 * that this client had before, until it has been silent for the time-out or the pod no longer serves. An endpoint that
 * does not listen refuses; nobody tries another.
 * https://kubernetes.io/docs/reference/networking/virtual-ips/#session-affinity
 */
import type { VirtualClock } from '../../clock.ts';
import type { Network } from './cluster-network.ts';
import type { RunningContainer } from './controllers/kubelet.ts';
import { at, type Pod, type Service } from './object.ts';

export type Reached =
  | { readonly pod: Pod; readonly port: number; readonly listener: RunningContainer }
  | { readonly refused: string };

const DEFAULT_AFFINITY_SECONDS = 10_800;
/** A client keeps idle connections for so long (`keepAliveTimeout` of cloudflared), and asks for the name anew after it. */
const KEPT_ALIVE = 90_000;

export class ServiceTraffic {
  readonly #network: Network;
  readonly #clock: VirtualClock;
  readonly #turns = new Map<string, number>();
  /** When a client last asked for a host or used its connection to it. */
  readonly #connectedAt = new Map<string, number>();
  readonly #affinities = new Map<string, { readonly pod: string; readonly usedAt: number }>();

  constructor(network: Network, clock: VirtualClock) {
    this.#network = network;
    this.#clock = clock;
  }

  /** From a client (whatever tells one address from another) in that namespace. */
  reach(host: string, port: number, namespace: string, client: string): Reached {
    const silence = this.#silence(host, client);
    if (silence !== undefined) return { refused: silence };
    const service = this.#network.serviceOf(host, namespace);
    if (!service) return { refused: `lookup ${host}: no such host` };
    const address = `${service.spec.clusterIP}:${port}`;
    if (!(service.spec.ports ?? []).some((one) => one.port === port)) {
      return { refused: `dial tcp ${address}: i/o timeout (the Service has no port ${port})` };
    }
    const chosen = this.#choose(service, this.#network.endpoints(service, String(port)), client);
    if (!chosen) return { refused: `dial tcp ${address}: connect: connection refused` };
    const listener = this.#network.listener(chosen.pod, chosen.port);
    return listener
      ? { ...chosen, listener }
      : {
          refused: `dial tcp ${chosen.pod.status?.podIP ?? ''}:${chosen.port}: connect: connection refused`,
        };
  }

  #silence(host: string, client: string): string | undefined {
    const key = `${client}\n${host}`;
    const now = this.#clock.now();
    const isConnected = now - (this.#connectedAt.get(key) ?? Number.NEGATIVE_INFINITY) < KEPT_ALIVE;
    const silence = isConnected ? undefined : this.#network.dnsSilence(host);
    if (silence === undefined) this.#connectedAt.set(key, now);
    return silence;
  }

  #choose<T extends { readonly pod: Pod }>(
    service: Service,
    endpoints: readonly T[],
    client: string,
  ): T | undefined {
    const { uid } = service.metadata;
    const turn = this.#turns.get(uid) ?? 0;
    const next = endpoints[turn % Math.max(1, endpoints.length)];
    if (at(service, 'spec', 'sessionAffinity') !== 'ClientIP') {
      this.#turns.set(uid, turn + 1);
      return next;
    }
    const now = this.#clock.now();
    const seconds = Number(
      at(service, 'spec', 'sessionAffinityConfig', 'clientIP', 'timeoutSeconds') ?? DEFAULT_AFFINITY_SECONDS,
    );
    const key = `${uid}\n${client}`;
    const known = this.#affinities.get(key);
    const same =
      known && now - known.usedAt < seconds * 1000
        ? endpoints.find(({ pod }) => pod.metadata.uid === known.pod)
        : undefined;
    const chosen = same ?? next;
    if (!same) this.#turns.set(uid, turn + 1);
    if (chosen) this.#affinities.set(key, { pod: chosen.pod.metadata.uid, usedAt: now });
    return chosen;
  }
}
