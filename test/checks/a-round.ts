/** A round of checks over what a test says that is there; whatever else is asked for is not there to be asked. */
import type { KeyVaultSecret } from '@azure/keyvault-secrets';
import type { CheckScope } from '../../src/checks/check.ts';
import { oncePerRound } from '../../src/checks/round.ts';
import type { Clients } from '../../src/clients/clients.ts';
import type { DeploymentSpecInput } from '../../src/spec/spec.ts';
import { specOf } from '../resources/spec.ts';

export const NOW = new Date('2026-11-24T12:00:00Z');

/** `known` is what checks ask for once in a round, by its name: `cluster`, `database server`. */
export function aRound(
  parts: {
    readonly clients?: Partial<Clients>;
    readonly known?: Readonly<Record<string, unknown>>;
    readonly spec?: Partial<DeploymentSpecInput>;
    readonly now?: Date;
  } = {},
): CheckScope {
  const { clients = {}, known = {}, spec = {}, now = NOW } = parts;
  const scope: CheckScope = { ...specOf(spec), clients: clients as Clients, now, known: {} };
  for (const [what, value] of Object.entries(known)) void oncePerRound(scope, what, async () => value);
  return scope;
}

export const aVault = { id: '/vault', properties: { vaultUri: 'https://kv.example.com/' } };

/** Current versions first. */
export const secretsOf = (...versions: readonly KeyVaultSecret[]): Clients['secrets'] =>
  (() => ({
    getSecret: async (name: string, { version }: { version?: string } = {}) => {
      const found = versions.find(
        (one) => one.name === name && (version === undefined || one.properties.version === version),
      );
      if (!found) throw Object.assign(new Error('not found'), { statusCode: 404, code: 'SecretNotFound' });
      return found;
    },
  })) as unknown as Clients['secrets'];

export const aSecret = (
  name: string,
  value: string,
  properties: Partial<KeyVaultSecret['properties']> = {},
): KeyVaultSecret => ({
  name,
  value,
  properties: {
    name,
    vaultUrl: 'https://kv.example.com',
    version: '1',
    createdOn: new Date(0),
    ...properties,
  },
});
