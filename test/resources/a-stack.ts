/**
 * Resources against the simulated clouds, moved as the engine moves them: observe, push when that is called for, observe
 * again; every write of the control plane on the wire is counted.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { CLOUDFLARE_TOKEN_SECRET } from '../../sandbox/cloud/bootstrap.ts';
import type { World } from '../../sandbox/cloud/world.ts';
import type { Clients } from '../../src/clients/clients.ts';
import { toFailure } from '../../src/clients/cloud-failure.ts';
import { createClients } from '../../src/clients/create-clients.ts';
import { createCredential } from '../../src/clients/credential.ts';
import { createSharedLimits } from '../../src/clients/shared-limits.ts';
import { readConfig } from '../../src/config.ts';
import type {
  Dependencies,
  DependencyOutputs,
  Observed,
  Outputs,
  Resource,
} from '../../src/graph/resource.ts';
import { namesOf } from '../../src/naming.ts';
import type { Scope } from '../../src/resources/scope.ts';
import type { DeploymentSpecInput } from '../../src/spec/spec.ts';
import { deploymentSpecSchema } from '../../src/spec/spec.ts';
import type { TestCloud } from '../cloud/start-cloud.ts';
import { surroundings } from './surroundings.ts';

/** The control plane's own clients, made from the environment that a sandbox gives it. */
export function clientsOf(environment: Readonly<Record<string, string>>, world: World): Clients {
  const { controlPlane, subscriptionId } = world.settings;
  const config = readConfig({
    ...environment,
    AzureWebJobsStorage: 'UseDevelopmentStorage=true',
    CLOUDFLARE_TOKEN_SECRET: `https://${controlPlane.vaultName}.vault.azure.net/secrets/${CLOUDFLARE_TOKEN_SECRET}`,
  });
  // A file's tests make more calls in a few seconds than the clouds grant; what they are about is something else.
  const limits = createSharedLimits(() => performance.now() * 1000);
  return createClients(config, createCredential(config), subscriptionId, limits);
}

export function scopeOf(
  clients: Clients,
  world: World,
  change: Partial<DeploymentSpecInput> = {},
  deployment = 'chat',
): Scope {
  const { subscriptionId, tenantId, cloudflare } = world.settings;
  const { accountId, zoneId, zoneName } = cloudflare;
  const spec = deploymentSpecSchema.parse({
    subscriptionId,
    tenantId,
    registry: { name: 'acrchat' },
    tunnel: { accountId, zoneId, hostName: `${deployment}.${zoneName}` },
    ...change,
  });
  return {
    spec,
    names: namesOf(deployment, spec),
    clients,
    now: new Date(world.clock.now()),
    ...surroundings(),
  };
}

/** Puts a vault into the world, with what the control plane may do there. */
export function allowVault({ azure, cloud }: TestCloud, host: string): void {
  const { tenantId, controlPlane } = cloud.world.settings;
  const id = `/vaults/${host}`;
  azure.vaults.set(host, { id, tenantId, publicNetworkAccess: 'Enabled', enableRbacAuthorization: true });
  const actions = ['getSecret', 'setSecret', 'update', 'readMetadata', 'delete', 'recover'];
  azure.allow(
    controlPlane.principalId,
    id,
    ...actions.map((action) => `Microsoft.KeyVault/vaults/secrets/${action}/action`),
  );
}

/** What the control plane wrote since `since`, `METHOD path`; asking for tokens and sync are not writes of resources. */
export function writesSince(world: World, since: number): readonly string[] {
  return world.calls
    .since(since)
    .calls.filter(({ method, service }) => method !== 'GET' && service !== 'identity' && service !== 'entra')
    .map(({ method, path }) => `${method} ${path.split('?')[0]}`);
}

export const position = (world: World): number => world.calls.since(Number.MAX_SAFE_INTEGER).next;

/** One turn of the engine: what it sees at the end. Failures that looking again may mend count as "changing". */
export async function turn<Deps extends Dependencies, Out extends Outputs>(
  resource: Resource<Scope, Deps, Out>,
  scope: Scope,
  deps: DependencyOutputs<Deps>,
): Promise<Observed<Out>> {
  try {
    const seen = await resource.observe(scope, deps);
    if (seen.state !== 'absent' && seen.state !== 'drifted' && seen.state !== 'failed') return seen;
    await resource.ensure(scope, deps, seen);
    return await resource.observe(scope, deps);
  } catch (error) {
    const failure = toFailure(error);
    if (failure.kind === 'fatal') throw error;
    return { state: 'changing', reason: failure.message };
  }
}

/** Turns until it is ready, letting virtual time pass in between. Throws what was seen last when it takes too many. */
export async function untilReady<Deps extends Dependencies, Out extends Outputs>(
  resource: Resource<Scope, Deps, Out>,
  scope: () => Scope,
  deps: DependencyOutputs<Deps>,
  pass: (milliseconds: number) => void,
  turns = 200,
): Promise<Out> {
  let seen: Observed<Out> = { state: 'absent' };
  for (let count = 0; count < turns; count += 1) {
    seen = await turn(resource, scope(), deps);
    if (seen.state === 'ready') return seen.outputs;
    if (seen.state === 'foreign') break;
    pass(15_000);
    // Lets what time has set going happen before the next look.
    await sleep(1);
  }
  throw new Error(`${resource.key} did not become ready: ${JSON.stringify(seen)}`);
}
