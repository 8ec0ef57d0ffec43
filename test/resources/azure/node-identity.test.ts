import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { holdsIdentity, identityPatch, obstacle } from '../../../src/resources/azure/node-identity.ts';

const id = '/subscriptions/s/resourceGroups/g/providers/Microsoft.ManagedIdentity/userAssignedIdentities/uai';
const scaleSet = (identity?: object) => ({ location: 'eastasia', ...(identity ? { identity } : {}) });

describe('azure/node-identity', () => {
  test.each([
    ['nothing', undefined, 'UserAssigned'],
    [
      'others',
      { type: 'UserAssigned', userAssignedIdentities: { '/kubelet': { principalId: 'p' } } },
      'UserAssigned',
    ],
    ['a system identity', { type: 'SystemAssigned' }, 'SystemAssigned, UserAssigned'],
    ['both', { type: 'SystemAssigned, UserAssigned' }, 'SystemAssigned, UserAssigned'],
  ])('the PATCH keeps what is there: %s', (_, identity, type) => {
    expect(identityPatch(scaleSet(identity), id)).toEqual({
      identity: { type, userAssignedIdentities: { [id]: {} } },
    });
  });

  test('the PATCH never carries values that were read', () => {
    fc.assert(
      fc.property(
        fc.dictionary(fc.string(), fc.record({ principalId: fc.uuid(), clientId: fc.uuid() })),
        (others) => {
          const { identity } = identityPatch(
            scaleSet({ type: 'UserAssigned', userAssignedIdentities: others }),
            id,
          );
          expect(Object.values(identity?.userAssignedIdentities ?? {})).toEqual([{}]);
        },
      ),
    );
  });

  test('ids are recognised whatever their case', () => {
    const found = scaleSet({ userAssignedIdentities: { [id.toUpperCase()]: { principalId: 'p' } } });
    expect(holdsIdentity(found, id)).toBe(true);
    expect(holdsIdentity(found, `${id}2`)).toBe(false);
  });

  test('clusters whose nodes cannot hold it are refused in words', () => {
    const pool = { name: 'system', type: 'VirtualMachineScaleSets' };
    expect(obstacle({ location: 'eastasia', agentPoolProfiles: [pool] })).toBeUndefined();
    expect(
      obstacle({ location: 'eastasia', nodeResourceGroupProfile: { restrictionLevel: 'ReadOnly' } })?.code,
    ).toBe('NodeResourceGroupLocked');
    expect(obstacle({ location: 'eastasia', nodeProvisioningProfile: { mode: 'Auto' } })?.message).toContain(
      'auto-provisioning',
    );
    expect(
      obstacle({ location: 'eastasia', agentPoolProfiles: [pool, { name: 'vms', type: 'VirtualMachines' }] })
        ?.message,
    ).toContain('vms');
  });
});
