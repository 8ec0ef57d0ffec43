import { randomBytes } from 'node:crypto';
import { at, type Fault, type Hands } from './fault.ts';
import { setSecret } from './vault.ts';

const own = '/apis/external-secrets.io/v1/namespaces/open-webui';
const apps = '/apis/apps/v1/namespaces';
const operator = `${apps}/external-secrets/deployments/external-secrets`;
/** Seconds of the clouds until a new version has had its time to be handed out, and some more. */
const HAND_OUT = 20 * 60;

/** The Deployment of Reloader, wherever it is installed. */
async function reloaderOf({ cluster }: Hands): Promise<string> {
  const all = at(await cluster.get('/apis/apps/v1/deployments'), 'items') as {
    metadata: { name: string; namespace: string };
  }[];
  const found = all.find(({ metadata }) => metadata.name.includes('reloader'));
  if (!found) throw new Error('there is no Reloader');
  return `${apps}/${found.metadata.namespace}/deployments/${found.metadata.name}`;
}

/** Waits for so many seconds of the clouds. */
async function clouds({ door }: Hands, seconds: number): Promise<void> {
  const now = async () => ((await door('GET', '/clock')) as { now: number }).now;
  const end = (await now()) + seconds * 1000;
  while ((await now()) < end) await new Promise((resolve) => setTimeout(resolve, 100));
}

export const secretFaults: readonly Fault[] = [
  {
    what: 'External Secrets is scaled to nothing',
    seed: 'Secret sync: External Secrets runs',
    finding: 'kubernetes/addons external-secrets-scaled-to-zero',
    break: ({ cluster }) => cluster.patch(operator, { spec: { replicas: 0 } }),
    mend: ({ cluster }) => cluster.patch(operator, { spec: { replicas: 1 } }),
  },
  {
    what: 'Somebody has deleted Reloader',
    seed: 'Not restarting: Reloader is installed',
    finding: 'kubernetes/addons reloader-missing',
    break: async (hands) => hands.cluster.remove(await reloaderOf(hands)),
    mend: 'repair',
  },
  {
    what: 'Somebody has taken the annotation for Reloader off',
    seed: 'Not restarting: annotations',
    finding: 'kubernetes/open-webui reloader-annotation-missing',
    break: ({ cluster }) =>
      cluster.patch(`${apps}/open-webui/deployments/open-webui`, {
        metadata: { annotations: { 'reloader.stakater.com/auto': null } },
      }),
    mend: 'repair',
  },
  {
    what: 'The secret store names another identity',
    seed: 'Secret sync: SecretStore',
    finding: 'kubernetes/secret-store wrong-identity',
    break: ({ cluster }) =>
      cluster.patch(`${own}/secretstores/azure-key-vault`, {
        spec: { provider: { azurekv: { identityId: 'c11e4700-0000-4000-8000-0000000000ff' } } },
      }),
    mend: 'repair',
  },
  {
    what: 'Somebody has deleted the secret store',
    seed: 'Secret sync: SecretStore',
    finding: 'kubernetes/secret-store store-missing',
    break: ({ cluster }) => cluster.remove(`${own}/secretstores/azure-key-vault`),
    mend: 'repair',
  },
  {
    what: 'Somebody has deleted the ExternalSecret of Open WebUI',
    seed: 'Usage 5: status of an ExternalSecret',
    finding: 'kubernetes/external-secrets open-webui-secrets-missing',
    break: ({ cluster }) => cluster.remove(`${own}/externalsecrets/open-webui-secrets`),
    mend: 'repair',
  },
  {
    what: 'The ExternalSecret does not ask for DATABASE_URL any more',
    seed: 'PostgreSQL: DATABASE_URL is synced',
    finding: 'kubernetes/external-secrets open-webui-secrets-lacks-keys',
    break: async ({ cluster }) => {
      const path = `${own}/externalsecrets/open-webui-secrets`;
      const data = at(await cluster.get(path), 'spec', 'data') as { secretKey: string }[];
      await cluster.patch(path, {
        spec: { data: data.filter(({ secretKey }) => secretKey !== 'DATABASE_URL') },
      });
    },
    mend: 'repair',
  },
  {
    what: 'Somebody has deleted the ExternalSecret with the storage key',
    seed: 'Azure Files: Secret with the storage key',
    finding: 'kubernetes/external-secrets open-webui-storage-missing',
    break: ({ cluster }) => cluster.remove(`${own}/externalsecrets/open-webui-storage`),
    mend: 'repair',
  },
  {
    what: 'The vault has a newer key of the web UI than the cluster',
    seed: 'Secret sync: ExternalSecret',
    finding: 'kubernetes/external-secrets open-webui-secrets-older-than-vault',
    break: async (hands) => {
      await setSecret(hands, 'webui-secret-key', () => randomBytes(32).toString('base64'));
      await clouds(hands, HAND_OUT);
    },
    mend: 'repair',
  },
];
