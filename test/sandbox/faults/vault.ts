import { at, type Fault, group, type Hands } from './fault.ts';

const vault = `${group}/providers/Microsoft.KeyVault/vaults/kv-openwebui`;
const version = 'api-version=2024-11-01';
const data = 'api-version=7.5';

/** Of the newest version. */
async function setAttributes({ vault: ask }: Hands, name: string, attributes: object): Promise<void> {
  const found = await ask('GET', `/secrets/${name}?${data}`);
  const id = String(at(found, 'id'));
  await ask('PATCH', `/secrets/${name}/${id.split('/').at(-1)}?${data}`, { attributes });
}

/** A new version, all else as it was. */
export async function setSecret(
  { vault: ask }: Pick<Hands, 'vault'>,
  name: string,
  change: (value: string) => string,
): Promise<void> {
  const found = (await ask('GET', `/secrets/${name}?${data}`)) as {
    value: string;
    contentType?: string;
    tags?: object;
  };
  const { value, contentType, tags } = found;
  await ask('PUT', `/secrets/${name}?${data}`, { value: change(value), contentType, tags });
}

/** Seconds since 1970, as the vault counts them. */
async function secondsNow({ door }: Hands): Promise<number> {
  return Math.floor(((await door('GET', '/clock')) as { now: number }).now / 1000);
}

export const vaultFaults: readonly Fault[] = [
  {
    what: 'Somebody has closed the vault',
    seed: 'Secret sync: access to the vault',
    finding: 'azure/key-vault vault-public-access',
    break: ({ arm }) =>
      arm('PATCH', `${vault}?${version}`, { properties: { publicNetworkAccess: 'Disabled' } }),
    mend: 'repair',
  },
  {
    what: 'Somebody has deleted the key of the web UI',
    seed: 'Secret sync: ExternalSecret',
    finding: 'azure/webui-secret-key webui-secret-key-missing',
    break: ({ vault: ask }) => ask('DELETE', `/secrets/webui-secret-key?${data}`),
    mend: 'repair',
  },
  {
    what: 'Somebody has disabled the connection string',
    seed: 'PostgreSQL: DATABASE_URL is synced',
    finding: 'azure/postgres-connection-string postgres-connection-string-disabled',
    break: (hands) => setAttributes(hands, 'postgres-connection-string', { enabled: false }),
    mend: async ({ vault: ask }) => {
      const name = 'postgres-connection-string';
      const all = at(await ask('GET', `/secrets/${name}/versions?${data}`), 'value') as { id: string }[];
      for (const { id } of all) {
        const path = `/secrets/${name}/${id.split('/').at(-1)}?${data}`;
        await ask('PATCH', path, { attributes: { enabled: true } });
      }
    },
  },
  {
    what: 'The token of the tunnel has expired in the vault',
    seed: 'Tunnel: token in the vault',
    finding: 'cloudflare/tunnel-token cf-tunnel-token-expired',
    break: async (hands) => setAttributes(hands, 'cf-tunnel-token', { exp: (await secondsNow(hands)) - 60 }),
    mend: 'repair',
  },
];

export const vaultLosses: readonly Fault[] = [
  {
    what: 'Somebody has deleted the vault',
    seed: 'Secret sync: access to the vault',
    finding: 'azure/key-vault vault-soft-deleted',
    break: ({ arm }) => arm('DELETE', `${vault}?${version}`),
    mend: 'repair',
  },
];
