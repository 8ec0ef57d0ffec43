/** A vault as the vendor's client answers for it: versions in memory, and a refusal when one is asked for. */
import { RestError } from '@azure/core-rest-pipeline';
import type { KeyVaultSecret, SecretClient } from '@azure/keyvault-secrets';
import type { Clients } from '../../../src/clients/clients.ts';
import type { SecretReference } from '../../../src/resources/scope.ts';

const VAULT_URL = 'https://kv-demo.vault.azure.net/';

interface Version {
  readonly version: string;
  readonly value: string;
  readonly createdOn: Date;
}

export class AVault {
  readonly #secrets = new Map<string, Version[]>();
  readonly #reads: string[] = [];
  isRefusing = false;

  put(name: string, value: string, createdOn: Date): SecretReference {
    const versions = this.#secrets.get(name) ?? [];
    const version = `v${versions.length + 1}`;
    this.#secrets.set(name, [...versions, { version, value, createdOn }]);
    return { vaultUrl: VAULT_URL, name, version };
  }

  value({ name, version }: SecretReference): string {
    return this.#find(name, version)?.value ?? '';
  }

  values(): readonly string[] {
    return [...this.#secrets.values()].flat().map(({ value }) => value);
  }

  /** `name/version` of every read since it was last asked. */
  reads(): readonly string[] {
    return this.#reads.splice(0);
  }

  get clients(): Pick<Clients, 'secrets'> {
    const getSecret = async (
      name: string,
      { version }: { version?: string } = {},
    ): Promise<KeyVaultSecret> => {
      this.#reads.push(`${name}/${version ?? ''}`);
      if (this.isRefusing)
        throw new RestError('Caller is not authorized.', { statusCode: 403, code: 'Forbidden' });
      const found = this.#find(name, version);
      if (!found) throw new RestError('not found', { statusCode: 404, code: 'SecretNotFound' });
      return {
        name,
        value: found.value,
        properties: { name, vaultUrl: VAULT_URL, version: found.version, createdOn: found.createdOn },
      };
    };
    return { secrets: () => ({ getSecret }) as Partial<SecretClient> as SecretClient };
  }

  #find(name: string, version?: string): Version | undefined {
    const versions = this.#secrets.get(name) ?? [];
    return version === undefined ? versions.at(-1) : versions.find((one) => one.version === version);
  }
}
