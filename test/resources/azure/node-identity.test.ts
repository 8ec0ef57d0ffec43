import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { holdsIdentity, identityPatch, obstacle } from '../../../src/resources/azure/node-identity.ts';

const id = '/subscriptions/s/resourceGroups/g/providers/Microsoft.ManagedIdentity/userAssignedIdentities/uai';
const uai = { id, clientId: 'c' };
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
    expect(identityPatch(scaleSet(identity), uai)).toEqual({
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
            uai,
          );
          expect(Object.values(identity?.userAssignedIdentities ?? {})).toEqual([{}]);
        },
      ),
    );
  });

  test('ids are recognised whatever their case', () => {
    const found = scaleSet({ userAssignedIdentities: { [id.toUpperCase()]: { principalId: 'p' } } });
    expect(holdsIdentity(found, uai)).toBe(true);
    expect(holdsIdentity(found, { ...uai, id: `${id}2` })).toBe(false);
  });

  test('an identity that was deleted and made anew is taken off before it is put on', () => {
    const earlier = { [id.toUpperCase()]: { principalId: 'p', clientId: 'earlier' } };
    const found = scaleSet({ type: 'UserAssigned', userAssignedIdentities: earlier });
    expect(holdsIdentity(found, uai)).toBe(false);
    expect(identityPatch(found, uai).identity?.userAssignedIdentities).toEqual({ [id]: null });
    const anew = scaleSet({ type: 'UserAssigned', userAssignedIdentities: { [id]: { clientId: 'C' } } });
    expect(holdsIdentity(anew, uai)).toBe(true);
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
