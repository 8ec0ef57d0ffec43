import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { at } from '../../../sandbox/cloud/kubernetes/object.ts';
import type { SiteLink } from '../../../sandbox/cloud/neighbours.ts';
import { call, kubectl } from './client.ts';
import { CLUSTER_ID, eventually, REGISTRY, type SmallWorld, startSmallWorld } from './small-world.ts';
import {
  apply,
  DATABASE_PASSWORD,
  databaseUrl,
  deployment,
  type Manifest,
  NAMESPACE,
  objectsOf,
  readyReplicas,
  startStack,
  webui,
} from './stack.ts';

let world: SmallWorld;

beforeAll(async () => {
  world = await startSmallWorld({ withDatabase: true, speed: 300 });
  await startStack(world);
});
afterAll(() => world.stop());

const SECRETS = `/api/v1/namespaces/${NAMESPACE}/secrets`;
const DEPLOYMENTS = `/apis/apps/v1/namespaces/${NAMESPACE}/deployments`;
const EXTERNAL_SECRETS = `/apis/external-secrets.io/v1/namespaces/${NAMESPACE}/externalsecrets`;

async function broken(): Promise<readonly SiteLink[]> {
  return (await world.kubernetes.links(CLUSTER_ID)).filter(({ ok }) => !ok);
}

/** Breaks something, sees which links name it, mends it. */
async function brokenBy(
  breakIt: () => Promise<void> | void,
  mendIt: () => Promise<void> | void,
): Promise<readonly SiteLink[]> {
  await breakIt();
  const links = await broken();
  await mendIt();
  world.world.touch();
  await eventually(broken, (left) => left.length === 0);
  return links;
}

const merge = (path: string, body: object) =>
  call(world, 'PATCH', path, { body, type: 'application/merge-patch+json' });

const forceSync = (name: string, at: string) =>
  merge(`${EXTERNAL_SECRETS}/${name}`, { metadata: { annotations: { 'force-sync': at } } });

async function secretValue(name: string, key: string): Promise<string> {
  const { body } = await call(world, 'GET', `${SECRETS}/${name}`);
  return Buffer.from(String(at(body, 'data', key) ?? ''), 'base64').toString();
}

async function serverQuery<T extends object>(sql: string, database?: string): Promise<T[]> {
  const client = await world.postgres?.connect(database);
  try {
    return ((await client?.query(sql))?.rows ?? []) as T[];
  } finally {
    await client?.end();
  }
}

describe('a stack that runs', () => {
  test('holds in every link', async () => {
    expect(await world.kubernetes.links(CLUSTER_ID)).toEqual(
      [
        'service',
        'pods',
        'images',
        'secrets',
        'identity',
        'role',
        'database',
        'share',
        'ollama',
        'login',
      ].map((name) => expect.objectContaining({ name, ok: true })),
    );
    expect(
      world.kubernetes.answer(CLUSTER_ID, 'http://open-webui.open-webui.svc.cluster.local:80'),
    ).toMatchObject({ ok: true, software: 'open-webui' });
  });

  test('has migrated a real database and holds one connection for each pod', async () => {
    const tables = await serverQuery<{ tablename: string }>(
      "SELECT tablename FROM pg_tables WHERE schemaname = 'public'",
      'openwebuidb',
    );
    expect(tables.map(({ tablename }) => tablename).sort()).toEqual([
      'alembic_version',
      'auth',
      'chat',
      'config',
      'document_chunk',
      'user',
    ]);
    const [row] = await eventually(
      () =>
        serverQuery<{ count: number }>(
          "SELECT count(*)::int AS count FROM pg_stat_activity WHERE usename = 'openwebuiadmin'",
        ),
      ([one]) => one?.count === 1,
    );
    expect(row).toEqual({ count: 1 });
  });

  test('prints ExternalSecrets and stores with their columns', async () => {
    const secrets = await kubectl(world, ['get', 'externalsecrets']);
    expect(secrets.out).toMatch(/^NAME\s+STORETYPE\s+STORE\s+REFRESH INTERVAL\s+STATUS\s+READY/);
    expect(secrets.out).toMatch(
      /open-webui-secrets\s+SecretStore\s+azure-key-vault\s+1h\s+SecretSynced\s+True/,
    );
    expect((await kubectl(world, ['get', 'secretstore'])).out).toMatch(
      /azure-key-vault\s+\S+\s+Valid\s+ReadWrite\s+True/,
    );
  });

  test('serves custom kinds in v1 only and validates them', async () => {
    expect((await call(world, 'GET', '/apis/external-secrets.io/v1beta1')).status).toBe(404);
    const wrong = await call(world, 'POST', EXTERNAL_SECRETS, {
      body: {
        metadata: { name: 'wrong' },
        spec: { target: { creationPolicy: 'Sometimes' }, data: [{ secretKey: 'a' }] },
      },
    });
    expect(wrong.status).toBe(422);
    expect(wrong.body['message']).toContain('spec.data[0].remoteRef: Required value');
    expect(wrong.body['message']).toContain('Unsupported value: "Sometimes"');
  });

  test('never writes a secret into a log', async () => {
    const { body } = await call(world, 'GET', `/api/v1/namespaces/${NAMESPACE}/pods`);
    const pods = body['items'] as { metadata: { name: string } }[];
    const logs = await Promise.all(
      pods.map(({ metadata }) =>
        call(world, 'GET', `/api/v1/namespaces/${NAMESPACE}/pods/${metadata.name}/log`),
      ),
    );
    const text = logs.map((log) => String(log.body['text'])).join('\n');
    expect(text).toContain('Uvicorn running');
    for (const value of world.state.secrets.values()) expect(text).not.toContain(value);
  });
});

describe('a broken link is named, and only that one', () => {
  test('the Service deleted', async () => {
    const service = objectsOf().find(
      ({ kind, metadata }) => kind === 'Service' && metadata.name === 'open-webui',
    );
    const links = await brokenBy(
      async () => void (await call(world, 'DELETE', `/api/v1/namespaces/${NAMESPACE}/services/open-webui`)),
      async () => void (service && (await apply(world, service))),
    );
    expect(links).toEqual([
      { name: 'service', ok: false, why: 'There is no Service open-webui in namespace open-webui.' },
    ]);
  });

  test('an image removed from the registry', async () => {
    const image = `${REGISTRY}/ollama:v1`;
    const links = await brokenBy(
      () => void world.state.images.delete(image),
      () => void world.state.images.set(image, 'ollama'),
    );
    expect(links.map(({ name }) => name)).toEqual(['images']);
    expect(links[0]?.why).toContain(image);
  });

  test('the identity taken off the scale set', async () => {
    const { cluster } = world.state;
    const links = await brokenBy(
      () => {
        world.state.cluster = {
          ...cluster,
          nodePools: cluster.nodePools.map((pool) => ({ ...pool, identityClientIds: [] })),
        };
      },
      () => {
        world.state.cluster = cluster;
      },
    );
    expect(links.map(({ name }) => name)).toEqual(['identity']);
    expect(links[0]?.why).toContain('Identity not found');
  });

  test('the role on the vault deleted', async () => {
    const links = await brokenBy(
      () => {
        world.state.mayReadVault = false;
      },
      () => {
        world.state.mayReadVault = true;
      },
    );
    expect(links.map(({ name }) => name)).toEqual(['role']);
  });

  test('a wrong connection string or password put into the vault', async () => {
    const put = (name: string, value: string) => () => void world.state.secrets.set(name, value);
    const url = await brokenBy(
      put('postgres-connection-string', databaseUrl('wrong')),
      put('postgres-connection-string', databaseUrl(DATABASE_PASSWORD)),
    );
    expect(url.map(({ name }) => name)).toEqual(['database']);
    expect(url[0]?.why).toContain('password authentication failed');
    expect(url[0]?.why).not.toContain('wrong');
    const password = await brokenBy(
      put('postgres-admin-password', 'wrong'),
      put('postgres-admin-password', DATABASE_PASSWORD),
    );
    expect(password.map(({ name }) => name)).toEqual(['database']);
  });

  test('the way to the share closed', async () => {
    const links = await brokenBy(
      () => {
        world.state.shareFault = 'mount error(115): Operation now in progress';
      },
      () => {
        world.state.shareFault = undefined;
      },
    );
    expect(links.map(({ name }) => name)).toEqual(['share']);
  });

  test('a redirect URI in the ConfigMap that Entra does not know', async () => {
    const path = `/api/v1/namespaces/${NAMESPACE}/configmaps/open-webui-config`;
    const uri = 'https://chat.yourdomain.com/oauth/microsoft/callback';
    const links = await brokenBy(
      async () =>
        void (await merge(path, { data: { MICROSOFT_REDIRECT_URI: 'https://elsewhere.example/callback' } })),
      async () => void (await merge(path, { data: { MICROSOFT_REDIRECT_URI: uri } })),
    );
    expect(links.map(({ name }) => name)).toEqual(['login']);
    expect(links[0]?.why).toContain('AADSTS50011');
  });

  test('Ollama scaled away', async () => {
    const links = await brokenBy(
      async () => {
        await merge(`${DEPLOYMENTS}/ollama`, { spec: { replicas: 0 } });
        await eventually(broken, (left) => left.length > 0);
      },
      async () => void (await merge(`${DEPLOYMENTS}/ollama`, { spec: { replicas: 1 } })),
    );
    expect(links.map(({ name }) => name)).toEqual(['ollama']);
  });

  test('a secret gone from the vault, before the next sync notices', async () => {
    const links = await brokenBy(
      () => void world.state.secrets.delete('webui-secret-key'),
      () => void world.state.secrets.set('webui-secret-key', 'c2VjcmV0'),
    );
    expect(links.map(({ name }) => name)).toEqual(['secrets']);
  });

  test('the way to the database closed, which pods notice by themselves after a while', async () => {
    world.state.databaseFault = 'connection to server timed out';
    expect((await broken()).map(({ name }) => name)).toEqual(['database']);
    world.world.touch();
    const later = await eventually(broken, (links) => links.some(({ name }) => name === 'pods'));
    expect(later.map(({ name }) => name)).toEqual(['pods', 'database']);
    world.state.databaseFault = undefined;
    world.world.touch();
    expect(await eventually(broken, (links) => links.length === 0)).toEqual([]);
  });
});

describe('secrets', () => {
  test('are synced at once when an annotation changes, and roll their users once', async () => {
    const revision = async () =>
      at(
        (await call(world, 'GET', `${DEPLOYMENTS}/open-webui`)).body,
        'metadata',
        'annotations',
        'deployment.kubernetes.io/revision',
      );
    const before = Number(await revision());
    await serverQuery("ALTER ROLE openwebuiadmin PASSWORD 'second-Password-2'");
    world.state.secrets.set('postgres-admin-password', 'second-Password-2');
    world.state.secrets.set('postgres-connection-string', databaseUrl('second-Password-2'));
    await forceSync('open-webui-secrets', '1');
    await eventually(
      () => secretValue('open-webui-secrets', 'DATABASE_URL'),
      (value) => value === databaseUrl('second-Password-2'),
    );
    await eventually(
      async () => Number(await revision()),
      (now) => now === before + 1,
    );
    await eventually(broken, (left) => left.length === 0);
    await forceSync('open-webui-secrets', '2');
    const synced = await eventually(
      async () => (await call(world, 'GET', `${EXTERNAL_SECRETS}/open-webui-secrets`)).body,
      (body) =>
        at(body, 'metadata', 'annotations', 'force-sync') === '2' &&
        String(at(body, 'status', 'syncedResourceVersion')).length > 10,
    );
    expect(synced['status']).toMatchObject({
      conditions: [{ type: 'Ready', status: 'True', reason: 'SecretSynced' }],
    });
    expect(Number(await revision())).toBe(before + 1);
  });

  test('come all or none, and the failure is told', async () => {
    const before = await secretValue('open-webui-secrets', 'WEBUI_SECRET_KEY');
    world.state.secrets.delete('openwebui-client-secret');
    world.state.secrets.set('webui-secret-key', 'Y2hhbmdlZA==');
    await forceSync('open-webui-secrets', '3');
    const failed = await eventually(
      async () => (await call(world, 'GET', `${EXTERNAL_SECRETS}/open-webui-secrets`)).body,
      (body) => JSON.stringify(body['status']).includes('SecretSyncedError'),
    );
    expect(JSON.stringify(failed['status'])).toContain(
      'error processing spec.data[1] (key: openwebui-client-secret), err: Secret does not exist',
    );
    expect(await secretValue('open-webui-secrets', 'WEBUI_SECRET_KEY')).toBe(before);
    world.state.secrets.set('openwebui-client-secret', 'client-secret');
    world.state.secrets.set('webui-secret-key', before);
    await eventually(broken, (left) => left.length === 0);
  });

  const external = (name: string, target: object = {}, version?: string): Manifest => ({
    apiVersion: 'external-secrets.io/v1',
    kind: 'ExternalSecret',
    metadata: { name },
    spec: {
      secretStoreRef: { kind: 'SecretStore', name: 'azure-key-vault' },
      target: { name, ...target },
      data: [{ secretKey: 'WORD', remoteRef: { key: name, ...(version === undefined ? {} : { version }) } }],
    },
  });
  const holds = (name: string, wanted: string): Promise<string> =>
    eventually(
      () => secretValue(name, 'WORD'),
      (value) => value === wanted,
    );

  test('come in the version they are pinned to, and stay when that is gone', async () => {
    world.state.secrets.set('pinned', 'current');
    world.state.secrets.set('pinned/v1', 'first');
    await apply(world, external('pinned', {}, 'v1'));
    await holds('pinned', 'first');
    await apply(world, external('pinned', {}, 'v2'));
    await eventually(
      async () => JSON.stringify((await call(world, 'GET', `${EXTERNAL_SECRETS}/pinned`)).body['status']),
      (status) => status.includes('Secret does not exist'),
    );
    expect(await secretValue('pinned', 'WORD')).toBe('first');
    // Nobody uses it, so the site does not suffer.
    expect(await broken()).toEqual([]);
  });

  test('carry what their template says, and only while it does', async () => {
    world.state.secrets.set('marked', 'word');
    const annotationsOf = async (): Promise<unknown> =>
      at((await call(world, 'GET', `${SECRETS}/marked`)).body, 'metadata', 'annotations');
    const template = { metadata: { annotations: { note: 'yes' } } };
    await apply(world, external('marked', { template }));
    await eventually(annotationsOf, (found) => at(found, 'note') === 'yes');
    await apply(world, external('marked', { template: { metadata: { annotations: { other: 'yes' } } } }));
    const found = await eventually(annotationsOf, (now) => at(now, 'other') === 'yes');
    expect(at(found, 'note')).toBeUndefined();
    expect(await secretValue('marked', 'WORD')).toBe('word');
  });

  test('that Reloader is told to ignore roll nobody', async () => {
    const template = { metadata: { annotations: { 'reloader.stakater.com/ignore': 'true' } } };
    for (const name of ['quiet', 'loud']) world.state.secrets.set(name, 'first');
    await apply(world, external('quiet', { template }));
    await apply(world, external('loud'));
    for (const name of ['quiet', 'loud']) await holds(name, 'first');
    const env = ['quiet', 'loud'].map((name) => ({
      name: name.toUpperCase(),
      valueFrom: { secretKeyRef: { name, key: 'WORD' } },
    }));
    const container = { image: `${REGISTRY}/netshoot:v1`, command: ['sleep', 'infinity'], env };
    await apply(world, deployment('listener', container, { auto: true }));
    await eventually(
      () => readyReplicas(world, 'listener'),
      (count) => count === 1,
    );
    for (const name of ['quiet', 'loud']) {
      world.state.secrets.set(name, 'second');
      await forceSync(name, '1');
      await holds(name, 'second');
    }
    const revision = await eventually(
      async () =>
        at(
          (await call(world, 'GET', `${DEPLOYMENTS}/listener`)).body,
          'metadata',
          'annotations',
          'deployment.kubernetes.io/revision',
        ),
      (now) => now !== '1',
    );
    expect(revision).toBe('2');
    await call(world, 'DELETE', `${DEPLOYMENTS}/listener`);
  });

  test('that somebody deletes come back', async () => {
    await call(world, 'DELETE', `${SECRETS}/cloudflared-token`);
    expect(
      await eventually(
        () => secretValue('cloudflared-token', 'TUNNEL_TOKEN'),
        (value) => value !== '',
      ),
    ).toBe('tunnel-token-1');
  });

  test('cannot be written while the webhook has no pod', async () => {
    const hook = '/apis/apps/v1/namespaces/external-secrets/deployments/external-secrets-webhook';
    await merge(hook, { spec: { replicas: 0 } });
    await eventually(
      async () => at((await call(world, 'GET', hook)).body, 'status', 'replicas'),
      (count) => count === 0,
    );
    const refused = await forceSync('open-webui-secrets', '4');
    expect(refused).toMatchObject({ status: 500, body: { reason: 'InternalError' } });
    expect(refused.body['message']).toContain(
      'no endpoints available for service "external-secrets-webhook"',
    );
    await merge(hook, { spec: { replicas: 1 } });
    await eventually(
      async () => at((await call(world, 'GET', hook)).body, 'status', 'readyReplicas'),
      (count) => count === 1,
    );
  });
});

describe('the tunnel', () => {
  test('falls when its token changes and rises with the new one', async () => {
    expect(world.state.connectors.size).toBeGreaterThan(0);
    world.state.tunnelToken = 'tunnel-token-2';
    world.world.touch();
    await eventually(
      () => readyReplicas(world, 'cloudflared'),
      (count) => count === 0,
    );
    world.state.secrets.set('cf-tunnel-token', 'tunnel-token-2');
    await forceSync('cloudflared-token', '1');
    expect(
      await eventually(
        () => readyReplicas(world, 'cloudflared'),
        (count) => count === 1,
      ),
    ).toBe(1);
  });
});

describe('Open WebUI', () => {
  test('goes on after the sandbox was killed and started again', async () => {
    const pods = async () => {
      const { body } = await call(world, 'GET', `/api/v1/namespaces/${NAMESPACE}/pods`);
      return (body['items'] as { metadata: { uid: string; deletionTimestamp?: string } }[]).map((pod) => ({
        ...pod.metadata,
        restarts: (at(pod, 'status', 'containerStatuses') as { restartCount: number }[]).map(
          ({ restartCount }) => restartCount,
        ),
      }));
    };
    const before = await eventually(pods, (all) =>
      all.every(({ deletionTimestamp }) => deletionTimestamp === undefined),
    );
    await world.restart();
    world.world.touch();
    await eventually(broken, (left) => left.length === 0);
    const view = (all: typeof before) => all.map(({ uid, restarts }) => ({ uid, restarts }));
    expect(view(await pods())).toEqual(view(before));
  });

  test('scales to three on a migrated database', async () => {
    await apply(world, webui(3));
    expect(
      await eventually(
        () => readyReplicas(world, 'open-webui'),
        (count) => count === 3,
      ),
    ).toBe(3);
    const [row] = await eventually(
      () =>
        serverQuery<{ count: number }>(
          "SELECT count(*)::int AS count FROM pg_stat_activity WHERE usename = 'openwebuiadmin'",
        ),
      ([one]) => one?.count === 3,
    );
    expect(row).toEqual({ count: 3 });
  });

  test('falls over when two processes find the database empty', async () => {
    await merge(`${DEPLOYMENTS}/open-webui`, { spec: { replicas: 0 } });
    await eventually(
      () => world.state.openConnections.size,
      (count) => count === 0,
    );
    await serverQuery('DROP SCHEMA public CASCADE', 'openwebuidb');
    await serverQuery('CREATE SCHEMA public AUTHORIZATION openwebuiadmin', 'openwebuidb');
    await merge(`${DEPLOYMENTS}/open-webui`, { spec: { replicas: 2 } });
    const logs = await eventually(
      async () => {
        const { body } = await call(
          world,
          'GET',
          `/api/v1/namespaces/${NAMESPACE}/pods?labelSelector=app=open-webui`,
        );
        const pods = body['items'] as { metadata: { name: string } }[];
        const all = await Promise.all(
          pods.map(({ metadata }) =>
            call(world, 'GET', `/api/v1/namespaces/${NAMESPACE}/pods/${metadata.name}/log?previous=true`),
          ),
        );
        return all.map(({ body: log }) => String(log['text'] ?? '')).join('\n');
      },
      (text) => text.includes('UniqueViolation'),
    );
    expect(logs).toContain('pg_type_typname_nsp_index');
    expect(
      await eventually(
        () => readyReplicas(world, 'open-webui'),
        (count) => count === 2,
      ),
    ).toBe(2);
  });

  test('crashes when the vector extension is not allowed', async () => {
    world.state.allowedExtensions = [];
    await call(world, 'PATCH', `${DEPLOYMENTS}/open-webui`, {
      body: { spec: { replicas: 1, template: { metadata: { annotations: { again: '1' } } } } },
      type: 'application/merge-patch+json',
    });
    const pod = await eventually(
      async () => {
        const { body } = await call(
          world,
          'GET',
          `/api/v1/namespaces/${NAMESPACE}/pods?labelSelector=app=open-webui`,
        );
        return (body['items'] as { metadata: { name: string } }[]).find((one) =>
          JSON.stringify(one).includes('CrashLoopBackOff'),
        );
      },
      (found) => found !== undefined,
    );
    const { body } = await call(
      world,
      'GET',
      `/api/v1/namespaces/${NAMESPACE}/pods/${pod?.metadata.name}/log?previous=true`,
    );
    expect(body['text']).toContain('extension "vector" is not allow-listed');
    world.state.allowedExtensions = ['VECTOR'];
    expect(
      await eventually(
        () => readyReplicas(world, 'open-webui'),
        (count) => count >= 1,
      ),
    ).toBeGreaterThan(0);
  });
});
