/** A private DNS zone with its link, by which the name of what is private leads to its private address. */
import { sameIgnoringCaseAndBlanks } from '../../graph/differences.ts';
import type { Check, CheckFinding, CheckScope, System } from '../check.ts';
import { repairOf } from '../repair.ts';
import { findZone, idIn } from './parts.ts';

const resource = 'azure/private-dns-zones' as const;

export const zoneCheck = (use: {
  readonly id: string;
  readonly system: System;
  readonly title: string;
  readonly zone: (scope: Pick<CheckScope, 'names'>) => string;
  /** What fails for users when the name does not lead to the private address. */
  readonly breaks: string;
}): Check => ({
  id: use.id,
  system: use.system,
  title: use.title,

  async run(scope): Promise<readonly CheckFinding[]> {
    const zoneName = use.zone(scope);
    const { resourceGroup } = scope.names;
    const { zone, link } = await findZone(scope, zoneName);
    const common = { resource, severity: 'error', breaks: use.breaks, repair: repairOf(scope) } as const;
    if (!zone) {
      return [
        {
          ...common,
          id: `${use.id}-missing`,
          what: `The private DNS zone ${zoneName} does not exist.`,
          evidence: `Azure answers 404 for it in the resource group ${resourceGroup}.`,
          remedy:
            'Have it made anew. The records in it are written by private endpoints and by the database: check that they are there again afterwards.',
        },
      ];
    }
    const { vnet } = scope.spec.network;
    if (!link) {
      return [
        {
          ...common,
          id: `${use.id}-not-linked`,
          what: `The private DNS zone ${zoneName} is not linked to the virtual network ${vnet}.`,
          evidence: `The zone has no virtual network link link-${scope.names.deployment}.`,
          remedy: `az network private-dns link vnet create -g ${resourceGroup} -z ${zoneName} -n link-${scope.names.deployment} -v ${vnet} -e false`,
        },
      ];
    }
    const wanted = idIn(scope, `Microsoft.Network/virtualNetworks/${vnet}`);
    const linked = link.virtualNetwork?.id;
    if (!sameIgnoringCaseAndBlanks(wanted, linked)) {
      const { repair: _, ...unrepaired } = common;
      return [
        {
          ...unrepaired,
          id: `${use.id}-linked-elsewhere`,
          what: `The link of the private DNS zone ${zoneName} leads to another virtual network.`,
          evidence: `virtualNetwork.id of ${link.name} is ${linked ?? 'not set'}.`,
          remedy: `A link cannot be moved: delete ${link.name}, then have it made anew.`,
        },
      ];
    }
    const state = link.virtualNetworkLinkState;
    if (state === 'Completed') return [];
    return [
      {
        ...common,
        id: `${use.id}-link-not-complete`,
        severity: 'warning',
        what: `The link of the private DNS zone ${zoneName} is not complete.`,
        evidence: `virtualNetworkLinkState of ${link.name} is ${state ?? 'not set'}, provisioningState is ${link.provisioningState ?? 'not set'}.`,
        remedy: 'It takes a minute; if it stays so, delete the link and have it made anew.',
      },
    ];
  },
});
