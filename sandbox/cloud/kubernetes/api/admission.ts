/** The admission plug-ins that change or refuse what is written, as AKS has them switched on. */
import { createHash } from 'node:crypto';
import {
  at,
  type EndpointSlice,
  type KubeObject,
  type Namespace,
  type PersistentVolumeClaim,
  type Pod,
  type Secret,
  type Service,
} from '../object.ts';
import { amount } from '../quantity.ts';
import {
  ENDPOINT_SLICES,
  type Kind,
  NAMESPACES,
  SERVICE_ACCOUNTS,
  SERVICES,
  STORAGE_CLASSES,
  WEBHOOK_CONFIGURATIONS,
} from './kinds.ts';
import { podSecurityViolation } from './pod-security.ts';
import { forbidden, internalError, invalid, invalidValue } from './status-error.ts';

export interface AdmissionView {
  find<T extends KubeObject>(kind: Kind, namespace: string, name: string): T | undefined;
  list<T extends KubeObject>(kind: Kind, namespace?: string): T[];
}

const DEFAULT_CLASS = 'storageclass.kubernetes.io/is-default-class';

export function admit(
  kind: Kind,
  object: KubeObject,
  before: KubeObject | undefined,
  view: AdmissionView,
): void {
  if (kind.columns) callWebhooks(kind, before, view);
  if (before) {
    if (kind.kind === 'Service') keepAddress(object as Service, before as Service);
    if (kind.kind === 'PersistentVolumeClaim')
      admitResize(kind, object, before as PersistentVolumeClaim, view);
    return;
  }
  switch (kind.kind) {
    case 'Pod':
      admitPod(kind, object as Pod, view);
      return;
    case 'Service':
      allocateAddress(kind, object as Service, view);
      return;
    case 'PersistentVolumeClaim':
      object.metadata.finalizers = [...(object.metadata.finalizers ?? []), 'kubernetes.io/pvc-protection'];
      chooseClass(object as PersistentVolumeClaim, view);
      return;
    case 'PersistentVolume':
      object.metadata.finalizers = [...(object.metadata.finalizers ?? []), 'kubernetes.io/pv-protection'];
      return;
    case 'Secret':
      (object as Secret).type ??= 'Opaque';
      return;
    case 'CustomResourceDefinition':
      object.metadata.finalizers = [
        ...(object.metadata.finalizers ?? []),
        'customresourcecleanup.apiextensions.k8s.io',
      ];
      return;
    default:
  }
}

/** ServiceAccount, PodSecurity, DefaultTolerationSeconds and Priority. */
function admitPod(kind: Kind, pod: Pod, view: AdmissionView): void {
  const { namespace = '', name } = pod.metadata;
  const account = pod.spec.serviceAccountName ?? 'default';
  if (!view.find(SERVICE_ACCOUNTS, namespace, account)) {
    throw forbidden(
      kind,
      name,
      `error looking up service account ${namespace}/${account}: serviceaccount "${account}" not found`,
    );
  }
  const violation = podSecurityViolation(view.find<Namespace>(NAMESPACES, '', namespace), pod);
  if (violation !== undefined) throw forbidden(kind, name, violation);
  pod.spec.serviceAccountName = account;
  pod.spec.serviceAccount = account;
  pod.spec.priority ??= 0;
  pod.spec.preemptionPolicy ??= 'PreemptLowerPriority';
  const tolerations = pod.spec.tolerations ?? [];
  for (const key of ['node.kubernetes.io/not-ready', 'node.kubernetes.io/unreachable']) {
    if (tolerations.some((one) => one.key === key)) continue;
    tolerations.push({ key, operator: 'Exists', effect: 'NoExecute', tolerationSeconds: 300 });
  }
  pod.spec.tolerations = tolerations;
  pod.status = { phase: 'Pending', qosClass: qualityOf(pod) };
}

function qualityOf(pod: Pod): string {
  const resources = pod.spec.containers.map((container) => container.resources ?? {});
  const isBestEffort = resources.every(({ limits, requests }) => !limits && !requests);
  if (isBestEffort) return 'BestEffort';
  const isGuaranteed = resources.every(
    ({ limits, requests }) =>
      limits?.['cpu'] !== undefined &&
      limits['memory'] !== undefined &&
      limits['cpu'] === requests?.['cpu'] &&
      limits['memory'] === requests?.['memory'],
  );
  return isGuaranteed ? 'Guaranteed' : 'Burstable';
}

function keepAddress(service: Service, before: Service): void {
  if (service.spec.clusterIP === undefined && before.spec.clusterIP !== undefined) {
    service.spec.clusterIP = before.spec.clusterIP;
  }
  service.spec.clusterIPs ??= before.spec.clusterIPs ?? [];
}

/** AKS' default service range is 10.0.0.0/16; .1 is the API server and .10 the DNS service. */
function allocateAddress(kind: Kind, service: Service, view: AdmissionView): void {
  if (service.spec.type === 'ExternalName') return;
  const taken = new Set(view.list<Service>(SERVICES).map((one) => one.spec.clusterIP));
  const wanted = service.spec.clusterIP;
  if (wanted !== undefined && wanted !== 'None' && taken.has(wanted)) {
    throw invalid(kind, service.metadata.name, [
      invalidValue(
        'spec.clusterIPs',
        [wanted],
        `failed to allocate IP ${wanted}: provided IP is already allocated`,
      ),
    ]);
  }
  if (wanted === undefined) {
    const hash = createHash('sha1').update(service.metadata.uid).digest().readUInt16BE();
    for (let step = 0; service.spec.clusterIP === undefined; step += 1) {
      const number = (hash + step) % 65_024;
      const address = `10.0.${Math.floor(number / 254)}.${(number % 254) + 1}`;
      if (!taken.has(address) && number > 20) service.spec.clusterIP = address;
    }
  }
  service.spec.clusterIPs = [service.spec.clusterIP ?? 'None'];
}

function chooseClass(claim: PersistentVolumeClaim, view: AdmissionView): void {
  if (claim.spec.storageClassName !== undefined) return;
  const chosen = view
    .list(STORAGE_CLASSES)
    .find((one) => one.metadata.annotations?.[DEFAULT_CLASS] === 'true');
  if (chosen) claim.spec.storageClassName = chosen.metadata.name;
}

/** PersistentVolumeClaimResize: plugin/pkg/admission/storage/persistentvolume/resize/admission.go */
function admitResize(
  kind: Kind,
  claim: KubeObject,
  before: PersistentVolumeClaim,
  view: AdmissionView,
): void {
  const sizeOf = (one: KubeObject): number =>
    amount(String(at(one, 'spec', 'resources', 'requests', 'storage') ?? '0'));
  if (sizeOf(claim) <= sizeOf(before)) return;
  const { name } = before.metadata;
  if (before.status?.phase !== 'Bound') {
    throw forbidden(kind, name, 'Only bound persistent volume claims can be expanded');
  }
  const storageClass = view.find(STORAGE_CLASSES, '', before.spec.storageClassName ?? '');
  if (at(storageClass, 'allowVolumeExpansion') !== true) {
    throw forbidden(
      kind,
      name,
      'only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support resize',
    );
  }
}

/** A validating webhook that must answer and has nobody behind its Service blocks every write to its kinds. */
function callWebhooks(kind: Kind, before: KubeObject | undefined, view: AdmissionView): void {
  const operation = before ? 'UPDATE' : 'CREATE';
  for (const configuration of view.list(WEBHOOK_CONFIGURATIONS)) {
    const webhooks = at(configuration, 'webhooks');
    for (const webhook of Array.isArray(webhooks) ? webhooks : []) {
      const rules = at(webhook, 'rules');
      const applies = (Array.isArray(rules) ? rules : []).some(
        (rule) =>
          includes(at(rule, 'apiGroups'), kind.group) &&
          includes(at(rule, 'resources'), kind.plural) &&
          includes(at(rule, 'apiVersions'), kind.version) &&
          includes(at(rule, 'operations'), operation),
      );
      if (!applies || at(webhook, 'failurePolicy') === 'Ignore') continue;
      const service = at(webhook, 'clientConfig', 'service');
      const name = String(at(service, 'name'));
      const namespace = String(at(service, 'namespace'));
      if (hasReadyEndpoint(namespace, name, view)) continue;
      const url = `https://${name}.${namespace}.svc:443${String(at(service, 'path') ?? '')}?timeout=5s`;
      const why = view.find(SERVICES, namespace, name)
        ? `no endpoints available for service "${name}"`
        : `service "${name}" not found`;
      throw internalError(
        `failed calling webhook "${String(at(webhook, 'name'))}": failed to call webhook: Post "${url}": ${why}`,
      );
    }
  }
}

function includes(list: unknown, value: string): boolean {
  return Array.isArray(list) && (list.includes(value) || list.includes('*'));
}

function hasReadyEndpoint(namespace: string, service: string, view: AdmissionView): boolean {
  return view
    .list<EndpointSlice>(ENDPOINT_SLICES, namespace)
    .some(
      (slice) =>
        slice.metadata.labels?.['kubernetes.io/service-name'] === service &&
        (slice.endpoints ?? []).some((endpoint) => endpoint.conditions?.ready === true),
    );
}
