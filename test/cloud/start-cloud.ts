/**
 * A simulated cloud for one test file, and this process pointed at it the way a user's is: proxy, trusted authority,
 * identity endpoint. Azure Resource Manager is a stand-in here whose vaults, registries and rights the test dictates.
 */

import { readFileSync, rmSync } from 'node:fs';
import http from 'node:http';
import tls from 'node:tls';
import {
  type CloudOptions,
  type Composer,
  type RunningCloud,
  startCloud,
} from '../../sandbox/cloud/cloud.ts';
import type {
  Answer,
  RegistryResources,
  SiteLink,
  Software,
  VaultResources,
} from '../../sandbox/cloud/neighbours.ts';
import type { SourceEvent } from '../../sandbox/cloud/world.ts';
import { makeDirectory } from '../a-directory.ts';

type Vault = NonNullable<ReturnType<VaultResources['find']>>;
type Registry = NonNullable<ReturnType<RegistryResources['find']>>;

/** What the test says about Azure. */
export class StandInAzure {
  /** By host. */
  readonly vaults = new Map<string, Vault>();
  readonly registries = new Map<string, Registry>();
  /** What answers in the cluster, by URL. */
  readonly services = new Map<string, Software>();
  links: readonly SiteLink[] = [];
  readonly #rights: { principalId: string; scope: string; permission: string }[] = [];

  allow(principalId: string, scope: string, ...permissions: readonly string[]): void {
    for (const permission of permissions) this.#rights.push({ principalId, scope, permission });
  }

  compose: Composer = () => {
    const absent: Answer<never> = { ok: false, code: 'NotHere', reason: 'not part of this test' };
    return {
      services: [],
      neighbours: {
        authorization: {
          isAllowed: (principalId, scope, wanted) =>
            this.#rights.some(
              (right) =>
                right.principalId === principalId &&
                scope.toLowerCase().startsWith(right.scope.toLowerCase()) &&
                right.permission === ('action' in wanted ? wanted.action : wanted.dataAction),
            ),
        },
        vaultResources: { find: (host) => this.vaults.get(host) },
        registryResources: { find: (loginServer) => this.registries.get(loginServer) },
        network: { resolve: () => absent },
        storageAccounts: { mountShare: () => absent },
        databases: { connect: async () => absent },
        clusters: { list: () => [] },
        kubernetes: {
          runCommand: async () => ({ exitCode: 127, logs: '' }),
          answer: (_, url) => {
            const software = this.services.get(url);
            return software ? { ok: true, pod: 'pod', software } : absent;
          },
          request: async (_, url, __, { path }) =>
            this.services.has(url)
              ? { ok: true, pod: 'pod', response: new Response(`${this.services.get(url)} at ${path}`) }
              : absent,
          secretSets: () => [],
          links: async () => this.links,
          credentials: () => ({ certificateAuthority: '', token: '' }),
        },
      },
      setFunctionApp: async () => undefined,
      stop: async () => undefined,
    };
  };
}

export interface TestCloud {
  readonly cloud: RunningCloud;
  readonly azure: StandInAzure;
  readonly directory: string;
  readonly events: readonly SourceEvent[];
  /** The environment that a process needs to talk to the cloud. */
  readonly environment: Readonly<Record<string, string>>;
  /** Signs in as the person who owns the subscription. */
  readonly operator: {
    getToken(scopes: string | string[]): Promise<{ token: string; expiresOnTimestamp: number }>;
  };
  /** Lets virtual time jump ahead. */
  pass(milliseconds: number): void;
  stop(): Promise<void>;
}

/** With the stand-in for Azure, or with the real simulation when the test brings its composer. */
export async function startTestCloud(
  options: Partial<CloudOptions> = {},
  composer?: Composer,
): Promise<TestCloud> {
  const directory = options.directory ?? makeDirectory('cloud-');
  const azure = new StandInAzure();
  const cloud = await startCloud({ ...options, directory }, composer ?? azure.compose);
  const { endpoints, world } = cloud;
  const events: SourceEvent[] = [];
  world.onEvent((event) => void events.push(event));
  const environment = {
    HTTPS_PROXY: endpoints.proxy,
    NO_PROXY: '127.0.0.1,localhost',
    NODE_USE_ENV_PROXY: '1',
    NODE_EXTRA_CA_CERTS: endpoints.ca,
    IDENTITY_ENDPOINT: endpoints.identity.endpoint,
    IDENTITY_HEADER: endpoints.identity.header,
    AZURE_CLIENT_ID: world.settings.controlPlane.clientId,
  };
  Object.assign(process.env, environment);
  const restoreProxy = http.setGlobalProxyFromEnv(environment);
  tls.setDefaultCACertificates([...tls.getCACertificates('bundled'), readFileSync(endpoints.ca, 'utf8')]);
  return {
    cloud,
    azure,
    directory,
    events,
    environment,
    operator: {
      getToken: async (scopes) => {
        const scope = Array.isArray(scopes) ? (scopes[0] ?? '') : scopes;
        const answer = await fetch(`${endpoints.sandbox}/token`, {
          method: 'POST',
          body: JSON.stringify({ audience: scope.replace('/.default', '') }),
        });
        const { accessToken, expiresOn } = (await answer.json()) as {
          accessToken: string;
          expiresOn: number;
        };
        return { token: accessToken, expiresOnTimestamp: expiresOn * 1000 };
      },
    },
    pass: (milliseconds) => void world.clock.change({ now: world.clock.now() + milliseconds }),
    stop: async () => {
      restoreProxy();
      await cloud.stop();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

/** Everything that a listing pages through. */
export async function listAll<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}
