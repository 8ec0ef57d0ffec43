/** A whole stack in the simulated clouds, without what runs in the cluster, and one thing broken in it at a time. */
import http from 'node:http';
import type { Check, CheckFinding, CheckScope } from '../../src/checks/check.ts';
import { systems } from '../../src/checks/check.ts';
import { toFailure } from '../../src/clients/cloud-failure.ts';
import type { Failure } from '../../src/graph/failure.ts';
import type { ResourceKey } from '../../src/graph/resource.ts';
import { type StackResource, stack, wantedResources } from '../../src/resources/index.ts';
import type { Scope } from '../../src/resources/scope.ts';
import { type SimulatedAzure, startSimulatedAzure } from '../resources/azure/simulated-azure.ts';

export interface BrokenClouds {
  readonly azure: SimulatedAzure;
  scope(): CheckScope;
  /** What a reconcile does about these resources and all that they depend on. */
  repair(...keys: readonly ResourceKey[]): Promise<void>;
  /** `PUT` to the control door. */
  door(path: string, body: unknown): Promise<void>;
  stop(): Promise<void>;
}

export interface Fault {
  /** A whole sentence: `Somebody has stopped the cluster`. */
  readonly what: string;
  /** The first finding about it: `azure/cluster cluster-stopped`. */
  readonly finding: string;
  /** What its evidence has to say. */
  readonly evidence?: RegExp;
  readonly break: (clouds: BrokenClouds) => Promise<unknown>;
  readonly mend: (clouds: BrokenClouds) => Promise<unknown>;
}

/** What is made here: everything but the cluster's inside, what needs that, and images, which nothing here pulls. */
const isOutside = ({ key }: StackResource): boolean =>
  !key.startsWith('kubernetes/') &&
  !['azure/images', 'azure/retired-storage-key', 'azure/event-subscriptions'].includes(key);

export async function startBrokenClouds(): Promise<BrokenClouds> {
  const azure = await startSimulatedAzure(400);
  // What is asked with `fetch` goes through the proxy, too, as it does where the app runs.
  const restoreProxy = http.setGlobalProxyFromEnv({
    HTTPS_PROXY: azure.cloud.endpoints.proxy,
    NO_PROXY: '127.0.0.1,localhost',
  });
  const resource = (key: ResourceKey): StackResource => {
    const found = stack.find((one) => one.key === key);
    if (!found) throw new Error(`there is no resource ${key}`);
    return found;
  };
  const clouds: BrokenClouds = {
    azure,
    scope: () => {
      const { spec, names, clients, now } = azure.scope();
      return { spec, names, clients, now, known: {} };
    },
    repair: async (...keys) => {
      azure.unsettle();
      const { clock } = azure.cloud.world;
      for (const key of keys) {
        // Time goes on while it is worked at.
        const scope: Scope = {
          ...azure.scope(),
          get now() {
            return new Date(clock.now());
          },
        };
        await azure.settle(scope, resource(key));
      }
    },
    door: async (path, body) => {
      const answer = await fetch(`${azure.cloud.endpoints.sandbox}${path}`, {
        method: path === '/announcements' ? 'POST' : 'PUT',
        body: JSON.stringify(body),
      });
      if (!answer.ok) throw new Error(await answer.text());
    },
    stop: async () => {
      restoreProxy();
      await azure.stop();
    },
  };
  for (const one of wantedResources(azure.scope()).filter(isOutside)) await azure.settle(azure.scope(), one);
  return clouds;
}

export interface Round {
  readonly findings: readonly CheckFinding[];
  /** By the checks' ids. */
  readonly unknown: ReadonlyMap<string, Failure>;
  /** Those that found something or could not look. */
  readonly noisy: readonly Check[];
}

/** All checks that the spec wants, in the order of the systems. */
export async function runChecks(checks: readonly Check[], scope: CheckScope): Promise<Round> {
  const wanted = systems.flatMap((system) =>
    checks.filter((check) => check.system === system && (check.isWanted?.(scope) ?? true)),
  );
  const unknown = new Map<string, Failure>();
  const findings: CheckFinding[] = [];
  const noisy: Check[] = [];
  for (const check of wanted) {
    try {
      const found = await check.run(scope);
      findings.push(...found);
      if (found.length > 0) noisy.push(check);
    } catch (error) {
      unknown.set(check.id, toFailure(error));
      noisy.push(check);
    }
  }
  return { findings, unknown, noisy };
}

export const named = ({ resource, id }: CheckFinding): string => `${resource} ${id}`;
