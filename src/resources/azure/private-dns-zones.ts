/**
 * The private DNS zones of the file share and of the PostgreSQL server, each linked to the virtual network. Zones are
 * global and hold no address by themselves: private endpoints' zone groups and the database write the records. Azure no
 * longer checks the link when a server is made, so it has to be there before clients connect
 * (https://learn.microsoft.com/azure/postgresql/network/concepts-networking-private).
 */
import type { PrivateZone, VirtualNetworkLink } from '@azure/arm-privatedns';
import { orAbsent } from '../../clients/cloud-failure.ts';
import type { Difference } from '../../graph/resource.ts';
import {
  bodyDifferences,
  foreign,
  isMoving,
  isOurs,
  isRemovable,
  refuseToReplace,
  submitFor,
  tagDifferences,
  withOurTags,
} from '../kinds/arm-resource.ts';
import { defineResource, type Scope } from '../scope.ts';
import { network } from './network.ts';

const key = 'azure/private-dns-zones';
const LOOK_AGAIN_SECONDS = 5;
/** Zones and links have no location but this. */
const GLOBAL = 'global';

const linkedTo = (zoneName: string): string => `${zoneName}.link.virtualNetwork`;

/** Each zone has operations of its own. */
const operationOn = (zoneName: string) => `${key}/${zoneName}` as const;

export interface ZoneLook {
  readonly zoneName: string;
  readonly zone: PrivateZone | undefined;
  readonly link: VirtualNetworkLink | undefined;
}

const linkName = (scope: Pick<Scope, 'names'>): string => `link-${scope.names.deployment}`;

/** A zone and its link to the deployment's network. */
export async function lookAtZone(
  scope: Pick<Scope, 'clients' | 'names'>,
  zoneName: string,
): Promise<ZoneLook> {
  const { privateZones, virtualNetworkLinks } = scope.clients.privateDns();
  const { resourceGroup } = scope.names;
  const zone = await orAbsent(privateZones.get(resourceGroup, zoneName));
  const link = zone && (await orAbsent(virtualNetworkLinks.get(resourceGroup, zoneName, linkName(scope))));
  return { zoneName, zone, link };
}

const lookAll = (scope: Scope): Promise<[ZoneLook, ZoneLook]> =>
  Promise.all([lookAtZone(scope, scope.names.fileZone), lookAtZone(scope, scope.names.postgresZone)]);

type Thing = PrivateZone | VirtualNetworkLink | undefined;

const isSettled = (thing: Thing): boolean => (thing?.provisioningState ?? 'Succeeded') === 'Succeeded';
const hasFailed = (thing: Thing): boolean => ['Failed', 'Canceled'].includes(thing?.provisioningState ?? '');

const changing = (reason: string) =>
  ({ state: 'changing', reason, retryAfterSeconds: LOOK_AGAIN_SECONDS }) as const;

/** `<zone>` when it is missing, `<zone>.link…` when only the link is. */
function wrongWith(scope: Scope, { zoneName, zone, link }: ZoneLook, vnetId: string): Difference[] {
  if (!zone) return [{ path: zoneName, wanted: 'a zone', found: null }];
  if (!link) return [{ path: `${zoneName}.link`, wanted: vnetId, found: null }];
  return [
    ...tagDifferences(scope.names, zone.tags).map((tag) => ({ ...tag, path: `${zoneName}.${tag.path}` })),
    ...bodyDifferences({ id: vnetId }, { id: link.virtualNetwork?.id }).map((id) => ({
      ...id,
      path: linkedTo(zoneName),
    })),
  ];
}

export const privateDnsZones = defineResource<
  { readonly network: typeof network },
  { readonly fileZoneId: string; readonly postgresZoneId: string }
>({
  key,
  title: 'Private DNS zones',
  dependsOn: { network },

  async observe(scope, deps) {
    const looks = await lookAll(scope);
    for (const { zone, zoneName } of looks) {
      if (zone && !isOurs(zone.tags, scope.names)) return foreign(`the private DNS zone ${zoneName}`);
    }
    for (const { zoneName, zone, link } of looks) {
      const isIncomplete = !zone || !link;
      if (isIncomplete && (await isMoving(scope, operationOn(zoneName))))
        return changing(`${zoneName} is being made`);
    }
    if (looks.every(({ zone }) => !zone)) return { state: 'absent' };
    const things = looks.flatMap(({ zone, link }) => [zone, link]);
    const moving = things.find((thing) => !isSettled(thing) && !hasFailed(thing));
    if (moving) return changing(`${moving.name}: ${moving.provisioningState}`);
    const base = deps.network.vnetId.replace(/\/providers\/.*$/i, '');
    const idOf = (zoneName: string): string =>
      `${base}/providers/Microsoft.Network/privateDnsZones/${zoneName}`;
    const outputs = {
      fileZoneId: idOf(scope.names.fileZone),
      postgresZoneId: idOf(scope.names.postgresZone),
    };
    const failed = things.find(hasFailed);
    if (failed) {
      const message = `Azure reports that the last change of ${failed.name} failed`;
      return { state: 'failed', outputs, code: 'ProvisioningFailed', message };
    }
    const differences = looks.flatMap((seen) => wrongWith(scope, seen, deps.network.vnetId));
    if (differences.length > 0) return { state: 'drifted', outputs, differences };
    const joining = looks.find(({ link }) => link?.virtualNetworkLinkState !== 'Completed');
    return joining ? changing(`the link of ${joining.zoneName} is being made`) : { state: 'ready', outputs };
  },

  async ensure(scope, deps, seen) {
    const { fileZone, postgresZone } = scope.names;
    refuseToReplace('the link of a private DNS zone', seen, [linkedTo(fileZone), linkedTo(postgresZone)]);
    const { privateZones, virtualNetworkLinks } = scope.clients.privateDns();
    const { resourceGroup } = scope.names;
    for (const { zoneName, zone, link } of await lookAll(scope)) {
      const isZoneWrong = !zone || hasFailed(zone) || tagDifferences(scope.names, zone.tags).length > 0;
      if (isZoneWrong) {
        const body = { location: GLOBAL, tags: withOurTags(scope.names, zone?.tags) };
        await submitFor(
          scope,
          operationOn(zoneName),
          privateZones.beginCreateOrUpdate(resourceGroup, zoneName, body),
        );
      }
      // A zone that has just been asked for cannot be linked yet; the next look finds it.
      if (
        zone &&
        (!link ||
          hasFailed(link) ||
          wrongWith(scope, { zoneName, zone, link }, deps.network.vnetId).length > 0)
      ) {
        const body = {
          location: GLOBAL,
          tags: withOurTags(scope.names, link?.tags),
          virtualNetwork: { id: deps.network.vnetId },
          registrationEnabled: false,
        };
        await submitFor(
          scope,
          operationOn(zoneName),
          virtualNetworkLinks.beginCreateOrUpdate(resourceGroup, zoneName, linkName(scope), body),
        );
      }
    }
  },

  /** A zone can only go after its links, so this takes two looks. */
  async remove(scope, _deps, seen) {
    if (!isRemovable(seen)) return;
    const { privateZones, virtualNetworkLinks } = scope.clients.privateDns();
    const { resourceGroup } = scope.names;
    for (const { zoneName, zone, link } of await lookAll(scope)) {
      if (link) await orAbsent(virtualNetworkLinks.beginDelete(resourceGroup, zoneName, linkName(scope)));
      else if (zone) await orAbsent(privateZones.beginDelete(resourceGroup, zoneName));
    }
  },
});
