/** The API server's rules for pod specs: pkg/apis/core/validation, ValidatePodSpec. */
import { at, type Fields, isFields } from '../object.ts';
import { amount } from '../quantity.ts';
import {
  type Cause,
  duplicate,
  forbiddenField,
  invalidValue,
  required,
  unsupported,
} from './status-error.ts';

const CONTAINER_NAME = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/;
const ENV_NAME = /^[ -<>-~]+$/;
const HANDLERS = ['exec', 'grpc', 'httpGet', 'tcpSocket'];

function list(value: unknown, name: string): Fields[] {
  const found = at(value, name);
  return Array.isArray(found) ? found.filter(isFields) : [];
}

export function validatePodSpec(spec: unknown, path: string): Cause[] {
  const causes: Cause[] = [];
  const volumes = new Set<string>();
  list(spec, 'volumes').forEach((volume, index) => {
    const name = String(volume['name'] ?? '');
    if (volumes.has(name)) causes.push(duplicate(`${path}.volumes[${index}].name`, name));
    volumes.add(name);
    const sources = Object.keys(volume).filter((field) => field !== 'name');
    if (sources.length > 1) {
      causes.push(
        forbiddenField(`${path}.volumes[${index}].${sources[1]}`, 'may not specify more than 1 volume type'),
      );
    }
  });
  const containers = list(spec, 'containers');
  if (containers.length === 0) causes.push(required(`${path}.containers`));
  const names = new Set<string>();
  for (const [field, some] of [
    ['containers', containers],
    ['initContainers', list(spec, 'initContainers')],
  ] as const) {
    some.forEach((container, index) => {
      const at = `${path}.${field}[${index}]`;
      const name = String(container['name']);
      if (names.has(name)) causes.push(duplicate(`${at}.name`, name));
      names.add(name);
      causes.push(...validateContainer(container, at, volumes));
    });
  }
  const policies = ['Always', 'Never', 'OnFailure'];
  if (!policies.includes(String(at(spec, 'restartPolicy')))) {
    causes.push(unsupported(`${path}.restartPolicy`, at(spec, 'restartPolicy'), policies));
  }
  return causes;
}

function validateContainer(container: Fields, path: string, volumes: ReadonlySet<string>): Cause[] {
  const causes: Cause[] = [];
  const name = String(container['name']);
  if (!CONTAINER_NAME.test(name) || name.length > 63) {
    causes.push(
      invalidValue(
        `${path}.name`,
        name,
        "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')",
      ),
    );
  }
  if (!container['image']) causes.push(required(`${path}.image`));
  const policies = ['Always', 'IfNotPresent', 'Never'];
  if (!policies.includes(String(container['imagePullPolicy']))) {
    causes.push(unsupported(`${path}.imagePullPolicy`, container['imagePullPolicy'], policies));
  }
  const ports = new Set<string>();
  list(container, 'ports').forEach((port, index) => {
    const number = Number(port['containerPort']);
    if (!(number >= 1 && number <= 65_535)) {
      causes.push(
        invalidValue(
          `${path}.ports[${index}].containerPort`,
          port['containerPort'],
          'must be between 1 and 65535, inclusive',
        ),
      );
    }
    const portName = port['name'];
    if (typeof portName !== 'string') return;
    if (portName.length > 15) {
      causes.push(
        invalidValue(`${path}.ports[${index}].name`, portName, 'must be no more than 15 characters'),
      );
    }
    if (ports.has(portName)) causes.push(duplicate(`${path}.ports[${index}].name`, portName));
    ports.add(portName);
  });
  const mounts = new Set<string>();
  list(container, 'volumeMounts').forEach((mount, index) => {
    const volume = String(mount['name']);
    if (!volumes.has(volume)) {
      causes.push({
        reason: 'FieldValueNotFound',
        message: `Not found: ${JSON.stringify(volume)}`,
        field: `${path}.volumeMounts[${index}].name`,
      });
    }
    const where = String(mount['mountPath']);
    if (mounts.has(where))
      causes.push(invalidValue(`${path}.volumeMounts[${index}].mountPath`, where, 'must be unique'));
    mounts.add(where);
  });
  list(container, 'env').forEach((entry, index) => {
    if (!ENV_NAME.test(String(entry['name']))) {
      causes.push(
        invalidValue(
          `${path}.env[${index}].name`,
          entry['name'],
          "a valid environment variable name must consist only of printable ASCII characters other than '='",
        ),
      );
    }
    if (entry['valueFrom'] !== undefined && entry['value'] !== undefined && entry['value'] !== '') {
      causes.push(
        invalidValue(`${path}.env[${index}].valueFrom`, '', 'may not be specified when `value` is not empty'),
      );
    }
  });
  causes.push(...validateResources(container, path));
  for (const probe of ['livenessProbe', 'readinessProbe', 'startupProbe']) {
    if (container[probe] !== undefined)
      causes.push(...validateProbe(container[probe], `${path}.${probe}`, probe));
  }
  return causes;
}

function validateResources(container: Fields, path: string): Cause[] {
  const limits = at(container, 'resources', 'limits');
  const requests = at(container, 'resources', 'requests');
  if (!isFields(limits) || !isFields(requests)) return [];
  return Object.entries(requests).flatMap(([name, request]) => {
    const limit = limits[name];
    return limit !== undefined && amount(String(request)) > amount(String(limit))
      ? [
          invalidValue(
            `${path}.resources.requests`,
            String(request),
            `must be less than or equal to ${name} limit of ${String(limit)}`,
          ),
        ]
      : [];
  });
}

function validateProbe(probe: unknown, path: string, name: string): Cause[] {
  const handlers = HANDLERS.filter((handler) => at(probe, handler) !== undefined);
  const causes: Cause[] = [];
  if (handlers.length === 0) causes.push(required(path, 'must specify a handler type'));
  if (handlers.length > 1) {
    causes.push(forbiddenField(`${path}.${handlers[1]}`, 'may not specify more than 1 handler type'));
  }
  for (const field of [
    'initialDelaySeconds',
    'timeoutSeconds',
    'periodSeconds',
    'successThreshold',
    'failureThreshold',
  ]) {
    if (Number(at(probe, field) ?? 0) < 0) {
      causes.push(invalidValue(`${path}.${field}`, at(probe, field), 'must be greater than or equal to 0'));
    }
  }
  if (name !== 'readinessProbe' && Number(at(probe, 'successThreshold') ?? 1) !== 1) {
    causes.push(invalidValue(`${path}.successThreshold`, at(probe, 'successThreshold'), 'must be 1'));
  }
  return causes;
}
