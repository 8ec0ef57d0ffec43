/**
 * The simulated Kubernetes: an API server under each AKS cluster's own host name with a small working cluster behind
 * it. The host name of a cluster that is stopped or not there does not resolve, as with AKS.
 */
import { createHash, randomBytes } from 'node:crypto';
import type { KubernetesWorld } from '../neighbours.ts';
import type { CallContext, Service, World } from '../world.ts';
import { answerAt, DEFAULT_NAMESPACE, requestAt } from './answer.ts';
import { answer } from './api/http.ts';
import { KubernetesCluster } from './cluster.ts';
import type { KubernetesNeighbours } from './controllers/controller.ts';
import { linksOf } from './links.ts';
import { runCommand } from './run-command.ts';
import { type StoredSecretSet, secretSetsOf } from './secret-sets.ts';
import { workloadsOf } from './workloads.ts';

/**
 * All clusters look at the world for so much of the time at most: they rest three times as long as it took them. A few
 * are done in a millisecond; a hundred would do nothing else while anybody writes to anything.
 */
const REST = 3;

export interface Kubernetes extends Service, KubernetesWorld {
  /** Ends all processes and watches; what ran is taken up when the world is opened again. */
  stop(): void;
}

/** May be called before the neighbours are there: they are asked from the first turn of the event loop on. */
export function createKubernetes(world: World, neighbours: KubernetesNeighbours): Kubernetes {
  const clusters = new Map<string, KubernetesCluster>();
  let isStopped = false;

  /** Clusters that ARM has get their API server; those it has no more lose everything. */
  const follow = (): void => {
    if (isStopped || neighbours.clusters === undefined) return;
    const existing = new Set(neighbours.clusters.list().map(({ id }) => id.toLowerCase()));
    for (const id of existing) {
      if (!clusters.has(id)) clusters.set(id, new KubernetesCluster(world, neighbours, id));
    }
    for (const [id, cluster] of clusters) {
      if (existing.has(id)) continue;
      cluster.close();
      cluster.api.store.clear();
      clusters.delete(id);
    }
  };
  const find = (id: string): KubernetesCluster | undefined => {
    follow();
    return clusters.get(id.toLowerCase());
  };
  const findByHost = (host: string): KubernetesCluster | undefined => {
    const found = neighbours.clusters
      ?.list()
      .find(({ fqdn, isRunning }) => fqdn.toLowerCase() === host && isRunning);
    return found && find(found.id);
  };
  let isPlanned = false;
  let restUntil = 0;
  const touchAll = (): void => {
    isPlanned = false;
    if (isStopped) return;
    const began = performance.now();
    follow();
    for (const cluster of clusters.values()) cluster.touch();
    // Behind the passes that have just been asked for.
    setImmediate(() => {
      const ended = performance.now();
      restUntil = ended + REST * (ended - began);
    });
  };
  world.onTouch(() => {
    if (isPlanned) return;
    const wait = restUntil - performance.now();
    if (wait < 1) return touchAll();
    isPlanned = true;
    setTimeout(touchAll, wait).unref();
  });
  // The neighbours are composed after this; what ran before a restart is taken up as soon as they are there.
  const begin = (): void => {
    if (neighbours.clusters !== undefined) follow();
    else if (!isStopped) setTimeout(begin, 50).unref();
  };
  setImmediate(begin);

  const localToken = (id: string): string =>
    createHash('sha256')
      .update(`${secretOf(world)}\n${id.toLowerCase()}`)
      .digest('hex');

  return {
    name: 'kubernetes',
    matches: (host) => /\.hcp\.[a-z0-9]+\.azmk8s\.io$/.test(host) && findByHost(host) !== undefined,
    fetch: async (request: Request, call: CallContext) => {
      const cluster = findByHost(call.host);
      const resource = cluster?.resource;
      if (!cluster || !resource) return new Response(null, { status: 503 });
      const door = {
        api: cluster.api,
        workloads: workloadsOf(cluster, world.clock),
        cluster: resource,
        localToken: localToken(resource.id),
        directory: neighbours.directory,
        authorization: neighbours.authorization,
        now: () => world.clock.now(),
        closing: cluster.closing,
      };
      return answer(door, request, call);
    },
    runCommand: async (clusterId, command) => {
      const cluster = find(clusterId);
      if (!cluster) return { exitCode: 1, logs: `There is no cluster ${clusterId}.` };
      return runCommand(cluster, world.clock, command);
    },
    answer: (clusterId, url) => answerAt(find(clusterId), url),
    request: async (clusterId, url, request, { pod, path }) => {
      const cluster = find(clusterId);
      if (!cluster?.resource?.isRunning) {
        return { ok: false, code: 'NoCluster', reason: 'There is no such cluster, or it is stopped.' };
      }
      return requestAt(cluster.traffic, url, request, { client: pod, namespace: DEFAULT_NAMESPACE, path });
    },
    secretSets: (clusterId) =>
      secretSetsOf(
        world.table<StoredSecretSet>('kubernetes/secret-sets').values(),
        clusterId,
        neighbours.vaults,
      ),
    links: (clusterId, serviceUrl) => linksOf(find(clusterId), neighbours, serviceUrl),
    credentials: (clusterId) => ({
      certificateAuthority: neighbours.certificates.pem,
      token: localToken(clusterId),
    }),
    stop: () => {
      isStopped = true;
      for (const cluster of clusters.values()) cluster.close();
    },
  };
}

/** What the static tokens of local accounts are derived from: made once for a world. */
function secretOf(world: World): string {
  const table = world.table<string>('kubernetes/secret');
  const known = table.get('local-accounts');
  if (known !== undefined) return known;
  const made = randomBytes(32).toString('hex');
  table.set('local-accounts', made);
  return made;
}
