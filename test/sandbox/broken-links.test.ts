/** Every link of the chain to the site is broken by hand, through the clouds' own APIs, and has to be missed and named. */
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { settings } from '../../sandbox/cloud/bootstrap.ts';
import { lookAtSite, type Site } from '../../sandbox/site.ts';
import { kubectl } from '../kubectl.ts';
import { type Sample, sampleName, startSample } from './sample.ts';

const group = `/subscriptions/${settings.subscriptionId}/resourceGroups/rg-openwebui`;
const { accountId, zoneId } = settings.cloudflare;
/** Real milliseconds until a break must show; most show at once, a pod needs its probes to fail first. */
const SHOWS_WITHIN = 20_000;

interface Listed {
  readonly value: readonly {
    readonly id: string;
    readonly name: string;
    readonly [field: string]: unknown;
  }[];
}

describe('a broken link', () => {
  let sample: Sample;
  let cloudflareToken: string;

  beforeAll(async () => {
    sample = await startSample({ speed: 60 });
    const operation = await sample.ask();
    expect(operation.failure).toBeUndefined();
    const answer = await sample.clouds.vault(
      'kv-openwebui-ctl',
      '/secrets/cloudflare-api-token?api-version=7.5',
    );
    cloudflareToken = (answer.body as { value: string }).value;
  }, 180_000);

  afterAll(async () => {
    await sample?.stop();
  });

  const arm = (method: string, path: string, body?: unknown) =>
    sample.clouds.arm(path, { method, ...(body === undefined ? {} : { body }) });
  const listed = async (path: string): Promise<Listed['value']> =>
    ((await arm('GET', path)).body as Listed).value;
  const cloudflare = async (method: string, path: string, body?: unknown): Promise<unknown> => {
    const answer = await sample.clouds.send(`https://api.cloudflare.com/client/v4${path}`, {
      method,
      headers: { authorization: `Bearer ${cloudflareToken}` },
      ...(body === undefined ? {} : { body }),
    });
    if (answer.status >= 400)
      throw new Error(`${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
    return (answer.body as { result: unknown }).result;
  };
  const run = async (...args: string[]): Promise<void> => {
    await promisify(execFile)(kubectl(), [
      '--kubeconfig',
      sample.sandbox.endpoints.kubeconfig,
      '-n',
      'open-webui',
      ...args,
    ]);
  };
  const tunnelId = async (): Promise<string> => {
    const [tunnel] = (await cloudflare('GET', `/accounts/${accountId}/cfd_tunnel?is_deleted=false`)) as {
      id: string;
    }[];
    if (!tunnel) throw new Error('there is no tunnel');
    return tunnel.id;
  };
  const dnsRecord = async (): Promise<{ id: string }> => {
    const [record] = (await cloudflare('GET', `/zones/${zoneId}/dns_records`)) as { id: string }[];
    if (!record) throw new Error('there is no DNS record');
    return record;
  };
  const site = async (): Promise<Site> => lookAtSite(sample.sandbox.endpoints.sandbox);
  const until = async (reached: (site: Site) => boolean): Promise<Site> => {
    const deadline = Date.now() + SHOWS_WITHIN;
    let seen = await site();
    while (!reached(seen) && Date.now() < deadline) {
      await pause(100);
      seen = await site();
    }
    return seen;
  };

  const nodeGroup = async (): Promise<string> => {
    const cluster = await arm(
      'GET',
      `${group}/providers/Microsoft.ContainerService/managedClusters/aks-openwebui?api-version=2025-05-01`,
    );
    const { nodeResourceGroup } = (cluster.body as { properties: { nodeResourceGroup: string } }).properties;
    return `/subscriptions/${settings.subscriptionId}/resourceGroups/${nodeResourceGroup}`;
  };

  const cases: {
    link: string;
    breaking: string;
    how: () => Promise<unknown>;
    /** What is asked for instead of the same spec again; answers the operation's id. */
    asking?: () => Promise<string>;
  }[] = [
    {
      link: 'dns',
      breaking: 'the DNS record is deleted',
      how: async () => cloudflare('DELETE', `/zones/${zoneId}/dns_records/${(await dnsRecord()).id}`),
    },
    {
      link: 'tunnel',
      breaking: 'the tunnel gets another secret and its connections are cut',
      how: async () => {
        const id = await tunnelId();
        await cloudflare('PATCH', `/accounts/${accountId}/cfd_tunnel/${id}`, {
          tunnel_secret: Buffer.alloc(32, 7).toString('base64'),
        });
        await cloudflare('DELETE', `/accounts/${accountId}/cfd_tunnel/${id}/connections`);
      },
    },
    {
      link: 'ingress',
      breaking: 'the ingress rule points to another port',
      how: async () =>
        cloudflare('PUT', `/accounts/${accountId}/cfd_tunnel/${await tunnelId()}/configurations`, {
          config: {
            ingress: [
              {
                hostname: 'open-webui.yourdomain.com',
                service: 'http://open-webui.open-webui.svc.cluster.local:9999',
              },
              { service: 'http_status:404' },
            ],
          },
        }),
    },
    {
      link: 'service',
      breaking: 'the Service is deleted',
      how: () => run('delete', 'service', 'open-webui'),
    },
    {
      link: 'pods',
      breaking: 'the deployment is scaled to nothing',
      how: () => run('scale', 'deployment', 'open-webui', '--replicas=0'),
    },
    {
      link: 'images',
      breaking: 'the image is removed from the registry',
      how: async () => {
        const token = await registryToken(
          sample,
          'yourorg.azurecr.io',
          'open-webui',
          'delete,pull,metadata_read',
        );
        const headers = { authorization: `Bearer ${token}` };
        const manifests = await sample.clouds.send(
          'https://yourorg.azurecr.io/acr/v1/open-webui/_manifests',
          { headers },
        );
        const { manifests: list } = manifests.body as { manifests: { digest: string; tags?: string[] }[] };
        const tagged = list.filter(({ tags }) => (tags ?? []).length > 0);
        expect(tagged.length).toBeGreaterThan(0);
        for (const { digest } of tagged) {
          const answer = await sample.clouds.send(
            `https://yourorg.azurecr.io/v2/open-webui/manifests/${digest}`,
            {
              method: 'DELETE',
              headers,
            },
          );
          expect(answer.status).toBe(202);
        }
      },
    },
    {
      link: 'secrets',
      breaking: 'the External Secret of the app is deleted',
      how: () => run('delete', 'externalsecret', 'open-webui-secrets'),
    },
    {
      link: 'identity',
      breaking: 'the identity is taken off the scale sets',
      how: async () => {
        const scaleSets = `${await nodeGroup()}/providers/Microsoft.Compute/virtualMachineScaleSets`;
        const identity = `${group}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/uai-openwebui`;
        for (const { name } of await listed(`${scaleSets}?api-version=2024-11-01`)) {
          await arm('PATCH', `${scaleSets}/${name}?api-version=2024-11-01`, {
            identity: { type: 'UserAssigned', userAssignedIdentities: { [identity]: null } },
          });
        }
      },
    },
    {
      link: 'role',
      breaking: "the identity's role on the vault is deleted",
      how: async () => {
        const vault = `${group}/providers/Microsoft.KeyVault/vaults/kv-openwebui`;
        const identity = await arm(
          'GET',
          `${group}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/uai-openwebui?api-version=2023-01-31`,
        );
        const { principalId } = (identity.body as { properties: { principalId: string } }).properties;
        const assignments = await listed(
          `${vault}/providers/Microsoft.Authorization/roleAssignments?api-version=2022-04-01&$filter=atScope()`,
        );
        const its = assignments.filter(
          ({ properties }) => (properties as { principalId: string }).principalId === principalId,
        );
        expect(its).toHaveLength(1);
        for (const { id } of its) await arm('DELETE', `${id}?api-version=2022-04-01`);
      },
    },
    {
      link: 'database',
      breaking: 'the server is given another password',
      how: () =>
        arm(
          'PATCH',
          `${group}/providers/Microsoft.DBforPostgreSQL/flexibleServers/psql-openwebui?api-version=2024-08-01`,
          { properties: { administratorLoginPassword: `by-hand-${randomBytes(12).toString('hex')}-A1` } },
        ),
      // No look tells which password a server has: a person has to say that it is to have another.
      asking: () => sample.api.rotate(sampleName, ['postgres-password']),
    },
    {
      link: 'share',
      breaking: 'the private endpoint is rejected',
      how: async () => {
        const account = `${group}/providers/Microsoft.Storage/storageAccounts/stopenwebui`;
        const [connection] = await listed(`${account}/privateEndpointConnections?api-version=2025-01-01`);
        await arm('PUT', `${account}/privateEndpointConnections/${connection?.name}?api-version=2025-01-01`, {
          properties: { privateLinkServiceConnectionState: { status: 'Rejected', description: 'by hand' } },
        });
      },
    },
    {
      link: 'ollama',
      breaking: 'Ollama is scaled to nothing',
      how: () => run('scale', 'deployment', 'ollama', '--replicas=0'),
    },
    {
      link: 'login',
      breaking: 'the redirect URI of the app registration is changed',
      how: async () => {
        const answer = await sample.clouds.graph("/applications?$filter=displayName eq 'open-webui-app'");
        const [application] = (answer.body as { value: { id: string }[] }).value;
        await sample.clouds.graph(`/applications/${application?.id}`, {
          method: 'PATCH',
          body: { web: { redirectUris: ['https://elsewhere.yourdomain.com/oauth/microsoft/callback'] } },
        });
      },
    },
  ];

  test.each(cases)(
    '$link: $breaking; it is named, and asking mends it',
    async ({ link, how, asking }) => {
      expect((await until(({ ok }) => ok)).links.filter(({ ok }) => !ok)).toEqual([]);
      await how();
      const broken = await until((seen) => seen.broken === link);
      expect(broken.broken, JSON.stringify(broken.links.filter(({ ok }) => !ok))).toBe(link);
      expect(broken.ok).toBe(false);

      const mending = asking ? await sample.api.watch(await asking(), () => {}, 100) : await sample.ask();
      expect(mending.failure).toBeUndefined();
      expect((await until(({ ok }) => ok)).links.filter(({ ok }) => !ok)).toEqual([]);
    },
    90_000,
  );
});

/** An access token for one repository, by the registry's own exchange. */
async function registryToken(
  sample: Sample,
  host: string,
  repository: string,
  actions: string,
): Promise<string> {
  const form = async (path: string, fields: Record<string, string>): Promise<Record<string, string>> => {
    const answer = await sample.clouds.sendForm(`https://${host}${path}`, fields);
    if (answer.status >= 400) throw new Error(`${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
    return answer.body as Record<string, string>;
  };
  const { refresh_token = '' } = await form('/oauth2/exchange', {
    grant_type: 'access_token',
    service: host,
    access_token: await sample.clouds.token('https://containerregistry.azure.net'),
  });
  const { access_token = '' } = await form('/oauth2/token', {
    grant_type: 'refresh_token',
    service: host,
    scope: `repository:${repository}:${actions}`,
    refresh_token,
  });
  return access_token;
}
