/** Secrets on their way into a cluster where External Secrets, Reloader, PostgreSQL and the programs really run. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Clients } from '../../../src/clients/clients.ts';
import { toFailure } from '../../../src/clients/cloud-failure.ts';
import type { KubernetesApi } from '../../../src/clients/kubernetes-api.ts';
import { kubernetesApi } from '../../../src/clients/kubernetes-client.ts';
import type { Dependencies, DependencyOutputs, Outputs, Resource } from '../../../src/graph/resource.ts';
import { cloudflared } from '../../../src/resources/kubernetes/cloudflared.ts';
import { databaseLogin } from '../../../src/resources/kubernetes/database-login.ts';
import { externalSecrets } from '../../../src/resources/kubernetes/external-secrets.ts';
import { openWebui } from '../../../src/resources/kubernetes/open-webui.ts';
import type { Scope, SecretReference } from '../../../src/resources/scope.ts';
import {
  eventually,
  FQDN,
  REGISTRY,
  type SmallWorld,
  startSmallWorld,
} from '../../cloud/kubernetes/small-world.ts';
import {
  apply,
  DATABASE_PASSWORD,
  databaseUrl,
  installOperators,
  objectsOf,
  prepareOutside,
} from '../../cloud/kubernetes/stack.ts';
import { specOf } from '../spec.ts';
import { surroundings } from '../surroundings.ts';
import { AVault } from './a-vault.ts';
import { known } from './known-outputs.ts';

type AnyResource = Resource<Scope, Dependencies, Outputs>;
const chain: readonly (readonly [string, AnyResource])[] = [
  ['databaseLogin', databaseLogin as unknown as AnyResource],
  ['externalSecrets', externalSecrets as unknown as AnyResource],
  ['openWebui', openWebui as unknown as AnyResource],
  ['cloudflared', cloudflared as unknown as AnyResource],
];

let world: SmallWorld;
let api: KubernetesApi;
const vault = new AVault();
const newest: Record<string, SecretReference> = {};

/** A new version in the vault, for the operator as for the control plane. */
function put(name: string, value: string): void {
  newest[name] = vault.put(name, value, new Date(world.world.clock.now()));
  world.state.secrets.set(name, value);
  world.state.secrets.set(`${name}/${newest[name].version}`, value);
}
const scope = (): Scope => ({
  ...specOf({ webui: { replicas: 2 } }),
  clients: {
    ...vault.clients,
    kubernetes: async () => api,
    site: async () => ({ isServed: true, said: 'HTTP 200' }),
  } as Partial<Clients> as Clients,
  now: new Date(world.world.clock.now()),
  ...surroundings(),
});

/** One turn of the engine for each resource in its order, until one of them is not ready. */
async function turn(): Promise<string | undefined> {
  const secret = (name: string) => ({ secret: newest[name] });
  const deps: Record<string, unknown> = {
    ...known,
    images: {
      ...known.images,
      openWebui: `${REGISTRY}/open-webui:v1`,
      cloudflared: `${REGISTRY}/cloudflared:v1`,
    },
    webuiSecretKey: secret('webui-secret-key'),
    clientSecret: secret('openwebui-client-secret'),
    tunnelToken: secret('cf-tunnel-token'),
    postgresPassword: secret('postgres-admin-password'),
    postgresConnectionString: secret('postgres-connection-string'),
    storageCredentials: {
      accountName: newest['storage-account-name'],
      accountKey: newest['storage-account-key'],
    },
  };
  for (const [name, resource] of chain) {
    const given = deps as unknown as DependencyOutputs<Dependencies>;
    const seen = await resource.observe(scope(), given);
    if (['absent', 'drifted', 'failed'].includes(seen.state)) {
      try {
        await resource.ensure(scope(), given, seen);
      } catch (error) {
        return `${name}: ${toFailure(error).message}`;
      }
    }
    if (seen.state !== 'ready') return `${name} is ${seen.state}`;
    deps[name] = seen.outputs;
  }
  return undefined;
}
const until = (holds: (waits: string | undefined) => boolean): Promise<string | undefined> =>
  eventually(turn, holds, 90);

const find = (apiVersion: string, kind: string, name: string) =>
  api.find({ apiVersion, kind, name, namespace: 'open-webui' });
async function revisions(): Promise<readonly number[]> {
  const found = await Promise.all(
    ['open-webui', 'cloudflared'].map((name) => find('apps/v1', 'Deployment', name)),
  );
  return found.map((deployment) =>
    Number(deployment?.metadata.annotations?.['deployment.kubernetes.io/revision']),
  );
}
const proofs = async (): Promise<unknown[]> => [
  await find('v1', 'Pod', 'open-webui-database-login'),
  await find('v1', 'Secret', 'open-webui-database-login'),
  await find('external-secrets.io/v1', 'ExternalSecret', 'open-webui-database-login'),
];

beforeAll(async () => {
  world = await startSmallWorld({ withDatabase: true, speed: 100 });
  await prepareOutside(world);
  for (const [name, value] of [...world.state.secrets]) put(name, value);
  await installOperators(world);
  const ours = ['ExternalSecret open-webui', 'Deployment open-webui', 'Deployment cloudflared'];
  for (const object of objectsOf()) {
    const isOurs =
      object.kind === 'ExternalSecret' || ours.includes(`${object.kind} ${object.metadata.name}`);
    if (!isOurs) await apply(world, object);
  }
  const certificateAuthority = Buffer.from(world.certificateAuthority).toString('base64');
  api = await kubernetesApi(
    { server: `https://${FQDN}`, certificateAuthority, user: { kind: 'token', token: 'operator' } },
    async () => '',
    world.proxy.url,
  );
}, 120_000);
afterAll(() => world.stop());

test('the first set comes over without a proof, as nobody could be harmed', async () => {
  await until((waits) => waits === undefined);
  expect(await proofs()).toEqual([undefined, undefined, undefined]);
}, 120_000);

test('five secrets of one moment are one rollout for each of their users, with Reloader in the cluster', async () => {
  const before = await revisions();
  const server = await world.postgres?.connect();
  await server?.query("ALTER ROLE openwebuiadmin PASSWORD 'second-Password-2'");
  await server?.end();
  world.state.tunnelToken = 'tunnel-token-2';
  put('webui-secret-key', 'another-key');
  put('openwebui-client-secret', 'another-client-secret');
  put('postgres-admin-password', 'second-Password-2');
  put('postgres-connection-string', databaseUrl('second-Password-2'));
  put('cf-tunnel-token', 'tunnel-token-2');
  await until((waits) => waits === undefined);
  expect(await revisions()).toEqual(before.map((count) => count + 1));
  await eventually(proofs, (left) => left.every((object) => object === undefined));
}, 120_000);

test('a connection string that does not log in reaches nobody', async () => {
  const before = await revisions();
  const secret = await find('v1', 'Secret', 'open-webui-secrets');
  put('postgres-connection-string', databaseUrl(DATABASE_PASSWORD));
  put('openwebui-client-secret', 'a-third-client-secret');
  const said = await until((waits) => waits?.includes('does not log in') === true);
  expect(said).toContain('(password authentication failed)');
  expect(said).not.toContain(DATABASE_PASSWORD);
  expect(await revisions()).toEqual(before);
  expect(await find('v1', 'Secret', 'open-webui-secrets')).toEqual(secret);

  put('postgres-connection-string', databaseUrl('second-Password-2'));
  await until((waits) => waits === undefined);
  const [webui = 0, tunnel] = before;
  expect(await revisions()).toEqual([webui + 1, tunnel]);
  await eventually(proofs, (left) => left.every((object) => object === undefined));
}, 120_000);

test('five secrets of one moment are one rollout without Reloader, too', async () => {
  const [reloader] = await api.list(
    { apiVersion: 'apps/v1', kind: 'Deployment' },
    { fields: 'metadata.name=reloader-reloader' },
  );
  const { name = '', namespace = '' } = reloader?.metadata ?? {};
  const pods = () =>
    api.list({ apiVersion: 'v1', kind: 'Pod', namespace }, { labels: 'app=reloader-reloader' });
  expect(await pods()).toHaveLength(1);
  await api.remove({ apiVersion: 'apps/v1', kind: 'Deployment', name, namespace });
  await eventually(pods, (left) => left.length === 0);

  const before = await revisions();
  world.state.tunnelToken = 'tunnel-token-3';
  put('webui-secret-key', 'a-third-key');
  put('openwebui-client-secret', 'a-fourth-client-secret');
  put('postgres-admin-password', 'second-Password-2');
  put('postgres-connection-string', databaseUrl('second-Password-2'));
  put('cf-tunnel-token', 'tunnel-token-3');
  await until((waits) => waits === undefined);
  expect(await revisions()).toEqual(before.map((count) => count + 1));
}, 120_000);
