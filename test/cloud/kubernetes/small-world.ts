/**
 * A world with one cluster and everything a cluster needs of its neighbours, each of which can be broken by hand: an
 * identity, a vault, a registry, a share, a tunnel, and a real PostgreSQL behind the database's host name.
 */

import { createHash } from 'node:crypto';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import { VirtualClock } from '../../../sandbox/clock.ts';
import { settings } from '../../../sandbox/cloud/bootstrap.ts';
import { CallLog } from '../../../sandbox/cloud/calls.ts';
import { openCertificateAuthority } from '../../../sandbox/cloud/certificate-authority.ts';
import { Faults } from '../../../sandbox/cloud/faults.ts';
import type { KubernetesNeighbours } from '../../../sandbox/cloud/kubernetes/controllers/controller.ts';
import { createKubernetes, type Kubernetes } from '../../../sandbox/cloud/kubernetes/kubernetes.ts';
import type { Behaviour, Cluster, Principal, Software } from '../../../sandbox/cloud/neighbours.ts';
import { type PostgresServer, startPostgres } from '../../../sandbox/cloud/postgres-server.ts';
import { type Proxy as RunningProxy, startProxy } from '../../../sandbox/cloud/proxy.ts';
import { createWorld, Memory, type World } from '../../../sandbox/cloud/world.ts';
import { makeDirectory } from '../../a-directory.ts';

export const CLUSTER_ID =
  '/subscriptions/50b5c419-0000-4000-8000-000000000001/resourceGroups/rg-owui/providers/Microsoft.ContainerService/managedClusters/aks-owui';
export const FQDN = 'aks-owui-1a2b3c4d.hcp.eastasia.azmk8s.io';
export const IDENTITY = 'c11e4700-0000-4000-8000-00000000000a';
export const VAULT = 'https://kv-owui.vault.azure.net';
export const REGISTRY = 'acrowui.azurecr.io';
export const DATABASE_HOST = 'psql-owui.postgres.database.azure.com';

const OPERATOR: Principal = {
  id: settings.operator.principalId,
  displayName: 'operator@yourdomain.com',
  kind: 'user',
};
/** When the vault's secrets have been there since. */
const CREATED = '2026-11-23T08:00:00.000Z';
const UAI: Principal = {
  id: '0b7ec700-0000-4000-8000-00000000000a',
  appId: IDENTITY,
  displayName: 'uai-owui',
  kind: 'managed-identity',
};

export interface SmallWorld {
  readonly world: World;
  readonly kubernetes: Kubernetes;
  readonly proxy: RunningProxy;
  readonly certificateAuthority: string;
  /** What can be broken; call `world.touch()` afterwards. */
  readonly state: State;
  readonly postgres: PostgresServer | undefined;
  /** The sandbox is killed and started again over the same memory. */
  restart(): Promise<void>;
  stop(): Promise<void>;
}

export interface State {
  cluster: Cluster;
  readonly images: Map<string, Software>;
  /** Of bad builds among them. */
  readonly behaviours: Map<string, Behaviour>;
  readonly secrets: Map<string, string>;
  isAdmin: boolean;
  mayReadVault: boolean;
  mayPull: boolean;
  shareFault: string | undefined;
  databaseFault: string | undefined;
  allowedExtensions: string[];
  readonly openConnections: Set<pg.Client>;
  tunnelToken: string;
  readonly connectors: Set<string>;
  signInFault: string | undefined;
}

export async function startSmallWorld(
  options: { readonly speed?: number; readonly withDatabase?: boolean } = {},
): Promise<SmallWorld> {
  const directory = makeDirectory('kubernetes-');
  const certificates = await openCertificateAuthority(directory);
  const memory = new Memory(join(directory, 'world.sqlite'));
  const clock = new VirtualClock({ speed: options.speed ?? 1000, now: Date.parse('2026-11-23T08:00:00Z') });
  const postgres = options.withDatabase
    ? await startPostgres({
        directory: join(directory, 'postgres'),
        certificate: await certificates.issueServerCertificate([DATABASE_HOST]),
      })
    : undefined;
  const state = freshState();
  const neighbours = neighboursOf(state, postgres, certificates);
  const open = async (): Promise<{ world: World; kubernetes: Kubernetes; proxy: RunningProxy }> => {
    const world = createWorld(memory, clock, settings, new CallLog(), new Faults());
    const kubernetes = createKubernetes(world, neighbours);
    const proxy = await startProxy(world, [kubernetes], certificates);
    return { world, kubernetes, proxy };
  };
  let parts = await open();
  return {
    get world() {
      return parts.world;
    },
    get kubernetes() {
      return parts.kubernetes;
    },
    get proxy() {
      return parts.proxy;
    },
    certificateAuthority: certificates.pem,
    state,
    postgres,
    restart: async () => {
      parts.kubernetes.stop();
      await parts.proxy.close();
      parts = await open();
    },
    stop: async () => {
      parts.kubernetes.stop();
      await parts.proxy.close();
      clock.change({ held: true });
      await Promise.all([...state.openConnections].map((client) => client.end().catch(() => undefined)));
      await postgres?.stop();
      memory.close();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

function freshState(): State {
  return {
    cluster: {
      id: CLUSTER_ID,
      name: 'aks-owui',
      location: 'eastasia',
      fqdn: FQDN,
      kubernetesVersion: '1.34.2',
      isRunning: true,
      nodePools: [
        {
          name: 'system',
          mode: 'System',
          count: 2,
          vmSize: 'Standard_D4s_v5',
          labels: {},
          taints: [],
          vmssName: 'aks-system-12345678-vmss',
          identityClientIds: [IDENTITY],
          vnetId: '/vnets/vnet-aks',
        },
      ],
      kubelet: {
        clientId: 'c11e4700-0000-4000-8000-00000000000b',
        principalId: '0b7ec700-0000-4000-8000-00000000000b',
      },
      localAccountsDisabled: false,
      azureRbac: true,
    },
    images: new Map<string, Software>([
      [`${REGISTRY}/open-webui:v1`, 'open-webui'],
      [`${REGISTRY}/open-webui:v2`, 'open-webui'],
      [`${REGISTRY}/ollama:v1`, 'ollama'],
      [`${REGISTRY}/cloudflared:v1`, 'cloudflared'],
      [`${REGISTRY}/valkey:v1`, 'valkey'],
      [`${REGISTRY}/netshoot:v1`, 'other'],
    ]),
    behaviours: new Map(),
    secrets: new Map(),
    isAdmin: true,
    mayReadVault: true,
    mayPull: true,
    shareFault: undefined,
    databaseFault: undefined,
    allowedExtensions: ['VECTOR'],
    openConnections: new Set(),
    tunnelToken: 'tunnel-token-1',
    connectors: new Set(),
    signInFault: undefined,
  };
}

function neighboursOf(
  state: State,
  postgres: PostgresServer | undefined,
  certificates: KubernetesNeighbours['certificates'],
): KubernetesNeighbours {
  const refused = (code: string, reason: string) => ({ ok: false, code, reason }) as const;
  return {
    directory: {
      addManagedIdentity: () => ({ ...UAI, appId: IDENTITY }),
      removePrincipal: () => undefined,
      hasAudience: () => true,
      findPrincipal: (id) => [OPERATOR, UAI].find((one) => one.id === id),
      findPrincipalByAppId: (id) => (id === IDENTITY ? UAI : undefined),
      issueToken: () => ({ accessToken: 'operator', expiresOn: 0 }),
      verifyToken: (header) =>
        header === 'Bearer operator'
          ? { ok: true, principal: OPERATOR }
          : refused('Unauthorized', 'no token'),
      canSignIn: ({ redirectUri }) =>
        state.signInFault !== undefined
          ? refused('AADSTS7000215', state.signInFault)
          : redirectUri === 'https://chat.yourdomain.com/oauth/microsoft/callback'
            ? { ok: true }
            : refused('AADSTS50011', `AADSTS50011: The redirect URI '${redirectUri}' does not match.`),
      redeemCode: ({ clientSecret }, code) => {
        const [, email] = /^code-of-(.+)$/.exec(code) ?? [];
        if (state.signInFault !== undefined) return refused('AADSTS7000215', state.signInFault);
        if (clientSecret !== state.secrets.get('openwebui-client-secret'))
          return refused('AADSTS7000215', 'Invalid client secret provided.');
        return email === undefined
          ? refused('AADSTS70000', 'Provided grant is invalid or malformed.')
          : { ok: true, user: { sub: `sub-${email}`, email, name: email } };
      },
    },
    authorization: { isAllowed: () => state.isAdmin },
    clusters: { list: () => [state.cluster] },
    vaults: {
      // A version other than the current one is kept under `<name>/<version>`.
      readSecret: (url, name, _principal, version) => {
        if (url.replace(/\/$/, '') !== VAULT)
          return refused('ENOTFOUND', `dial tcp: lookup ${url}: no such host`);
        if (!state.mayReadVault)
          return refused('ForbiddenByRbac', 'Caller is not authorized to perform action on resource.');
        const value = state.secrets.get(version === undefined ? name : `${name}/${version}`);
        return value === undefined
          ? refused('SecretNotFound', `A secret with (name/id) ${name} was not found in this key vault.`)
          : { ok: true, value, version: '1' };
      },
      forget: () => undefined,
      versionsOf: (hash) =>
        [...state.secrets].flatMap(([secret, value]) =>
          createHash('sha256').update(value).digest('hex') === hash
            ? [{ vault: 'kv-owui', secret, version: '1', createdAt: CREATED, supersededAt: null }]
            : [],
        ),
    },
    registries: {
      pull: (image) => {
        const software = /external-secrets\/external-secrets:/.test(image)
          ? 'external-secrets'
          : /stakater\/reloader:/.test(image)
            ? 'reloader'
            : state.images.get(image);
        if (!state.mayPull && image.startsWith(REGISTRY)) {
          return refused('Unauthorized', `failed to pull and unpack image "${image}": 401 Unauthorized`);
        }
        return software === undefined
          ? refused('NotFound', `failed to pull and unpack image "${image}": ${image}: not found`)
          : {
              ok: true,
              digest: `sha256:${Buffer.from(image).toString('hex').padEnd(64, '0').slice(0, 64)}`,
              software,
              behaviour: state.behaviours.get(image),
            };
      },
      importImage: () => refused('NotFound', 'not here'),
      forget: () => undefined,
    },
    storageAccounts: {
      mountShare: ({ key }) =>
        state.shareFault !== undefined
          ? refused('EACCES', state.shareFault)
          : key === state.secrets.get('storage-account-key')
            ? { ok: true, quotaGiB: 50 }
            : refused('EACCES', 'mount error(13): Permission denied'),
    },
    databases: {
      connect: async (text) => {
        const url = new URL(text);
        if (state.databaseFault !== undefined) return refused('ETIMEDOUT', state.databaseFault);
        if (url.hostname !== DATABASE_HOST || !postgres)
          return refused('ENOTFOUND', `could not translate host name "${url.hostname}"`);
        const client = new pg.Client({
          host: '127.0.0.1',
          port: postgres.port,
          user: decodeURIComponent(url.username),
          password: decodeURIComponent(url.password),
          database: url.pathname.slice(1),
          ssl: { rejectUnauthorized: false },
        });
        client.on('error', () => undefined);
        try {
          await client.connect();
        } catch (error) {
          return refused('28P01', error instanceof Error ? error.message : 'refused');
        }
        state.openConnections.add(client);
        client.on('end', () => state.openConnections.delete(client));
        return { ok: true, client, allowedExtensions: state.allowedExtensions };
      },
    },
    tunnels: {
      connect: ({ pod }, token) => {
        if (token !== state.tunnelToken)
          return refused('Unauthorized', 'Unauthorized: Invalid tunnel secret');
        state.connectors.add(pod);
        return { ok: true, tunnelId: 'f0000000-0000-4000-8000-000000000001' };
      },
      disconnect: ({ pod }) => void state.connectors.delete(pod),
      route: () => refused('ENOTFOUND', 'not here'),
    },
    network: { resolve: () => refused('ENOTFOUND', 'not here') },
    certificates,
  };
}

/** Resolves once the condition holds; rejects with what it last saw after some real seconds. */
export async function eventually<T>(
  look: () => T | Promise<T>,
  holds: (value: T) => boolean,
  seconds = 20,
): Promise<T> {
  const until = performance.now() + seconds * 1000;
  for (;;) {
    const value = await look();
    if (holds(value)) return value;
    if (performance.now() > until) throw new Error(`still ${JSON.stringify(value, null, 1)}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
