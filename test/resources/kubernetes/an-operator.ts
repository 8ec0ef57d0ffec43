/** What External Secrets does with an ExternalSecret, done once when a test says so. */

import type { AVault } from './a-vault.ts';
import type { AnApiServer } from './an-api-server.ts';

interface Synced {
  readonly metadata: { readonly generation?: number };
  readonly spec: {
    readonly target: { readonly template: { readonly metadata: object } };
    readonly data: readonly {
      readonly secretKey: string;
      readonly remoteRef: { readonly key: string; readonly version: string };
    }[];
  };
}

export async function sync(server: AnApiServer, vault: AVault, name: string): Promise<void> {
  const reference = {
    apiVersion: 'external-secrets.io/v1',
    kind: 'ExternalSecret',
    name,
    namespace: 'open-webui',
  };
  const { metadata, spec } = (await server.api.find(reference)) as unknown as Synced;
  const entries = spec.data.map(({ secretKey, remoteRef: { key, version } }) => [
    secretKey,
    Buffer.from(vault.value({ vaultUrl: '', name: key, version })).toString('base64'),
  ]);
  await server.api.apply({
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { ...spec.target.template.metadata, name, namespace: 'open-webui' },
    data: Object.fromEntries(entries),
  });
  await server.setStatus(reference, {
    refreshTime: new Date().toISOString(),
    syncedResourceVersion: `${metadata.generation}-of-its-metadata`,
    conditions: [{ type: 'Ready', status: 'True', reason: 'SecretSynced', message: 'secret synced' }],
  });
}
