/**
 * Where in the spec a change that was made in a cloud belongs, so that it can be taken over instead of being put back. What
 * is not in the table has no place in the spec: it follows from other things, or is the same for everybody.
 */
import type { Difference, Json, ResourceKey } from '../graph/resource.ts';
import { hiddenValue } from './hidden-value.ts';
import { parseSpec } from './parse-spec.ts';
import { type DeploymentSpec, type DeploymentSpecInput, maintenanceDays } from './spec.ts';

type Path = readonly [string, ...(readonly string[])];

interface Place {
  /** Of the resource; absent: of any resource in Azure. */
  readonly resource?: ResourceKey;
  readonly path: RegExp;
  /** The field in the spec; what the groups of `path` matched takes the place of `$1` and `$2`. */
  readonly field: Path;
  /** From what the cloud has to what the spec says; undefined when that cannot be said. */
  readonly convert: (found: Json) => Json | undefined;
}

const number = (found: Json): Json | undefined => (typeof found === 'number' ? found : undefined);
const text = (found: Json): Json | undefined => (typeof found === 'string' ? found : undefined);
const enabled = (found: Json): Json | undefined =>
  found === 'Enabled' ? true : found === 'Disabled' ? false : undefined;

const server = 'azure/postgres-server';
const resourcesOf = (workload: string) =>
  new RegExp(
    `^Deployment ${workload}: spec\\.template\\.spec\\.containers\\.${workload}\\.resources\\.(requests|limits)\\.(cpu|memory)$`,
  );

export const places: readonly Place[] = [
  {
    resource: 'kubernetes/open-webui',
    path: /^Deployment open-webui: spec\.replicas$/,
    field: ['webui', 'replicas'],
    convert: number,
  },
  {
    resource: 'kubernetes/open-webui',
    path: resourcesOf('open-webui'),
    field: ['webui', 'resources', '$1', '$2'],
    convert: text,
  },
  {
    resource: 'kubernetes/ollama',
    path: resourcesOf('ollama'),
    field: ['ollama', 'resources', '$1', '$2'],
    convert: text,
  },
  {
    resource: 'kubernetes/config',
    path: /^ConfigMap open-webui-config: data\.([A-Z0-9_]+)$/,
    field: ['webui', 'config', '$1'],
    convert: text,
  },
  {
    resource: 'kubernetes/open-webui-service',
    path: /^Service open-webui: spec\.sessionAffinityConfig\.clientIP\.timeoutSeconds$/,
    field: ['webui', 'sessionAffinitySeconds'],
    convert: number,
  },
  {
    resource: 'kubernetes/open-webui-service',
    path: /^Service open-webui: spec\.sessionAffinity$/,
    field: ['webui', 'sessionAffinitySeconds'],
    convert: (found) => (found === 'None' ? 0 : undefined),
  },
  { resource: 'azure/file-share', path: /^shareQuota$/, field: ['storage', 'quotaGiB'], convert: number },
  { resource: 'azure/storage-account', path: /^sku\.name$/, field: ['storage', 'sku'], convert: text },
  {
    resource: 'azure/key-vault',
    path: /^properties\.publicNetworkAccess$/,
    field: ['vault', 'publicNetworkAccess'],
    convert: enabled,
  },
  {
    resource: 'azure/key-vault',
    path: /^properties\.softDeleteRetentionInDays$/,
    field: ['vault', 'softDeleteRetentionDays'],
    convert: number,
  },
  { resource: server, path: /^version$/, field: ['postgres', 'version'], convert: text },
  { resource: server, path: /^sku\.name$/, field: ['postgres', 'sku'], convert: text },
  { resource: server, path: /^sku\.tier$/, field: ['postgres', 'tier'], convert: text },
  {
    resource: server,
    path: /^storage\.storageSizeGB$/,
    field: ['postgres', 'storageGiB'],
    convert: number,
  },
  { resource: server, path: /^storage\.tier$/, field: ['postgres', 'performanceTier'], convert: text },
  {
    resource: server,
    path: /^backup\.backupRetentionDays$/,
    field: ['postgres', 'backupRetentionDays'],
    convert: number,
  },
  {
    resource: server,
    path: /^highAvailability\.mode$/,
    field: ['postgres', 'highAvailability'],
    convert: text,
  },
  {
    resource: server,
    path: /^maintenanceWindow\.dayOfWeek$/,
    field: ['postgres', 'maintenance', 'dayOfWeek'],
    convert: (found) => (typeof found === 'number' ? maintenanceDays[found] : undefined),
  },
  {
    resource: server,
    path: /^maintenanceWindow\.startHour$/,
    field: ['postgres', 'maintenance', 'startHourUtc'],
    convert: number,
  },
  {
    resource: server,
    path: /^maintenanceWindow\.startMinute$/,
    field: ['postgres', 'maintenance', 'startMinute'],
    convert: number,
  },
  {
    resource: 'azure/postgres-parameters',
    // That a restart is waited for is told under this name, too.
    path: /^(?!restart$)([a-z_][a-z0-9_.]*)$/,
    field: ['postgres', 'parameters', '$1'],
    convert: text,
  },
  { resource: 'azure/cluster', path: /^sku\.tier$/, field: ['cluster', 'tier'], convert: text },
  {
    resource: 'azure/cluster',
    path: /^kubernetesVersion$/,
    field: ['cluster', 'kubernetesVersion'],
    convert: text,
  },
  {
    resource: 'azure/cluster',
    path: /^agentPoolProfiles\.([a-z0-9]+)\.count$/,
    field: ['cluster', 'nodePools', '$1', 'count'],
    convert: number,
  },
  {
    resource: 'azure/cluster',
    path: /^agentPoolProfiles\.([a-z0-9]+)\.mode$/,
    field: ['cluster', 'nodePools', '$1', 'mode'],
    convert: text,
  },
  // The tags by which we know our own are nobody's to change.
  {
    path: /^tags\.(?!(?:managed-by|deployment|password-version)$)(.+)$/,
    field: ['tags', '$1'],
    convert: text,
  },
];

export interface Adoptable {
  readonly resource: ResourceKey;
  /** `isCut`: what was found is too long, and a text that says so has its place. */
  readonly difference: Difference & { readonly isCut?: boolean };
}

export interface Adoption {
  /** The spec as it is to be stored. */
  readonly given: DeploymentSpecInput;
  readonly taken: readonly Adoptable[];
  /** What has no place in the spec, or would make it a contradiction, and why. */
  readonly refused: readonly (Adoptable & { readonly why: string })[];
}

/** As many as go together: all at once where they only make sense so, as the name and tier of a compute size. */
export function adopt(
  { name, spec: given }: { readonly name: string; readonly spec: DeploymentSpecInput },
  spec: DeploymentSpec,
  items: readonly Adoptable[],
): Adoption {
  const judged = items.map((item) => ({ item, why: whyNot(item, spec) }));
  const placed = judged.flatMap(({ item, why }) => (why === undefined ? [item] : []));
  const placeless = judged.flatMap(({ item, why }) => (why === undefined ? [] : [{ ...item, why }]));
  const together = withAll(given, spec, placed);
  if (placed.length > 0 && parseSpec(name, together).ok) {
    return { given: together, taken: placed, refused: placeless };
  }
  let so = given;
  const taken: Adoptable[] = [];
  const refused: (Adoptable & { readonly why: string })[] = [...placeless];
  for (const item of placed) {
    const next = withAll(so, spec, [item]);
    const parsed = parseSpec(name, next);
    if (parsed.ok) {
      so = next;
      taken.push(item);
    } else {
      const [problem] = parsed.problems;
      refused.push({ ...item, why: problem ? `${problem.field} ${problem.message}` : 'is not valid' });
    }
  }
  return { given: so, taken, refused };
}

/** Why it cannot be put into any spec of this deployment. */
function whyNot(item: Adoptable, spec: DeploymentSpec): string | undefined {
  const { found, isCut } = item.difference;
  if (entryOf(item, spec) === undefined) return 'has no place in the spec';
  if (isCut) return 'is too long to be taken from here: PUT the spec with it instead';
  if (found === hiddenValue) return 'may hold a secret, which is not kept and does not belong in the spec';
  return undefined;
}

interface Entry {
  readonly field: readonly string[];
  readonly value: Json;
}

function entryOf({ resource, difference }: Adoptable, spec: DeploymentSpec): Entry | undefined {
  for (const { resource: of, path, field, convert } of places) {
    if (of === undefined ? !resource.startsWith('azure/') : of !== resource) continue;
    const match = path.exec(difference.path);
    if (!match) continue;
    const value = convert(difference.found);
    const names = field.map((name) => (/^\$\d$/.test(name) ? (match[Number(name.slice(1))] ?? '') : name));
    if (value === undefined || names.includes('__proto__')) return undefined;
    if (names[1] === 'nodePools' && !spec.cluster.nodePools.some((pool) => pool.name === names[2])) {
      return undefined;
    }
    return { field: names, value };
  }
  return undefined;
}

/** `given` is known to be well-formed, and what is put into it is judged by `parseSpec` before it is used. */
function withAll(
  given: DeploymentSpecInput,
  spec: DeploymentSpec,
  items: readonly Adoptable[],
): DeploymentSpecInput {
  const changed: unknown = items.reduce<unknown>((so, item) => {
    const entry = entryOf(item, spec);
    return entry ? withField(so, entry.field, entry.value, spec) : so;
  }, given);
  return changed as DeploymentSpecInput;
}

const recordOf = (value: unknown): Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null ? { ...value } : {};

function withField(
  within: unknown,
  [name = '', ...rest]: readonly string[],
  value: Json,
  spec: DeploymentSpec,
): unknown {
  const fields = recordOf(within);
  if (rest.length === 0) return { ...fields, [name]: value };
  if (name === 'nodePools') {
    // Pools that were left out are the default ones; with one changed, all have to be written.
    const pools: readonly unknown[] = Array.isArray(fields[name]) ? fields[name] : spec.cluster.nodePools;
    const [pool = '', ...field] = rest;
    return {
      ...fields,
      [name]: pools.map((one) => (recordOf(one)['name'] === pool ? withField(one, field, value, spec) : one)),
    };
  }
  return { ...fields, [name]: withField(fields[name], rest, value, spec) };
}
