/** Endpoints and EndpointSlices of Services, and the status of disruption budgets. */
import { type ApiServer, randomSuffix } from '../api/api-server.ts';
import { DISRUPTION_BUDGETS, ENDPOINT_SLICES, ENDPOINTS, PODS, SERVICES } from '../api/kinds.ts';
import { hasLabels, matchesLabels } from '../api/selectors.ts';
import {
  type EndpointSlice,
  type Endpoints,
  type Pod,
  type PodDisruptionBudget,
  type Service,
  timestamp,
} from '../object.ts';
import type { Controller, ControllerContext } from './controller.ts';
import { share } from './deployments.ts';
import { controlledBy } from './garbage-collector.ts';
import { isReady } from './replica-sets.ts';

const SERVICE_NAME = 'kubernetes.io/service-name';

type ServicePort = NonNullable<Service['spec']['ports']>[number];

/** Running pods that the Service selects; whether they are ready is another question. */
export function selectedPods(api: ApiServer, service: Service): Pod[] {
  const { selector } = service.spec;
  if (!selector || Object.keys(selector).length === 0) return [];
  return api
    .list<Pod>(PODS, service.metadata.namespace)
    .filter(
      (pod) =>
        pod.status?.podIP !== undefined &&
        pod.status.phase !== 'Succeeded' &&
        pod.status.phase !== 'Failed' &&
        hasLabels(selector, pod.metadata.labels),
    );
}

/** The number of the pod's port that a Service port means: a number, or the name of a container port. */
export function targetPort(pod: Pod, port: ServicePort): number | undefined {
  const target = port.targetPort ?? port.port;
  if (typeof target === 'number') return target;
  if (/^\d+$/.test(target)) return Number(target);
  return pod.spec.containers.flatMap(({ ports }) => ports ?? []).find(({ name }) => name === target)
    ?.containerPort;
}

export function servesTraffic(pod: Pod): boolean {
  return isReady(pod) && pod.metadata.deletionTimestamp === undefined;
}

export const services: Controller = (context) => {
  const { api } = context;
  for (const service of api.list<Service>(SERVICES)) {
    if (service.metadata.deletionTimestamp !== undefined || !service.spec.selector) continue;
    const pods = selectedPods(api, service);
    writeEndpoints(api, service, pods);
    writeSlice(api, service, pods);
  }
  for (const endpoints of api.list<Endpoints>(ENDPOINTS)) {
    const { namespace = '', name } = endpoints.metadata;
    if (endpoints.metadata.labels?.['endpoints.kubernetes.io/managed-by'] !== 'endpoint-controller') continue;
    if (!api.find(SERVICES, namespace, name)) api.removeNow(ENDPOINTS, endpoints);
  }
  for (const budget of api.list<PodDisruptionBudget>(DISRUPTION_BUDGETS)) writeBudget(context, budget);
};

function portsOf(service: Service, pods: readonly Pod[]): { name: string; port: number; protocol: string }[] {
  return (service.spec.ports ?? []).flatMap((port) => {
    const numbers = pods.map((pod) => targetPort(pod, port)).filter((number) => number !== undefined);
    const number = numbers[0];
    return number === undefined
      ? []
      : [{ name: port.name ?? '', port: number, protocol: port.protocol ?? 'TCP' }];
  });
}

function reference(pod: Pod): { kind: string; name: string; namespace: string; uid: string } {
  return {
    kind: 'Pod',
    name: pod.metadata.name,
    namespace: pod.metadata.namespace ?? '',
    uid: pod.metadata.uid,
  };
}

function writeEndpoints(api: ApiServer, service: Service, pods: readonly Pod[]): void {
  const { namespace = '', name } = service.metadata;
  const address = (pod: Pod): object => ({
    ip: pod.status?.podIP ?? '',
    ...(pod.spec.nodeName === undefined ? {} : { nodeName: pod.spec.nodeName }),
    targetRef: reference(pod),
  });
  const ready = pods.filter(servesTraffic).map(address);
  const notReady = pods
    .filter((pod) => !servesTraffic(pod) && pod.metadata.deletionTimestamp === undefined)
    .map(address);
  const ports = portsOf(service, pods).map(({ name: portName, ...port }) => ({
    ...(portName === '' ? {} : { name: portName }),
    ...port,
  }));
  const isEmpty = (ready.length === 0 && notReady.length === 0) || ports.length === 0;
  const subset = {
    ...(ready.length > 0 ? { addresses: ready } : {}),
    ...(notReady.length > 0 ? { notReadyAddresses: notReady } : {}),
    ports,
  };
  const found = api.find<Endpoints>(ENDPOINTS, namespace, name);
  const labels = { ...service.metadata.labels, 'endpoints.kubernetes.io/managed-by': 'endpoint-controller' };
  const wanted = isEmpty ? {} : { subsets: [subset] };
  if (!found) {
    api.create(
      ENDPOINTS,
      namespace,
      { metadata: { name, labels }, ...wanted },
      { manager: 'kube-controller-manager' },
    );
    return;
  }
  api.change(ENDPOINTS, found, (draft) => {
    delete draft.subsets;
    Object.assign(draft, wanted);
  });
}

function writeSlice(api: ApiServer, service: Service, pods: readonly Pod[]): void {
  const { namespace = '', name } = service.metadata;
  const endpoints = pods.map((pod) => ({
    addresses: [pod.status?.podIP ?? ''],
    conditions: {
      ready: servesTraffic(pod),
      serving: isReady(pod),
      terminating: pod.metadata.deletionTimestamp !== undefined,
    },
    ...(pod.spec.nodeName === undefined ? {} : { nodeName: pod.spec.nodeName }),
    targetRef: reference(pod),
  }));
  const ports = portsOf(service, pods);
  const found = api
    .list<EndpointSlice>(ENDPOINT_SLICES, namespace)
    .find((slice) => slice.metadata.labels?.[SERVICE_NAME] === name);
  if (!found) {
    api.create(
      ENDPOINT_SLICES,
      namespace,
      {
        metadata: {
          name: `${name}-${randomSuffix()}`,
          labels: {
            ...service.metadata.labels,
            [SERVICE_NAME]: name,
            'endpointslice.kubernetes.io/managed-by': 'endpointslice-controller.k8s.io',
          },
          ownerReferences: controlledBy(service, SERVICES),
        },
        addressType: 'IPv4',
        endpoints,
        ports,
      },
      { manager: 'kube-controller-manager' },
    );
    return;
  }
  api.change(ENDPOINT_SLICES, found, (draft) => {
    draft.endpoints = endpoints;
    draft.ports = ports;
  });
}

function writeBudget({ api, now }: ControllerContext, budget: PodDisruptionBudget): void {
  const pods = api
    .list<Pod>(PODS, budget.metadata.namespace)
    .filter(
      (pod) =>
        pod.metadata.deletionTimestamp === undefined &&
        matchesLabels(budget.spec.selector, pod.metadata.labels),
    );
  const healthy = pods.filter(isReady).length;
  const { minAvailable, maxUnavailable } = budget.spec;
  const needed =
    minAvailable === undefined
      ? Math.max(0, pods.length - share(maxUnavailable ?? 0, pods.length, Math.ceil))
      : share(minAvailable, pods.length, Math.ceil);
  const allowed = Math.max(0, healthy - needed);
  api.changeStatus(DISRUPTION_BUDGETS, budget, (draft) => {
    const known = draft.status?.conditions?.[0];
    const status = allowed > 0 ? 'True' : 'False';
    draft.status = {
      currentHealthy: healthy,
      desiredHealthy: needed,
      disruptionsAllowed: allowed,
      expectedPods: pods.length,
      observedGeneration: draft.metadata.generation ?? 0,
      conditions: [
        {
          type: 'DisruptionAllowed',
          status,
          reason: allowed > 0 ? 'SufficientPods' : 'InsufficientPods',
          message: '',
          observedGeneration: draft.metadata.generation ?? 0,
          lastTransitionTime: known?.status === status ? known.lastTransitionTime : timestamp(now),
        },
      ],
    };
  });
}
