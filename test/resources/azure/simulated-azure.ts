/**
 * Resources against the simulated Azure, over its proxy and with the vendors' SDKs, exactly as the app sees it; only the
 * functions host is left out. `settle` is the engine in three lines: look, push, look again after the pause asked for.
 */

import { readFileSync, rmSync } from 'node:fs';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import type { TokenCredential } from '@azure/identity';
import { composeAzure } from '../../../sandbox/cloud/azure.ts';
import { settings } from '../../../sandbox/cloud/bootstrap.ts';
import type { Call } from '../../../sandbox/cloud/calls.ts';
import { type RunningCloud, startCloud } from '../../../sandbox/cloud/cloud.ts';
import type { Clients } from '../../../src/clients/clients.ts';
import { toFailure } from '../../../src/clients/cloud-failure.ts';
import { createClients } from '../../../src/clients/create-clients.ts';
import { createCredential } from '../../../src/clients/credential.ts';
import { createSharedLimits } from '../../../src/clients/shared-limits.ts';
import { readConfig } from '../../../src/config.ts';
import type { Failure } from '../../../src/graph/failure.ts';
import type { Dependencies, Observed, Outputs, ResourceKey } from '../../../src/graph/resource.ts';
import type { StackResource } from '../../../src/resources/index.ts';
import type { Scope } from '../../../src/resources/scope.ts';
import type { DeploymentSpecInput } from '../../../src/spec/spec.ts';
import { makeDirectory } from '../../a-directory.ts';
import { specOf } from '../spec.ts';
import { surroundings } from '../surroundings.ts';

/** Virtual seconds a resource may take. */
const PATIENCE = 3_600;

interface Operation {
  poll(): Promise<unknown>;
  readonly isDone: boolean | (() => boolean);
  readonly submitted?: () => Promise<void>;
}

export interface SimulatedAzure {
  readonly cloud: RunningCloud;
  /** Clients of a person who owns the subscription: breaks things by hand. */
  readonly operator: Clients;
  scope(fields?: Partial<DeploymentSpecInput>): Scope;
  /** Brings a resource and all it depends on to ready; throws the failure that ends it. Outputs are kept. */
  settle(scope: Scope, resource: StackResource): Promise<Outputs>;
  /** Forgets what was settled, so that everything is looked at again. */
  unsettle(): void;
  /** Removes what is there of a resource and waits until it is gone. */
  clear(scope: Scope, resource: StackResource): Promise<void>;
  /** One look at a resource whose dependencies are settled. */
  look(scope: Scope, resource: StackResource): Promise<Observed<Outputs>>;
  /** Waits for the end of an operation of either generation of the SDKs, in virtual time. */
  finish(operation: Operation | Promise<Operation & { readonly submitted?: never }>): Promise<void>;
  /** Calls that change something, made by the control plane since a mark. */
  writesSince(mark: number): readonly string[];
  mark(): number;
  stop(): Promise<void>;
}

/** Actions that only read, though they are POSTs. */
const readingActions = /\/(listKeys|listClusterUserCredential)\b|\/oauth2\/(exchange|token)\b|\/token\b/i;

export async function startSimulatedAzure(speed: number): Promise<SimulatedAzure> {
  const directory = makeDirectory('simulated-azure-');
  const cloud = await startCloud({ directory, speed }, composeAzure);
  const { endpoints, world } = cloud;
  setDefaultCACertificates([...getCACertificates('default'), readFileSync(endpoints.ca, 'utf8')]);
  Object.assign(process.env, {
    HTTPS_PROXY: endpoints.proxy,
    NO_PROXY: '127.0.0.1,localhost',
    IDENTITY_ENDPOINT: endpoints.identity.endpoint,
    IDENTITY_HEADER: endpoints.identity.header,
  });
  const { controlPlane, subscriptionId, tenantId, cloudflare } = settings;
  const config = readConfig({
    AZURE_CLIENT_ID: controlPlane.clientId,
    AzureWebJobsStorage: 'UseDevelopmentStorage=true',
    CLOUDFLARE_TOKEN_SECRET: `https://${controlPlane.vaultName}.vault.azure.net/secrets/cloudflare-api-token`,
    HTTPS_PROXY: endpoints.proxy,
  });
  const limits = () => createSharedLimits(() => world.clock.now());
  const clients = createClients(config, createCredential(config), subscriptionId, limits());
  const operator = createClients(config, operatorCredential(endpoints.sandbox), subscriptionId, limits());
  /** The subscription has been in use: its providers are registered. */
  const used: readonly [ResourceKey, Outputs][] = [['azure/resource-providers', {}]];
  const settled = new Map<ResourceKey, Outputs>(used);
  const depsOf = (dependsOn: Dependencies) =>
    Object.fromEntries(Object.entries(dependsOn).map(([name, { key }]) => [name, settled.get(key)]));

  const settle = async (scope: Scope, resource: StackResource): Promise<Outputs> => {
    for (const dependency of Object.values(resource.dependsOn)) {
      if (!settled.has(dependency.key) && (dependency.isWanted?.(scope) ?? true))
        await settle(scope, dependency);
    }
    const deps = depsOf(resource.dependsOn);
    const deadline = world.clock.now() + PATIENCE * 1000;
    for (;;) {
      let seen: Observed<Outputs> | undefined;
      let failure: Failure | undefined;
      try {
        seen = await resource.observe(scope, deps);
        if (seen.state === 'absent' || seen.state === 'drifted' || seen.state === 'failed') {
          await resource.ensure(scope, deps, seen);
          seen = await resource.observe(scope, deps);
        }
      } catch (error) {
        failure = toFailure(error);
        if (failure.kind === 'fatal') throw error;
      }
      if (seen?.state === 'ready') {
        settled.set(resource.key, seen.outputs);
        return seen.outputs;
      }
      if (seen?.state === 'foreign') throw new Error(seen.reason);
      if (world.clock.now() > deadline) {
        throw new Error(`${resource.key} does not get ready: ${JSON.stringify(failure ?? seen)}`);
      }
      const asked = seen?.state === 'changing' ? seen.retryAfterSeconds : failure?.retryAfterSeconds;
      await world.clock.wait((asked ?? 5) * 1000);
    }
  };

  const clear = async (scope: Scope, resource: StackResource): Promise<void> => {
    const deps = depsOf(resource.dependsOn);
    for (let looks = 0; ; looks += 1) {
      const seen = await resource.observe(scope, deps);
      if (seen.state === 'absent') break;
      if (looks > 100) throw new Error(`${resource.key} does not go: ${JSON.stringify(seen)}`);
      try {
        if (seen.state !== 'changing') await resource.remove(scope, deps, seen);
      } catch (error) {
        if (toFailure(error).kind === 'fatal') throw error;
      }
      await world.clock.wait(5_000);
    }
    settled.delete(resource.key);
  };

  return {
    cloud,
    operator,
    clear,
    unsettle: () => {
      settled.clear();
      for (const [key, outputs] of used) settled.set(key, outputs);
    },
    scope: (fields = {}) => ({
      ...specOf({
        subscriptionId,
        tenantId,
        tunnel: {
          accountId: cloudflare.accountId,
          zoneId: cloudflare.zoneId,
          hostName: `chat.${cloudflare.zoneName}`,
        },
        ...fields,
      }),
      clients,
      now: new Date(world.clock.now()),
      ...surroundings(),
    }),
    settle,
    look: (scope, resource) => resource.observe(scope, depsOf(resource.dependsOn)),
    finish: async (operation) => {
      // The newer SDKs' pollers wait in real time when awaited, so they are only told apart here.
      const poller = 'poll' in operation ? operation : await operation;
      await poller.submitted?.();
      const isDone = (): boolean => (typeof poller.isDone === 'function' ? poller.isDone() : poller.isDone);
      while (!isDone()) {
        await world.clock.wait(5_000);
        await poller.poll();
      }
    },
    mark: () => world.calls.since(0).next,
    writesSince: (mark) =>
      world.calls
        .since(mark)
        .calls.filter((call) => call.caller === controlPlane.identityName)
        .filter(({ method, path }) => method !== 'GET' && method !== 'HEAD' && !readingActions.test(path))
        .map(describeCall),
    stop: async () => {
      await cloud.stop();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

/** The operator's tokens come from the sandbox's control door. */
const operatorCredential = (door: string): TokenCredential => ({
  getToken: async (scopes) => {
    const audience = [scopes].flat()[0]?.replace(/\/\.default$/, '');
    const headers = { 'content-type': 'application/json' };
    const answer = await fetch(`${door}/token`, {
      method: 'POST',
      body: JSON.stringify({ audience }),
      headers,
    });
    const { accessToken, expiresOn } = (await answer.json()) as { accessToken: string; expiresOn: number };
    return { token: accessToken, expiresOnTimestamp: expiresOn };
  },
});

const describeCall = ({ method, host, path, status }: Call): string => `${method} ${host}${path} → ${status}`;
