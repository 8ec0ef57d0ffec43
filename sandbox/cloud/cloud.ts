/**
 * The simulated cloud in one piece: opens the world kept in a directory, composes the services over it, and opens two
 * doors on 127.0.0.1: the proxy, behind which the clouds answer under their real names, and the control door.
 */
import { randomBytes } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { getRequestListener } from '@hono/node-server';
import { type ClockState, VirtualClock } from '../clock.ts';
import type { DatabaseDial } from './arm/database-connections.ts';
import type { FunctionApp } from './arm/web.ts';
import {
  settings as bootstrapSettings,
  CLOUDFLARE_TOKEN_SECRET,
  CONTROL_PLANE_GRAPH_PERMISSIONS,
  NOTIFICATION_HOOK_HOST,
  NOTIFICATION_SECRETS,
} from './bootstrap.ts';
import { CallLog } from './calls.ts';
import { openCertificateAuthority } from './certificate-authority.ts';
import { Cloudflare } from './cloudflare.ts';
import { type AzureDoor, createControlDoor } from './control-door.ts';
import { Entra } from './entra.ts';
import { exchange } from './exchange.ts';
import { Faults } from './faults.ts';
import { TenantObjects } from './graph/tenant-objects.ts';
import { Graph } from './graph.ts';
import { createIdentityEndpoint, IDENTITY_PATH } from './identity-endpoint.ts';
import { KeyVault } from './key-vault.ts';
import { kubeconfigOf } from './kubernetes/kubeconfig.ts';
import type { Neighbours } from './neighbours.ts';
import { Notifications } from './notifications.ts';
import { startProxy } from './proxy.ts';
import { ContainerRegistry } from './registry.ts';
import { Site } from './site.ts';
import { createWorld, Memory, type Service, type World } from './world.ts';

/** How often virtual time is written down, in real milliseconds: what a killed sandbox loses of it. */
const CLOCK_SAVE_MILLISECONDS = 1_000;

export interface CloudOptions {
  /** Where the world is kept; made when it is not there. */
  readonly directory: string;
  /** Virtual time per real time. Left out, as the world was left, or 1. */
  readonly speed?: number;
  readonly held?: boolean;
  /** 0 or left out: chosen by the operating system. */
  readonly proxyPort?: number;
  readonly controlPort?: number;
  /** File that is to hold a kubeconfig of the operator for the first cluster, as soon as there is one. */
  readonly kubeconfig?: string;
  /** Virtual time at which a new world begins, milliseconds since 1970; now when left out. */
  readonly now?: number;
}

export interface Endpoints {
  /** For `HTTPS_PROXY`. */
  readonly proxy: string;
  /** File for `NODE_EXTRA_CA_CERTS`. */
  readonly ca: string;
  /** For `IDENTITY_ENDPOINT` and `IDENTITY_HEADER`. */
  readonly identity: { readonly endpoint: string; readonly header: string };
  /** The control door. */
  readonly sandbox: string;
  /** The real PostgreSQL behind the simulated servers. */
  readonly postgres?: string;
}

export interface RunningCloud {
  readonly world: World;
  /** The wires between the services, which no public API shows. */
  readonly neighbours: Neighbours;
  readonly endpoints: Endpoints;
  stop(): Promise<void>;
}

/** The parts of the cloud that are not composed here: Azure Resource Manager and the clusters. */
export interface OtherParts {
  readonly services: readonly Service[];
  readonly neighbours: Omit<Neighbours, 'directory' | 'vaults' | 'registries' | 'tunnels' | 'certificates'>;
  /** Tells ARM and Event Grid where the control plane's functions answer; undefined while the host is down. */
  setFunctionApp(app: FunctionApp | undefined): Promise<void>;
  /** For the control door, where Azure itself is simulated. */
  readonly azureDoor?: AzureDoor;
  /** Address of the real PostgreSQL, where there is one. */
  readonly postgres?: string;
  /** Leads from the proxy to database servers, where there are any. */
  readonly dialDatabase?: DatabaseDial;
  stop(): Promise<void>;
}

/** Makes the other parts over a world. They may use a neighbour once the first call arrives, not before. */
export type Composer = (
  world: World,
  neighbours: Neighbours,
  directory: string,
) => OtherParts | Promise<OtherParts>;

/** Starts everything. Rejects when a port is taken or the directory cannot be used. */
export async function startCloud(options: CloudOptions, composeOthers: Composer): Promise<RunningCloud> {
  mkdirSync(options.directory, { recursive: true, mode: 0o700 });
  const memory = new Memory(join(options.directory, 'world.sqlite'));
  const clock = openClock(memory, options);
  const world = createWorld(memory, clock, bootstrapSettings, new CallLog(), new Faults());
  const certificates = await openCertificateAuthority(options.directory);

  const neighbours = {} as Neighbours;
  const objects = new TenantObjects(world);
  const directory = new Entra(world, objects);
  const cloudflare = new Cloudflare(world);
  const keyVault = new KeyVault(world, neighbours);
  const registry = new ContainerRegistry(world, neighbours);
  Object.assign(neighbours, {
    directory,
    vaults: keyVault,
    registries: registry,
    tunnels: cloudflare,
    certificates,
  });
  const isNew = directory.findPrincipal(world.settings.controlPlane.principalId) === undefined;
  if (isNew) addControlPlaneIdentity(world, directory);
  const others = await composeOthers(world, neighbours, options.directory);
  Object.assign(neighbours, others.neighbours);
  // What fell due while the process was away is told now that there is somebody to listen.
  keyVault.watchExpiry();
  if (isNew) keepCloudflareToken(world, cloudflare, keyVault);
  const notifications = new Notifications(world, neighbours);
  if (isNew) keepNotificationSecrets(world, notifications, keyVault);
  const site = new Site(world, cloudflare, neighbours);

  const proxy = await startProxy(
    world,
    [
      directory,
      new Graph(world, directory, objects),
      keyVault,
      registry,
      cloudflare,
      ...others.services,
      notifications,
      site,
    ],
    certificates,
    options.proxyPort,
    others.dialDatabase,
  );
  const header = identityHeader(memory);
  const identity = createIdentityEndpoint(world, directory, header);
  const control = createControlDoor(world, directory, site, {
    cloudflareToken: () =>
      cloudflare.createApiToken('by-hand', { email: world.settings.operator.userPrincipalName }),
    endpoints: () => endpoints,
    setFunctionApp: (app) => others.setFunctionApp(app),
    azure: others.azureDoor,
    notifications: () => notifications.taken,
  });
  const door = createServer(
    getRequestListener(
      (request, wire) =>
        new URL(request.url).pathname === IDENTITY_PATH
          ? exchange(world, identity, '127.0.0.1', request, wire)
          : control.fetch(request),
      { overrideGlobalObjects: false },
    ),
  );
  const sandbox = await listen(door, options.controlPort ?? 0);
  const endpoints: Endpoints = {
    proxy: proxy.url,
    ca: certificates.file,
    identity: { endpoint: sandbox + IDENTITY_PATH, header },
    sandbox,
    ...(others.postgres === undefined ? {} : { postgres: others.postgres }),
  };

  if (options.kubeconfig !== undefined) keepKubeconfig(options.kubeconfig, world, neighbours, endpoints);

  const save = (): void => memory.table<SavedClock>('clock/state').set('clock', savedClock(clock));
  const saving = setInterval(save, CLOCK_SAVE_MILLISECONDS);
  return {
    world,
    neighbours,
    endpoints,
    stop: async () => {
      clearInterval(saving);
      save();
      await proxy.close();
      door.closeAllConnections();
      await new Promise((resolve) => door.close(resolve));
      // Nobody follows any more: alarms that are still set must not ring in a closed world.
      clock.change({ held: true });
      await others.stop();
      memory.close();
    },
  };
}

interface SavedClock {
  readonly now: number;
  readonly speed: number;
  readonly held: boolean;
  readonly version: number;
}

function savedClock(clock: VirtualClock): SavedClock {
  const { speed, held, version } = clock.state;
  return { now: clock.now(), speed, held, version };
}

/** Time goes on from where it was saved, under a version that followers of the former process have not seen. */
function openClock(memory: Memory, options: CloudOptions): VirtualClock {
  const saved = memory.table<SavedClock>('clock/state').get('clock');
  const now = saved?.now ?? options.now;
  const clock = new VirtualClock({
    ...(now === undefined ? {} : { now }),
    speed: options.speed ?? saved?.speed ?? 1,
    held: options.held ?? saved?.held ?? false,
  });
  const state: ClockState = { ...clock.state, version: (saved?.version ?? 0) + 1_000 };
  clock.adopt(state);
  return clock;
}

/** What `infra/` and an administrator did before: the control plane's identity with its permissions. */
function addControlPlaneIdentity(world: World, directory: Entra): void {
  const { controlPlane } = world.settings;
  directory.registerManagedIdentity({
    id: controlPlane.principalId,
    appId: controlPlane.clientId,
    displayName: controlPlane.identityName,
    createdAt: 0,
    graphPermissions: CONTROL_PLANE_GRAPH_PERMISSIONS,
  });
}

/** An administrator made a Cloudflare API token and put it into the control plane's vault. */
function keepCloudflareToken(world: World, cloudflare: Cloudflare, keyVault: KeyVault): void {
  keyVault.seed(
    `${world.settings.controlPlane.vaultName}.vault.azure.net`,
    CLOUDFLARE_TOKEN_SECRET,
    cloudflare.createApiToken('open-webui-control-plane', {
      email: world.settings.operator.userPrincipalName,
      readsSettings: true,
    }),
  );
}

/** Somebody who wants to be told agreed on a key with whoever runs the control plane. */
function keepNotificationSecrets(world: World, notifications: Notifications, keyVault: KeyVault): void {
  const key = randomBytes(32).toString('base64');
  const vault = `${world.settings.controlPlane.vaultName}.vault.azure.net`;
  notifications.shareKey(key);
  keyVault.seed(vault, NOTIFICATION_SECRETS.url, `https://${NOTIFICATION_HOOK_HOST}/open-webui`);
  keyVault.seed(vault, NOTIFICATION_SECRETS.signingKey, `whsec_${key}`);
}

/** The secret of the identity endpoint; kept, so that a functions host outlives a restart of the cloud. */
function identityHeader(memory: Memory): string {
  const table = memory.table<string>('identity/header');
  const header = table.get('header') ?? randomBytes(16).toString('hex').toUpperCase();
  table.set('header', header);
  return header;
}

async function listen(server: Server, port: number): Promise<string> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', resolve);
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** Written anew when the cluster is another one. The operator's token is fetched at each call, for it expires. */
function keepKubeconfig(file: string, world: World, neighbours: Neighbours, endpoints: Endpoints): void {
  let written = '';
  const write = (): void => {
    const [cluster] = neighbours.clusters.list();
    if (!cluster) return;
    const text = kubeconfigOf({
      name: cluster.name,
      fqdn: cluster.fqdn,
      proxyUrl: endpoints.proxy,
      certificateAuthority: neighbours.certificates.pem,
      user: {
        command: process.execPath,
        args: [
          '-e',
          `fetch('${endpoints.sandbox}/kubectl-credential').then((a) => a.text()).then(console.log)`,
        ],
      },
    });
    if (text === written) return;
    writeFileSync(file, text, { mode: 0o600 });
    written = text;
  };
  world.onTouch(write);
  write();
}
