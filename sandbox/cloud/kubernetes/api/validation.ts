/**
 * The API server's rules per kind, for new objects and for changes: pkg/apis/core/validation, pkg/apis/apps/validation.
 * Only rules that a deployer of this stack can run into are here; each answers in the real wording,
 * which is most of this file.
 */
import { at, type Fields, isFields, isSame } from '../object.ts';
import { amount } from '../quantity.ts';
import type { Kind } from './kinds.ts';
import { validatePodSpec } from './pod-validation.ts';
import { matchesLabels } from './selectors.ts';
import { checkRules } from './shape.ts';
import {
  type Cause,
  duplicate,
  forbiddenField,
  invalidValue,
  required,
  unsupported,
} from './status-error.ts';

const LABEL = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/;
const LABEL_1035 = /^[a-z]([-a-z0-9]*[a-z0-9])?$/;
const SUBDOMAIN = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;
const QUALIFIED_NAME = /^([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]$/;
const DATA_KEY = /^[-._a-zA-Z0-9]+$/;
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;
const MOST_DATA = 1024 * 1024;

const SUBDOMAIN_RULE =
  "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const LABEL_RULE =
  "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const LABEL_1035_RULE =
  "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')";

/** Everything that is wrong with the object as it would be stored; `before` is the stored one on a change. */
export function validate(kind: Kind, object: Fields, before?: Fields): Cause[] {
  const causes = [...validateMetadata(kind, object), ...checkRules(kind.schema, object)];
  if (causes.length > 0) return causes;
  const spec = object['spec'];
  const old = before?.['spec'];
  switch (kind.kind) {
    case 'Pod':
      return before ? validatePodChange(spec, old) : validatePodSpec(spec, 'spec');
    case 'Deployment':
    case 'ReplicaSet':
      return [
        ...validateWorkload(kind, spec),
        ...immutable('spec.selector', at(spec, 'selector'), before && at(old, 'selector')),
      ];
    case 'Service':
      return validateService(spec, old);
    case 'PersistentVolumeClaim':
      return validateClaim(spec, before);
    case 'PersistentVolume':
      return validateVolume(spec, old);
    case 'ConfigMap':
      return [
        ...validateData(object, 'data', false),
        ...validateData(object, 'binaryData', true),
        ...validateKept(object, before),
      ];
    case 'Secret':
      return [
        ...validateData(object, 'data', true),
        ...validateKept(object, before),
        ...immutable('type', object['type'], before?.['type']),
      ];
    case 'PodDisruptionBudget':
      return at(spec, 'minAvailable') !== undefined && at(spec, 'maxUnavailable') !== undefined
        ? [invalidValue('spec', spec, 'minAvailable and maxUnavailable cannot be both set')]
        : [];
    case 'StorageClass':
      return before
        ? ['provisioner', 'parameters', 'volumeBindingMode', 'reclaimPolicy'].flatMap((field) =>
            isSame(object[field], before[field])
              ? []
              : [forbiddenField(field, `updates to ${field} are forbidden.`)],
          )
        : [];
    case 'NetworkPolicy':
      return at(spec, 'podSelector') === undefined ? [required('spec.podSelector')] : [];
    default:
      return [];
  }
}

function validateMetadata(kind: Kind, object: Fields): Cause[] {
  const metadata = object['metadata'];
  const name = String(at(metadata, 'name') ?? '');
  if (name === '') return [required('metadata.name', 'name or generateName is required')];
  const causes: Cause[] = [];
  if (kind.kind === 'Namespace') {
    if (name.length > 63 || !LABEL.test(name)) causes.push(invalidValue('metadata.name', name, LABEL_RULE));
  } else if (kind.kind === 'Service') {
    if (name.length > 63 || !LABEL_1035.test(name))
      causes.push(invalidValue('metadata.name', name, LABEL_1035_RULE));
  } else if (kind.group !== 'rbac.authorization.k8s.io' && (name.length > 253 || !SUBDOMAIN.test(name))) {
    causes.push(invalidValue('metadata.name', name, SUBDOMAIN_RULE));
  }
  causes.push(...validateLabels(at(metadata, 'labels'), 'metadata.labels'));
  for (const key of Object.keys(fieldsAt(metadata, 'annotations'))) {
    if (!isQualified(key))
      causes.push(
        invalidValue('metadata.annotations', key, 'name part must consist of alphanumeric characters'),
      );
  }
  return causes;
}

function fieldsAt(value: unknown, name: string): Fields {
  const found = at(value, name);
  return isFields(found) ? found : {};
}

export function validateLabels(labels: unknown, field: string): Cause[] {
  if (!isFields(labels)) return [];
  return Object.entries(labels).flatMap(([key, value]) => {
    const text = String(value);
    if (!isQualified(key))
      return [invalidValue(field, key, 'name part must consist of alphanumeric characters')];
    if (text.length > 63) return [invalidValue(field, text, 'must be no more than 63 characters')];
    if (text !== '' && !QUALIFIED_NAME.test(text)) {
      return [
        invalidValue(
          field,
          text,
          "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')",
        ),
      ];
    }
    return [];
  });
}

function isQualified(key: string): boolean {
  const [first = '', second] = key.split('/');
  if (key.split('/').length > 2) return false;
  const name = second ?? first;
  return name.length <= 63 && QUALIFIED_NAME.test(name) && (second === undefined || SUBDOMAIN.test(first));
}

function immutable(field: string, value: unknown, before: unknown): Cause[] {
  return before === undefined || isSame(value, before)
    ? []
    : [invalidValue(field, value, 'field is immutable')];
}

function validateWorkload(kind: Kind, spec: unknown): Cause[] {
  const causes: Cause[] = [];
  if (Number(at(spec, 'replicas')) < 0) {
    causes.push(invalidValue('spec.replicas', at(spec, 'replicas'), 'must be greater than or equal to 0'));
  }
  const selector = at(spec, 'selector');
  const labels = at(spec, 'template', 'metadata', 'labels');
  const isEmpty =
    Object.keys(fieldsAt(selector, 'matchLabels')).length === 0 &&
    at(selector, 'matchExpressions') === undefined;
  if (isEmpty)
    causes.push(invalidValue('spec.selector', selector, 'empty selector is invalid for deployment'));
  else if (!matchesLabels(selector as object, labels as Record<string, string> | undefined)) {
    causes.push(
      invalidValue(
        'spec.template.metadata.labels',
        labels ?? null,
        '`selector` does not match template `labels`',
      ),
    );
  }
  causes.push(...validateLabels(labels, 'spec.template.metadata.labels'));
  causes.push(...validatePodSpec(at(spec, 'template', 'spec'), 'spec.template.spec'));
  const policy = at(spec, 'template', 'spec', 'restartPolicy');
  if (policy !== 'Always') causes.push(unsupported('spec.template.spec.restartPolicy', policy, ['Always']));
  if (kind.kind === 'Deployment') causes.push(...validateStrategy(spec));
  return causes;
}

function validateStrategy(spec: unknown): Cause[] {
  const type = at(spec, 'strategy', 'type');
  const rolling = at(spec, 'strategy', 'rollingUpdate');
  if (type === 'Recreate') {
    return rolling === undefined
      ? []
      : [
          forbiddenField(
            'spec.strategy.rollingUpdate',
            "may not be specified when strategy `type` is 'Recreate'",
          ),
        ];
  }
  if (type !== 'RollingUpdate')
    return [unsupported('spec.strategy.type', type, ['Recreate', 'RollingUpdate'])];
  const isZero = (value: unknown): boolean => value === 0 || value === '0' || value === '0%';
  if (isZero(at(rolling, 'maxUnavailable')) && isZero(at(rolling, 'maxSurge'))) {
    return [
      invalidValue(
        'spec.strategy.rollingUpdate.maxUnavailable',
        at(rolling, 'maxUnavailable'),
        'may not be 0 when `maxSurge` is 0',
      ),
    ];
  }
  const deadline = Number(at(spec, 'progressDeadlineSeconds'));
  if (deadline <= Number(at(spec, 'minReadySeconds') ?? 0)) {
    return [invalidValue('spec.progressDeadlineSeconds', deadline, 'must be greater than minReadySeconds')];
  }
  return [];
}

/** Of a pod that exists only these may change; everything else needs a new pod. */
function validatePodChange(spec: unknown, old: unknown): Cause[] {
  const comparable = (value: unknown): unknown => {
    const copy = structuredClone(value);
    if (!isFields(copy)) return copy;
    for (const name of ['containers', 'initContainers']) {
      const list = copy[name];
      for (const container of Array.isArray(list) ? list : [])
        if (isFields(container)) delete container['image'];
    }
    for (const name of ['activeDeadlineSeconds', 'terminationGracePeriodSeconds', 'tolerations', 'nodeName'])
      delete copy[name];
    return copy;
  };
  return isSame(comparable(spec), comparable(old))
    ? []
    : [
        forbiddenField(
          'spec',
          'pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)',
        ),
      ];
}

function validateService(spec: unknown, old: unknown): Cause[] {
  const type = at(spec, 'type');
  const types = ['ClusterIP', 'ExternalName', 'LoadBalancer', 'NodePort'];
  if (!types.includes(String(type))) return [unsupported('spec.type', type, types)];
  const affinity = at(spec, 'sessionAffinity');
  if (affinity !== 'None' && affinity !== 'ClientIP') {
    return [unsupported('spec.sessionAffinity', affinity, ['ClientIP', 'None'])];
  }
  const causes: Cause[] = [];
  const ports = at(spec, 'ports');
  const list = Array.isArray(ports) ? ports.filter(isFields) : [];
  if (list.length === 0 && type !== 'ExternalName' && at(spec, 'clusterIP') !== 'None')
    causes.push(required('spec.ports'));
  const names = new Set<unknown>();
  list.forEach((port, index) => {
    const number = Number(port['port']);
    if (!(number >= 1 && number <= 65_535)) {
      causes.push(
        invalidValue(`spec.ports[${index}].port`, port['port'], 'must be between 1 and 65535, inclusive'),
      );
    }
    if (list.length > 1 && port['name'] === undefined) causes.push(required(`spec.ports[${index}].name`));
    if (port['name'] !== undefined && names.has(port['name']))
      causes.push(duplicate(`spec.ports[${index}].name`, port['name']));
    names.add(port['name']);
  });
  const address = at(old, 'clusterIP');
  if (address !== undefined && at(spec, 'clusterIP') !== address) {
    causes.push(invalidValue('spec.clusterIPs[0]', at(spec, 'clusterIP') ?? '', 'may not change once set'));
  }
  return causes;
}

function validateClaim(spec: unknown, before: Fields | undefined): Cause[] {
  const storage = at(spec, 'resources', 'requests', 'storage');
  const modes = at(spec, 'accessModes');
  if (!Array.isArray(modes) || modes.length === 0) {
    return [required('spec.accessModes', 'at least 1 access mode is required')];
  }
  const causes = validateModes(modes);
  if (storage === undefined) causes.push(required('spec.resources[storage]'));
  const old = before?.['spec'];
  if (old === undefined) return causes;
  const rest = (value: unknown): unknown => {
    const copy = structuredClone(value);
    if (isFields(copy)) {
      const requests = at(copy, 'resources', 'requests');
      if (isFields(requests) && at(before, 'status', 'phase') === 'Bound') delete requests['storage'];
      if (at(old, 'volumeName') === undefined) delete copy['volumeName'];
    }
    return copy;
  };
  if (!isSame(rest(spec), rest(old))) {
    causes.push(
      forbiddenField(
        'spec',
        'spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims',
      ),
    );
  }
  const held = at(before, 'status', 'capacity', 'storage');
  const asked = amount(String(storage));
  const isReduced = asked < amount(String(at(old, 'resources', 'requests', 'storage')));
  if (isReduced && held !== undefined && asked < amount(String(held))) {
    causes.push(
      forbiddenField('spec.resources.requests.storage', 'field can not be less than status.capacity'),
    );
  }
  return causes;
}

function validateModes(modes: readonly unknown[]): Cause[] {
  const allowed = ['ReadOnlyMany', 'ReadWriteMany', 'ReadWriteOnce', 'ReadWriteOncePod'];
  return modes
    .filter((mode) => !allowed.includes(String(mode)))
    .map((mode) => unsupported('spec.accessModes', mode, allowed));
}

const SOURCES = ['csi', 'azureFile', 'azureDisk', 'hostPath', 'nfs', 'local'];

function validateVolume(spec: unknown, old: unknown): Cause[] {
  const causes: Cause[] = [];
  const modes = at(spec, 'accessModes');
  if (!Array.isArray(modes) || modes.length === 0) causes.push(required('spec.accessModes'));
  else causes.push(...validateModes(modes));
  if (at(spec, 'capacity', 'storage') === undefined) causes.push(required('spec.capacity'));
  const sources = SOURCES.filter((name) => at(spec, name) !== undefined);
  if (sources.length === 0) causes.push(required('spec', 'must specify a volume type'));
  if (sources.length > 1)
    causes.push(forbiddenField(`spec.${sources[1]}`, 'may not specify more than 1 volume type'));
  const policies = ['Delete', 'Recycle', 'Retain'];
  const policy = at(spec, 'persistentVolumeReclaimPolicy');
  if (!policies.includes(String(policy)))
    causes.push(unsupported('spec.persistentVolumeReclaimPolicy', policy, policies));
  for (const name of ['nodeStageSecretRef', 'nodePublishSecretRef', 'controllerExpandSecretRef']) {
    const reference = at(spec, 'csi', name);
    if (reference === undefined) continue;
    for (const field of ['name', 'namespace']) {
      if (at(reference, field) === undefined) causes.push(required(`spec.csi.${name}.${field}`));
    }
  }
  const changed = SOURCES.some((name) => old !== undefined && !isSame(at(spec, name), at(old, name)));
  if (changed) {
    causes.push(
      forbiddenField(
        'spec.persistentvolumesource',
        'spec.persistentvolumesource is immutable after creation',
      ),
    );
  }
  return causes;
}

function validateData(object: Fields, field: string, isBase64: boolean): Cause[] {
  const data = fieldsAt(object, field);
  const causes: Cause[] = [];
  let size = 0;
  for (const [key, value] of Object.entries(data)) {
    if (!DATA_KEY.test(key)) {
      causes.push(
        invalidValue(
          `${field}[${key}]`,
          key,
          "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')",
        ),
      );
    }
    if (isBase64 && !BASE64.test(String(value)))
      causes.push(invalidValue(`${field}[${key}]`, '<redacted>', 'illegal base64 data'));
    size += String(value).length;
  }
  if (size > MOST_DATA) {
    causes.push({
      reason: 'FieldValueTooLong',
      message: `Too long: may not be more than ${MOST_DATA} bytes`,
      field,
    });
  }
  return causes;
}

function validateKept(object: Fields, before: Fields | undefined): Cause[] {
  if (before?.['immutable'] !== true) return [];
  const same = isSame(object['data'], before['data']) && object['immutable'] === true;
  return same ? [] : [forbiddenField('data', 'field is immutable when `immutable` is set')];
}
