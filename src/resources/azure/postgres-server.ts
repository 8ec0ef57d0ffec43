/**
 * The PostgreSQL flexible server. How it is reached, its login, its redundancy of backups and its region are chosen
 * once, when it is made (https://learn.microsoft.com/azure/postgresql/network/concepts-networking-private-link). Azure
 * never shows its password again, so a tag tells which version from the vault it was sent last. A password that somebody
 * put into the vault by hand is never sent: whoever does that changes the server's, too, and whether it logs in is
 * proven before pods get it.
 */
import type { Server, ServerForPatch } from '@azure/arm-postgresql-flexible';
import { orAbsent } from '../../clients/cloud-failure.ts';
import { fatal } from '../../graph/failure.ts';
import type { Difference, Observed } from '../../graph/resource.ts';
import { type DeploymentSpec, maintenanceDays } from '../../spec/spec.ts';
import {
  bodyDifferences,
  isRemovable,
  judge,
  missing,
  pushable,
  refuseToReplace,
  submitFor,
  tagOf,
  withOurTags,
} from '../kinds/arm-resource.ts';
import { readVersion } from '../kinds/vault-secret.ts';
import { defineResource, type Scope, type SecretReference } from '../scope.ts';
import { network } from './network.ts';
import { isMadeFor, postgresPassword } from './postgres-password.ts';
import { privateDnsZones } from './private-dns-zones.ts';

const key = 'azure/postgres-server';
const LOOK_AGAIN_SECONDS = 15;
/** Version in the vault of the password that the server was sent last. */
const PASSWORD_VERSION = 'password-version';
const chosenOnce = [
  'location',
  'administratorLogin',
  'backup.geoRedundantBackup',
  'network.delegatedSubnetResourceId',
  'network.privateDnsZoneArmResourceId',
  'network.publicNetworkAccess',
];

/** What may be changed later. Azure counts the days of the week from Sunday, and ignores a window not `Enabled`. */
const changeable = ({ postgres }: DeploymentSpec) => ({
  sku: { name: postgres.sku, tier: postgres.tier },
  version: postgres.version,
  storage: { storageSizeGB: postgres.storageGiB, tier: postgres.performanceTier },
  highAvailability: { mode: postgres.highAvailability },
  maintenanceWindow: {
    customWindow: 'Enabled',
    dayOfWeek: maintenanceDays.indexOf(postgres.maintenance.dayOfWeek),
    startHour: postgres.maintenance.startHourUtc,
    startMinute: postgres.maintenance.startMinute,
  },
});

interface Places {
  readonly network: { readonly postgresSubnetId: string };
  readonly zones: { readonly postgresZoneId: string };
}

/** A server in a delegated subnet has no public side to switch off; it takes no private endpoint either. */
const reachedBy = ({ postgres }: DeploymentSpec, { network: { postgresSubnetId }, zones }: Places) =>
  postgres.privateAccess === 'delegated-subnet'
    ? { delegatedSubnetResourceId: postgresSubnetId, privateDnsZoneArmResourceId: zones.postgresZoneId }
    : { publicNetworkAccess: 'Disabled' };

/** The body that creates it. The maintenance window is not taken at creation and follows as a difference. */
export function serverBody(
  { spec, names }: Pick<Scope, 'spec' | 'names'>,
  places: Places,
  password: { readonly value: string; readonly version: string },
): Server {
  const { maintenanceWindow: _, ...body } = changeable(spec);
  return {
    ...body,
    location: spec.location,
    tags: { ...names.tags, [PASSWORD_VERSION]: password.version },
    administratorLogin: spec.postgres.adminLogin,
    administratorLoginPassword: password.value,
    availabilityZone: spec.postgres.availabilityZone,
    backup: backupOf(spec),
    network: reachedBy(spec, places),
    authConfig: { passwordAuth: 'Enabled', activeDirectoryAuth: 'Disabled' },
    createMode: 'Create',
  };
}

const backupOf = ({ postgres }: DeploymentSpec) => ({
  backupRetentionDays: postgres.backupRetentionDays,
  geoRedundantBackup: postgres.geoRedundantBackup ? 'Enabled' : 'Disabled',
});

/** The zone is not compared: a failover to the standby moves it. */
export function serverDifferences(spec: DeploymentSpec, places: Places, found: Server): Difference[] {
  const wanted = {
    ...changeable(spec),
    location: spec.location,
    administratorLogin: spec.postgres.adminLogin,
    backup: backupOf(spec),
    network: reachedBy(spec, places),
  };
  // Storage only grows, by hand or by itself; then its performance tier has grown with it.
  const hasGrown = (found.storage?.storageSizeGB ?? 0) > spec.postgres.storageGiB;
  return bodyDifferences({ ...wanted, storage: hasGrown ? undefined : wanted.storage }, found);
}

/** Only what differs: a field that is sent counts as a change, and a tier may change only twice a day. */
function patchOf(scope: Scope, found: Server, differing: readonly Difference[]): ServerForPatch {
  const touches = (field: string): boolean =>
    differing.some(({ path }) => path === field || path.startsWith(`${field}.`));
  const { sku, version, storage, highAvailability, maintenanceWindow } = changeable(scope.spec);
  return {
    ...(touches('tags') ? { tags: withOurTags(scope.names, found.tags) } : {}),
    ...(touches('sku') ? { sku } : {}),
    ...(touches('version') ? { version } : {}),
    ...(touches('storage') ? { storage: { ...found.storage, ...storage } } : {}),
    ...(touches('highAvailability') ? { highAvailability } : {}),
    ...(touches('maintenanceWindow') ? { maintenanceWindow } : {}),
    ...(touches('backup')
      ? { backup: { backupRetentionDays: scope.spec.postgres.backupRetentionDays } }
      : {}),
  };
}

const passwordPath = `tags.${PASSWORD_VERSION}`;

/** Whether a password made for this server has not been sent to it yet, as far as its tag tells. */
async function passwordDifferences(
  scope: Scope,
  password: SecretReference,
  { tags }: Server,
): Promise<Difference[]> {
  const sent = tagOf(tags, PASSWORD_VERSION);
  if (sent === password.version) return [];
  const { properties } = await readVersion(scope, password);
  return isMadeFor(scope.names.postgresServer, properties.tags)
    ? [{ path: passwordPath, wanted: password.version, found: sent ?? null }]
    : [];
}

type Outputs = {
  readonly id: string;
  readonly name: string;
  readonly fqdn: string;
  /** Version in the vault of the password to log in with. */
  readonly passwordVersion: string;
};

export const postgresServer = defineResource<
  {
    readonly network: typeof network;
    readonly zones: typeof privateDnsZones;
    readonly password: typeof postgresPassword;
  },
  Outputs
>({
  key,
  title: 'PostgreSQL server',
  dependsOn: { network, zones: privateDnsZones, password: postgresPassword },
  /** Azure does not say how long one takes; below 40 minutes nothing is wrong yet. */
  patienceSeconds: 2_700,

  async observe(scope, deps): Promise<Observed<Outputs>> {
    const { resourceGroup, postgresServer: name } = scope.names;
    const what = `the PostgreSQL server ${name}`;
    const found = await orAbsent(scope.clients.postgres().servers.get(resourceGroup, name));
    if (!found) return missing(scope, key, LOOK_AGAIN_SECONDS);
    const { id, fullyQualifiedDomainName: fqdn } = found;
    const { secret } = deps.password;
    const outputs = id && fqdn ? { id, name, fqdn, passwordVersion: secret.version } : undefined;
    const password = await passwordDifferences(scope, secret, found);
    return judge(scope, {
      key,
      what,
      tags: { found: found.tags },
      provisioningState: provisioningStateOf(found.state),
      retryAfterSeconds: LOOK_AGAIN_SECONDS,
      whyFailed: { code: `Server${found.state}`, message: `${what} is ${found.state}` },
      outputs,
      differences: [...password, ...serverDifferences(scope.spec, deps, found)],
    });
  },

  async ensure(scope, deps, seen) {
    const { resourceGroup, postgresServer: name } = scope.names;
    const what = `the PostgreSQL server ${name}`;
    // Somebody has stopped it, or taken away its key or subscription: nothing that is sent to it would help.
    if (seen.state === 'failed') throw fatal(seen.code, `${seen.message}: bring it back to Ready to go on`);
    refuseToReplace(what, seen, chosenOnce);
    const { servers } = scope.clients.postgres();
    if (seen.state === 'drifted') {
      const differing = pushable(key, what, seen);
      const found = await servers.get(resourceGroup, name);
      const { secret } = deps.password;
      // By itself, and with the tag in the same request: either both have reached the server or neither.
      const patch = differing.some(({ path }) => path === passwordPath)
        ? {
            administratorLoginPassword: (await readVersion(scope, secret)).value,
            tags: { ...withOurTags(scope.names, found.tags), [PASSWORD_VERSION]: secret.version },
          }
        : patchOf(scope, found, differing);
      await submitFor(scope, key, servers.beginUpdate(resourceGroup, name, patch));
      return;
    }
    const { value } = await readVersion(scope, deps.password.secret);
    const password = { value, version: deps.password.secret.version };
    await submitFor(
      scope,
      key,
      servers.beginCreateOrUpdate(resourceGroup, name, serverBody(scope, deps, password)),
    );
  },

  async remove(scope, _deps, seen) {
    const { resourceGroup, postgresServer: name } = scope.names;
    if (isRemovable(seen)) {
      await orAbsent(
        submitFor(scope, key, scope.clients.postgres().servers.beginDelete(resourceGroup, name)),
      );
    }
  },
});

/** PostgreSQL servers have a `state` of their own instead of a provisioning state. */
function provisioningStateOf(state: string | undefined): string {
  if (state === 'Ready') return 'Succeeded';
  return state === 'Stopped' || state === 'Disabled' || state === 'Inaccessible'
    ? 'Failed'
    : (state ?? 'Provisioning');
}
