/**
 * What the API server fills in: pkg/apis/*\/v1/defaults.go, and for custom kinds the `default`s of their schema.
 * Works on a copy that the caller owns.
 */
import { at, type Fields, isFields } from '../object.ts';
import type { Kind } from './kinds.ts';
import type { Schema } from './schema.ts';

function fill(target: unknown, values: Fields): void {
  if (!isFields(target)) return;
  for (const [name, value] of Object.entries(values)) target[name] ??= structuredClone(value);
}

function items(value: unknown): Fields[] {
  return Array.isArray(value) ? value.filter(isFields) : [];
}

function child(target: unknown, name: string): Fields | undefined {
  if (!isFields(target)) return undefined;
  target[name] ??= {};
  return isFields(target[name]) ? target[name] : undefined;
}

export function addDefaults(kind: Kind, object: Fields): void {
  if (kind.columns !== undefined) {
    fillFromSchema(kind.schema, object);
    return;
  }
  const spec = object['spec'];
  switch (kind.kind) {
    case 'Pod':
      fill(spec, { enableServiceLinks: true });
      defaultPodSpec(spec);
      for (const container of [...items(at(spec, 'containers')), ...items(at(spec, 'initContainers'))]) {
        const limits = at(container, 'resources', 'limits');
        if (isFields(limits)) fill(child(child(container, 'resources'), 'requests'), limits);
      }
      return;
    case 'Deployment':
      fill(spec, {
        replicas: 1,
        revisionHistoryLimit: 10,
        progressDeadlineSeconds: 600,
        strategy: { type: 'RollingUpdate' },
      });
      if (isFields(at(spec, 'strategy'))) {
        fill(at(spec, 'strategy'), { type: 'RollingUpdate' });
        if (at(spec, 'strategy', 'type') === 'RollingUpdate') {
          fill(child(at(spec, 'strategy'), 'rollingUpdate'), { maxSurge: '25%', maxUnavailable: '25%' });
        }
      }
      defaultPodSpec(at(spec, 'template', 'spec'));
      return;
    case 'ReplicaSet':
      fill(spec, { replicas: 1 });
      defaultPodSpec(at(spec, 'template', 'spec'));
      return;
    case 'Service':
      defaultService(spec);
      return;
    case 'PersistentVolumeClaim':
      fill(spec, { volumeMode: 'Filesystem' });
      fill(child(object, 'status'), { phase: 'Pending' });
      return;
    case 'PersistentVolume':
      fill(spec, { volumeMode: 'Filesystem', persistentVolumeReclaimPolicy: 'Retain' });
      if (at(spec, 'claimRef') !== undefined)
        fill(at(spec, 'claimRef'), { apiVersion: 'v1', kind: 'PersistentVolumeClaim' });
      fill(child(object, 'status'), { phase: 'Pending' });
      return;
    case 'Secret':
      fill(object, { type: 'Opaque' });
      return;
    case 'Namespace': {
      fill(child(object, 'spec'), { finalizers: ['kubernetes'] });
      fill(child(object, 'status'), { phase: 'Active' });
      const metadata = child(object, 'metadata');
      const labels = child(metadata, 'labels');
      if (labels) labels['kubernetes.io/metadata.name'] = metadata?.['name'];
      return;
    }
    case 'NetworkPolicy': {
      const types = at(spec, 'egress') === undefined ? ['Ingress'] : ['Ingress', 'Egress'];
      fill(spec, { policyTypes: types });
      for (const rule of [...items(at(spec, 'ingress')), ...items(at(spec, 'egress'))]) {
        for (const port of items(rule['ports'])) fill(port, { protocol: 'TCP' });
      }
      return;
    }
    case 'StorageClass':
      fill(object, { reclaimPolicy: 'Delete', volumeBindingMode: 'Immediate' });
      return;
    case 'CustomResourceDefinition': {
      fill(spec, { conversion: { strategy: 'None' } });
      const names = at(spec, 'names');
      fill(names, {
        singular: String(at(names, 'kind')).toLowerCase(),
        listKind: `${String(at(names, 'kind'))}List`,
      });
      return;
    }
    default:
  }
}

function defaultService(spec: unknown): void {
  fill(spec, { type: 'ClusterIP', sessionAffinity: 'None', internalTrafficPolicy: 'Cluster' });
  if (at(spec, 'sessionAffinity') === 'ClientIP') {
    fill(child(child(spec, 'sessionAffinityConfig'), 'clientIP'), { timeoutSeconds: 10_800 });
  }
  fill(spec, { ipFamilies: ['IPv4'], ipFamilyPolicy: 'SingleStack' });
  for (const port of items(at(spec, 'ports'))) fill(port, { protocol: 'TCP', targetPort: port['port'] });
}

function defaultPodSpec(spec: unknown): void {
  fill(spec, {
    restartPolicy: 'Always',
    dnsPolicy: 'ClusterFirst',
    schedulerName: 'default-scheduler',
    terminationGracePeriodSeconds: 30,
    securityContext: {},
  });
  if (at(spec, 'serviceAccountName') !== undefined)
    fill(spec, { serviceAccount: at(spec, 'serviceAccountName') });
  for (const volume of items(at(spec, 'volumes'))) {
    fill(volume['secret'], { defaultMode: 420 });
    fill(volume['configMap'], { defaultMode: 420 });
    fill(volume['projected'], { defaultMode: 420 });
    fill(volume['hostPath'], { type: '' });
    if (Object.keys(volume).length === 1) volume['emptyDir'] = {};
  }
  for (const container of [...items(at(spec, 'containers')), ...items(at(spec, 'initContainers'))]) {
    const image = String(container['image'] ?? '');
    fill(container, {
      imagePullPolicy:
        /(:latest|^[^:@]+|\/[^:@/]+)$/.test(image) && !image.includes('@') ? 'Always' : 'IfNotPresent',
      terminationMessagePath: '/dev/termination-log',
      terminationMessagePolicy: 'File',
      resources: {},
    });
    for (const port of items(container['ports'])) fill(port, { protocol: 'TCP' });
    for (const entry of items(container['env']))
      fill(at(entry, 'valueFrom', 'fieldRef'), { apiVersion: 'v1' });
    for (const name of ['livenessProbe', 'readinessProbe', 'startupProbe']) {
      fill(container[name], {
        timeoutSeconds: 1,
        periodSeconds: 10,
        successThreshold: 1,
        failureThreshold: 3,
      });
      fill(at(container, name, 'httpGet'), { path: '/', scheme: 'HTTP' });
      fill(at(container, name, 'grpc'), { service: '' });
    }
  }
}

function fillFromSchema(schema: Schema, value: unknown): void {
  if (schema.type === 'list')
    for (const item of Array.isArray(value) ? value : []) fillFromSchema(schema.items, item);
  if (!isFields(value)) return;
  if (schema.type === 'map') for (const item of Object.values(value)) fillFromSchema(schema.values, item);
  if (schema.type !== 'object') return;
  for (const [name, inner] of schema.fields) {
    const fallback = 'rules' in inner ? inner.rules?.default : undefined;
    if (value[name] === undefined && fallback !== undefined) value[name] = structuredClone(fallback);
    if (value[name] !== undefined) fillFromSchema(inner, value[name]);
  }
}
