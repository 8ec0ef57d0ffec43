/**
 * The body of a flexible server: what may be in it, what it becomes with the service's defaults, what may change. Long
 * because it spells out every property: what it does not name is refused.
 */
import { z } from 'zod';
import { isJson, type Json, memberAt, mergePatch, objectAt } from './frame/json.ts';
import { Refusal } from './frame/refusal.ts';
import { readOnly, tagsSchema, trackedMembers } from './frame/request-body.ts';
import { requireLogin } from './postgresql-password.ts';
import { isLowerTier, requireDisk, requireSku, tierOf } from './postgresql-sizes.ts';

const TIER_CHANGE_INTERVAL = 12 * 3600 * 1000;
/** What the engine of each major version calls itself. */
const MINOR_VERSIONS: Readonly<Record<string, string>> = {
  18: '1',
  17: '7',
  16: '11',
  15: '15',
  14: '20',
  13: '23',
  12: '22',
  11: '22',
};

const onOff = z.enum(['Enabled', 'Disabled']);
const skuSchema = z.strictObject({ name: z.string(), tier: z.string() });
const identitySchema = z.strictObject({
  type: z.enum(['None', 'UserAssigned']),
  userAssignedIdentities: z.record(z.string(), z.unknown()).optional(),
  ...readOnly('principalId', 'tenantId'),
});
const changeable = {
  administratorLogin: z.string().optional(),
  administratorLoginPassword: z.string().optional(),
  version: z.enum(['18', '17', '16', '15', '14', '13', '12', '11']).optional(),
  storage: z
    .strictObject({
      storageSizeGB: z.int().optional(),
      autoGrow: onOff.optional(),
      tier: z.string().optional(),
      type: z.literal(['Premium_LRS', '']).optional(),
      ...readOnly('iops', 'throughput'),
    })
    .optional(),
  backup: z
    .strictObject({
      backupRetentionDays: z.int().min(7).max(35).optional(),
      geoRedundantBackup: onOff.optional(),
      ...readOnly('earliestRestoreDate'),
    })
    .optional(),
  network: z
    .strictObject({
      publicNetworkAccess: onOff.optional(),
      delegatedSubnetResourceId: z.string().startsWith('/').optional(),
      privateDnsZoneArmResourceId: z.string().startsWith('/').optional(),
    })
    .optional(),
  highAvailability: z
    .strictObject({
      mode: z.enum(['Disabled', 'ZoneRedundant', 'SameZone']).optional(),
      standbyAvailabilityZone: z.enum(['1', '2', '3', '']).optional(),
      ...readOnly('state'),
    })
    .optional(),
  maintenanceWindow: z
    .strictObject({
      customWindow: onOff.optional(),
      startHour: z.int().min(0).max(23).optional(),
      startMinute: z.int().min(0).max(59).optional(),
      dayOfWeek: z.int().min(0).max(6).optional(),
    })
    .optional(),
  authConfig: z
    .strictObject({
      activeDirectoryAuth: onOff.optional(),
      passwordAuth: onOff.optional(),
      tenantId: z.string().optional(),
    })
    .optional(),
  dataEncryption: z.strictObject({ type: z.literal('SystemManaged') }).optional(),
  availabilityZone: z.enum(['1', '2', '3', '']).optional(),
  replicationRole: z.enum(['Primary', 'None']).optional(),
};

/** Restores, replicas and clusters of servers are not simulated: their createModes and members are refused. */
export const serverBody = z.strictObject({
  ...trackedMembers,
  sku: skuSchema.optional(),
  identity: identitySchema.optional(),
  properties: z.strictObject({
    ...changeable,
    createMode: z.enum(['Default', 'Create', 'Update']).optional(),
    ...readOnly(
      'minorVersion',
      'state',
      'fullyQualifiedDomainName',
      'replicaCapacity',
      'replica',
      'privateEndpointConnections',
    ),
  }),
});
export type ServerInput = z.infer<typeof serverBody>;

export const serverPatch = z.strictObject({
  sku: skuSchema.partial().optional(),
  identity: identitySchema.optional(),
  tags: tagsSchema.nullish(),
  properties: z
    .strictObject({ ...changeable, createMode: z.enum(['Default', 'Update']).optional() })
    .optional(),
});
export type ServerPatch = z.infer<typeof serverPatch>;

export type ServerProperties = {
  administratorLogin?: string;
  version: string;
  minorVersion: string;
  storage: { storageSizeGB: number; autoGrow: string; tier: string; iops: number; type: string };
  backup: { backupRetentionDays: number; geoRedundantBackup: string };
  network: {
    publicNetworkAccess: string;
    delegatedSubnetResourceId?: string;
    privateDnsZoneArmResourceId?: string;
  };
  highAvailability: { mode: string; standbyAvailabilityZone?: string | undefined; state?: string };
  maintenanceWindow: { customWindow: string; dayOfWeek: number; startHour: number; startMinute: number };
  authConfig: { activeDirectoryAuth: string; passwordAuth: string; tenantId?: string | undefined };
  dataEncryption: { type: string };
  availabilityZone?: string;
};
export type ServerBody = {
  location: string;
  tags?: Record<string, string> | null | undefined;
  sku: { name: string; tier: string };
  identity?: Json;
  properties: ServerProperties;
};

export const invalid = (message: string): Refusal => new Refusal(400, 'InvalidParameterValue', message);

const NO_WINDOW = { customWindow: 'Disabled', dayOfWeek: 0, startHour: 0, startMinute: 0 };

/** A new server. The maintenance window is not taken at creation: it can only be set afterwards. */
export function newServer(input: ServerInput): ServerBody {
  const { administratorLoginPassword: _password, createMode: _mode, ...given } = input.properties;
  if (!input.sku)
    throw new Refusal(400, 'MissingRequiredParameter', "The required parameter 'sku' is missing.");
  const { storage = {}, backup = {}, highAvailability = {}, authConfig = {} } = given;
  const size = storage.storageSizeGB ?? 32;
  const disk = requireDisk({
    storageSizeGB: size,
    ...(storage.tier !== undefined && { tier: storage.tier }),
  });
  const body: ServerBody = {
    location: input.location,
    tags: input.tags ?? {},
    sku: input.sku,
    properties: {
      ...(given.administratorLogin !== undefined && { administratorLogin: given.administratorLogin }),
      version: given.version ?? '17',
      minorVersion: MINOR_VERSIONS[given.version ?? '17'] ?? '',
      storage: {
        storageSizeGB: size,
        autoGrow: storage.autoGrow ?? 'Disabled',
        ...disk,
        type: 'Premium_LRS',
      },
      backup: {
        backupRetentionDays: backup.backupRetentionDays ?? 7,
        geoRedundantBackup: backup.geoRedundantBackup ?? 'Disabled',
      },
      network: networkOf(given.network ?? {}),
      highAvailability: withState({ ...highAvailability, mode: highAvailability.mode ?? 'Disabled' }),
      maintenanceWindow: NO_WINDOW,
      authConfig: {
        ...authConfig,
        activeDirectoryAuth: authConfig.activeDirectoryAuth ?? 'Disabled',
        passwordAuth: authConfig.passwordAuth ?? 'Enabled',
      },
      dataEncryption: { type: 'SystemManaged' },
      availabilityZone: given.availabilityZone || '1',
    },
  };
  requireSense(body);
  return body;
}

function networkOf(given: NonNullable<ServerInput['properties']['network']>): ServerProperties['network'] {
  const { delegatedSubnetResourceId: subnet, privateDnsZoneArmResourceId: zone } = given;
  if (subnet === undefined && zone === undefined) {
    return { publicNetworkAccess: given.publicNetworkAccess ?? 'Enabled' };
  }
  if (subnet === undefined || zone === undefined) {
    throw new Refusal(
      400,
      'InvalidParameterValue',
      "A server with virtual network integration needs both 'delegatedSubnetResourceId' and 'privateDnsZoneArmResourceId'.",
    );
  }
  if (given.publicNetworkAccess === 'Enabled') {
    throw invalid("'publicNetworkAccess' cannot be 'Enabled' on a server with virtual network integration.");
  }
  return {
    publicNetworkAccess: 'Disabled',
    delegatedSubnetResourceId: subnet,
    privateDnsZoneArmResourceId: zone,
  };
}

const withState = (
  availability: ServerProperties['highAvailability'],
): ServerProperties['highAvailability'] => ({
  ...availability,
  state: availability.mode === 'Disabled' ? 'NotEnabled' : 'Healthy',
});

/** What every server must be, whether new or changed. */
function requireSense({ sku, properties }: ServerBody): void {
  requireSku(sku);
  const { authConfig, administratorLogin, highAvailability } = properties;
  if (authConfig.passwordAuth === 'Disabled' && authConfig.activeDirectoryAuth === 'Disabled') {
    throw invalid('At least one of password and Microsoft Entra authentication must be enabled.');
  }
  if (authConfig.passwordAuth === 'Enabled') {
    if (administratorLogin === undefined) {
      throw new Refusal(
        400,
        'MissingRequiredParameter',
        "The required parameter 'administratorLogin' is missing.",
      );
    }
    requireLogin(administratorLogin);
  }
  if (highAvailability.mode !== 'Disabled' && tierOf(sku.name) === 'Burstable') {
    throw invalid('High availability is not supported for the Burstable tier.');
  }
}

/** Members that never change after creation. */
const FIXED: readonly (readonly string[])[] = [
  ['administratorLogin'],
  ['network', 'delegatedSubnetResourceId'],
  ['network', 'privateDnsZoneArmResourceId'],
  ['backup', 'geoRedundantBackup'],
  ['availabilityZone'],
];

/**
 * The server after a PATCH, or a PUT on what exists: members that are not named stay.
 * `tierChangedAt` and `now` are virtual milliseconds.
 */
export function changedServer(
  before: ServerBody,
  patch: ServerPatch | ServerInput,
  tierChangedAt: number | undefined,
  now: number,
): ServerBody {
  const { administratorLoginPassword: _password, createMode: _mode, ...given } = patch.properties ?? {};
  for (const path of FIXED) requireSame(before, given, path);
  const { storage: disk = {}, maintenanceWindow, ...rest } = given;
  const merged = mergePatch(before, {
    ...(patch.sku && { sku: patch.sku }),
    ...(patch.tags && { tags: null }),
    properties: rest,
  }) as ServerBody;
  const { properties } = merged;
  const storage = changedStorage(before.properties.storage, disk);
  if (
    storage.tier !== before.properties.storage.tier &&
    now - (tierChangedAt ?? -Infinity) < TIER_CHANGE_INTERVAL
  ) {
    throw new Refusal(
      400,
      'OperationNotAllowed',
      'The performance tier was changed less than 12 hours ago; it can be changed once every 12 hours.',
    );
  }
  if (Number(properties.version) < Number(before.properties.version)) {
    throw invalid(
      `The server version cannot go from ${before.properties.version} down to ${properties.version}.`,
    );
  }
  const isIntegrated = properties.network.delegatedSubnetResourceId !== undefined;
  if (isIntegrated && properties.network.publicNetworkAccess === 'Enabled') {
    throw invalid("'publicNetworkAccess' cannot be 'Enabled' on a server with virtual network integration.");
  }
  const after: ServerBody = {
    ...merged,
    ...(patch.tags && { tags: patch.tags }),
    properties: {
      ...properties,
      storage,
      minorVersion: MINOR_VERSIONS[properties.version] ?? '',
      highAvailability: withState(properties.highAvailability),
      maintenanceWindow: changedWindow(before.properties.maintenanceWindow, maintenanceWindow),
    },
  };
  requireSense(after);
  return after;
}

function requireSame(before: ServerBody, given: Json, path: readonly string[]): void {
  const old = memberAt(before.properties, path);
  const wanted = memberAt(given, path);
  if (wanted === undefined || wanted === '') return;
  const isSame =
    typeof old === 'string' && typeof wanted === 'string' && old.toLowerCase() === wanted.toLowerCase();
  if (isSame) return;
  throw new Refusal(
    400,
    'PropertyChangeNotAllowed',
    `Changing property 'properties.${path.join('.')}' is not allowed after the server has been created.`,
  );
}

function changedStorage(
  before: ServerProperties['storage'],
  given: NonNullable<ServerPatch['properties']>['storage'] & object,
): ServerProperties['storage'] {
  const storageSizeGB = given.storageSizeGB ?? before.storageSizeGB;
  if (storageSizeGB < before.storageSizeGB) {
    throw new Refusal(
      400,
      'StorageSizeCannotBeReduced',
      `The storage size cannot be reduced from ${before.storageSizeGB} GB to ${storageSizeGB} GB.`,
    );
  }
  const own = requireDisk({ storageSizeGB }).tier;
  const kept = isLowerTier(before.tier, own) ? own : before.tier;
  return {
    ...before,
    storageSizeGB,
    autoGrow: given.autoGrow ?? before.autoGrow,
    ...requireDisk({ storageSizeGB, tier: given.tier ?? kept }),
  };
}

/** Without customWindow `Enabled` the rest is ignored. */
function changedWindow(
  before: ServerProperties['maintenanceWindow'],
  given: NonNullable<ServerPatch['properties']>['maintenanceWindow'],
): ServerProperties['maintenanceWindow'] {
  if (!given) return before;
  const merged = {
    customWindow: given.customWindow ?? before.customWindow,
    dayOfWeek: given.dayOfWeek ?? before.dayOfWeek,
    startHour: given.startHour ?? before.startHour,
    startMinute: given.startMinute ?? before.startMinute,
  };
  return merged.customWindow === 'Enabled' ? merged : NO_WINDOW;
}

/** Whether a change needs the server to start anew. */
export function needsRestart(before: ServerBody, after: ServerBody): boolean {
  return (
    before.sku.name !== after.sku.name ||
    before.properties.version !== after.properties.version ||
    before.properties.storage.storageSizeGB !== after.properties.storage.storageSizeGB
  );
}

/** The body without what a caller may change at any time without an operation. */
export function isSameButTags(a: ServerBody, b: ServerBody): boolean {
  const bare = ({ tags: _tags, ...rest }: ServerBody): string => JSON.stringify(sorted(rest));
  return bare(a) === bare(b);
}

function sorted(value: unknown): unknown {
  if (!isJson(value)) return value;
  return Object.fromEntries(
    Object.keys(value)
      .sort()
      .map((key) => [key, sorted(objectAt({ it: value }, 'it')[key])]),
  );
}
