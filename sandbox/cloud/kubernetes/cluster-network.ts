/** The network inside a cluster: names of Services, their endpoints, and who listens behind them. */
import type { Software } from '../neighbours.ts';
import type { ApiServer } from './api/api-server.ts';
import { SERVICES } from './api/kinds.ts';
import { DNS_ADDRESS } from './controllers/bootstrap.ts';
import type { Kubelet, RunningContainer } from './controllers/kubelet.ts';
import { selectedPods, servesTraffic, targetPort } from './controllers/services.ts';
import type { Pod, Service } from './object.ts';

export type Answered = { readonly pod: Pod; readonly software: Software } | { readonly refused: string };

export class Network {
  readonly #api: ApiServer;
  readonly #kubelet: Kubelet;

  constructor(api: ApiServer, kubelet: Kubelet) {
    this.#api = api;
    this.#kubelet = kubelet;
  }

  /** A TCP connection to `name`, `name.namespace[.svc[.cluster.local]]` from a pod of this namespace. */
  dial(host: string, port: number, namespace: string): Answered {
    const silence = this.dnsSilence(host);
    if (silence !== undefined) return { refused: silence };
    const service = this.serviceOf(host, namespace);
    if (!service) return { refused: `lookup ${host}: no such host` };
    const ports = service.spec.ports ?? [];
    if (!ports.some((one) => one.port === port)) {
      return {
        refused: `dial tcp ${service.spec.clusterIP}:${port}: i/o timeout (the Service has no port ${port})`,
      };
    }
    for (const { pod, port: target } of this.endpoints(service, String(port))) {
      const listener = this.listener(pod, target);
      if (listener) return { pod, software: listener.software };
    }
    return { refused: `dial tcp ${service.spec.clusterIP}:${port}: connect: connection refused` };
  }

  /** Why nobody tells the address of this host; undefined while CoreDNS does. */
  dnsSilence(host: string): string | undefined {
    const dns = this.#api.find<Service>(SERVICES, 'kube-system', 'kube-dns');
    if (dns && this.endpoints(dns, 'dns').length > 0) return undefined;
    return `lookup ${host} on ${DNS_ADDRESS}:53: read udp: connection refused`;
  }

  /** The Service a host name means; names under `cluster.local` and shorter. */
  serviceOf(host: string, namespace: string): Service | undefined {
    const [name = '', where, kind, ...rest] = host.replace(/\.$/, '').split('.');
    const isInside =
      where === undefined ||
      kind === undefined ||
      (kind === 'svc' && (rest.length === 0 || rest.join('.') === 'cluster.local'));
    return isInside ? this.#api.find<Service>(SERVICES, where ?? namespace, name) : undefined;
  }

  /** Ready pods behind a Service port, given by number or name; empty text means its only port. */
  endpoints(service: Service, port: string): { readonly pod: Pod; readonly port: number }[] {
    const ports = service.spec.ports ?? [];
    const chosen =
      port === '' ? ports[0] : ports.find((one) => String(one.port) === port || one.name === port);
    if (!chosen) return [];
    return selectedPods(this.#api, service)
      .filter(servesTraffic)
      .flatMap((pod) => {
        const number = targetPort(pod, chosen);
        return number === undefined ? [] : [{ pod, port: number }];
      });
  }

  /** The container of the pod whose process listens on the port. */
  listener(pod: Pod, port: number): RunningContainer | undefined {
    return this.#kubelet
      .running()
      .find((one) => one.pod.metadata.uid === pod.metadata.uid && one.process.listens(port));
  }
}
