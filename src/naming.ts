/**
 * Every name of a deployment, derived once from its name and spec. Names that are unique across a whole cloud (vault,
 * storage account, PostgreSQL server) get a suffix from subscription and deployment, so that two deployments never
 * collide; the same spec always gives the same names, which is what makes creating them repeatable.
 */
import { createHash } from 'node:crypto';
import type { DeploymentSpec } from './spec/spec.ts';

export interface Names {
  readonly deployment: string;
  readonly resourceGroup: string;
  readonly cluster: string;
  readonly identity: string;
  readonly vault: string;
  readonly storageAccount: string;
  readonly storageEndpoint: string;
  readonly postgresServer: string;
  readonly postgresEndpoint: string;
  /** Private DNS zone of the PostgreSQL server, by kind of private access. */
  readonly postgresZone: string;
  readonly fileZone: string;
  readonly registry: string;
  readonly tunnel: string;
  /** Entra `uniqueName`: the key under which creating the application twice finds the first one. */
  readonly application: string;
  readonly namespace: string;
  readonly tags: Readonly<Record<string, string>>;
}

/** Marks everything of ours that can carry tags, labels or annotations. */
export const managedBy = 'open-webui-control-plane';
/** Server-side apply's owner of the fields we set. */
export const fieldManager = managedBy;
/** What we write where a cloud has a free-text field instead of tags. */
export const markOf = (deployment: string): string => `managed-by=${managedBy} deployment=${deployment}`;

export function namesOf(deployment: string, spec: DeploymentSpec): Names {
  const suffix = createHash('sha256')
    .update(`${spec.subscriptionId}/${deployment}`)
    .digest('hex')
    .slice(0, 6);
  const plain = deployment.replaceAll('-', '');
  return {
    deployment,
    resourceGroup: spec.resourceGroup ?? `rg-${deployment}`,
    cluster: spec.cluster.name ?? `aks-${deployment}`,
    identity: spec.identity.name ?? `uai-${deployment}`,
    vault: spec.vault.name ?? `kv-${plain.slice(0, 14)}-${suffix}`,
    storageAccount: spec.storage.account ?? `st${plain.slice(0, 16)}${suffix}`,
    storageEndpoint: `pe-${spec.storage.account ?? `st${plain.slice(0, 16)}${suffix}`}-file`,
    postgresServer: spec.postgres.server ?? `psql-${deployment}-${suffix}`,
    postgresEndpoint: `pe-${spec.postgres.server ?? `psql-${deployment}-${suffix}`}`,
    postgresZone:
      spec.postgres.privateAccess === 'private-endpoint'
        ? 'privatelink.postgres.database.azure.com'
        : `${deployment}.private.postgres.database.azure.com`,
    fileZone: 'privatelink.file.core.windows.net',
    registry: spec.registry.name,
    tunnel: spec.tunnel.name ?? deployment,
    application: `${deployment}-${suffix}`,
    namespace: 'open-webui',
    tags: {
      Application: 'Open-WebUI',
      ...spec.tags,
      'managed-by': managedBy,
      deployment,
    },
  };
}

/** RFC 4122 name-based GUID (version 5) in the URL namespace: stable names for things that must be named by a GUID. */
export function stableGuid(...parts: readonly string[]): string {
  const urlNamespace = Buffer.from('6ba7b8119dad11d180b400c04fd430c8', 'hex');
  const hash = createHash('sha1').update(urlNamespace).update(parts.join('|').toLowerCase()).digest();
  hash[6] = ((hash[6] ?? 0) & 0x0f) | 0x50;
  hash[8] = ((hash[8] ?? 0) & 0x3f) | 0x80;
  const hex = hash.toString('hex');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20, 32)].join(
    '-',
  );
}
