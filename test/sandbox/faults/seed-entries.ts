/**
 * What the published project tells people to look at, line by line: "Verify Deployment" of its quick start, the usage
 * examples that look at something, and every entry of its troubleshooting chapter with the causes that it names.
 */
export const seedEntries = [
  'Verify: pod status',
  'Verify: services',
  'Usage 1: accessing Open WebUI',
  'Usage 2: models that are listed',
  'Usage 3: connecting to PostgreSQL, its tables',
  'Usage 4: names and services that answer',
  'Usage 5: status of an ExternalSecret',
  'Usage 6: volume, claim, mount and space of the share',
  'Usage 7: replicas',
  'Usage 8: connections and parameters of the database',
  'Usage 9: logs',
  'Usage 10: the ConfigMap',
  'PostgreSQL: server is accessible',
  'PostgreSQL: its name resolves',
  'PostgreSQL: DATABASE_URL is synced',
  'PostgreSQL: password authentication failed',
  'PostgreSQL: SSL required',
  'PostgreSQL: server status in Azure',
  'Azure Files: PV bound to PVC',
  'Azure Files: Secret with the storage key',
  'Azure Files: private endpoint and what its name resolves to',
  'Azure Files: mount error(13)',
  'Azure Files: mount error(115)',
  'Azure Files: SMB connection failed',
  'Pods not starting: PVC not bound',
  'Pods not starting: image pull errors',
  'Pods not starting: resources and node capacity',
  'Database performance',
  'Replicas: the same database, session affinity',
  'Secret sync: External Secrets runs',
  'Secret sync: SecretStore',
  'Secret sync: ExternalSecret',
  'Secret sync: identity on the scale sets',
  'Secret sync: identity may read the vault',
  'Secret sync: access to the vault',
  'Not restarting: Reloader is installed',
  'Not restarting: annotations',
  'Tunnel: connectors and their logs',
  'Tunnel: token in the vault',
  'Tunnel: DNS',
  'Authentication: redirect URI',
  'Authentication: client and tenant in the ConfigMap',
  'Authentication: client secret',
  'Security: roles and network policies',
] as const;
export type SeedEntry = (typeof seedEntries)[number];

/** What only SQL shows is broken on a real PostgreSQL in a suite of its own: test/checks/database. */
export const elsewhere: readonly SeedEntry[] = ['Database performance'];
