/** A whole deployment in use: what its users notice of what is done to it, and what can be tried by one command. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { settings } from '../../sandbox/cloud/bootstrap.ts';
import { kubectl } from '../kubectl.ts';
import { root, type Sample, sampleSpec, startSample } from './sample.ts';
import { startUsers, type UserCounts, type UserLoad, type Users } from './users.ts';

const run = promisify(execFile);
const host = 'open-webui.yourdomain.com';
const people = 3;
const group = `/subscriptions/${settings.subscriptionId}/resourceGroups/rg-openwebui`;

describe('a deployment in use', () => {
  let sample: Sample;
  let users: Users | undefined;

  beforeAll(async () => {
    sample = await startSample({ speed: 60 });
    const operation = await sample.ask(sampleSpec.replace('models: []', 'models: ["smollm2:135m"]'));
    expect(operation.failure).toBeUndefined();
  }, 180_000);
  afterEach(async () => {
    await users?.stop();
    users = undefined;
  });
  afterAll(async () => {
    await sample?.stop();
  });

  const kube = async (...args: string[]): Promise<string> =>
    (await run(kubectl(), ['--kubeconfig', sample.sandbox.endpoints.kubeconfig, '-n', 'open-webui', ...args]))
      .stdout;
  const tried = async (...args: string[]): Promise<{ code: number; out: string; err: string }> => {
    const file = join(root, 'sandbox', 'try.ts');
    const all = [file, ...args, '--directory', sample.sandbox.directory];
    try {
      const { stdout, stderr } = await run(process.execPath, all);
      return { code: 0, out: stdout, err: stderr };
    } catch (error) {
      const { code, stdout, stderr } = error as { code: number; stdout: string; stderr: string };
      return { code, out: stdout, err: stderr };
    }
  };
  const use = (load: Pick<UserLoad, 'chatsPerSession'> = {}): Users => {
    users = startUsers(sample.sandbox.endpoints, { host, concurrency: people, perSecond: 60, ...load });
    return users;
  };
  const until = (reached: (counts: UserCounts) => boolean): Promise<void> =>
    expect.poll(() => users !== undefined && reached(users.counts), { timeout: 60_000 }).toBe(true);

  test('serves everybody while its pods are replaced', async () => {
    use();
    await until(({ chats }) => chats > 10);
    await kube('rollout', 'restart', 'deployment/open-webui');
    await kube('rollout', 'status', 'deployment/open-webui', '--timeout=60s');
    const before = users?.counts.chats ?? 0;
    await until(({ chats }) => chats > before + 10);
    expect(await users?.stop()).toMatchObject({
      failures: [],
      failedLogins: 0,
      failedChats: 0,
      signedOut: 0,
    });
  }, 120_000);

  test('signs everybody out, and in again, when the web UI key is rotated', async () => {
    // Who signs in anew by chance while the key changes is never signed out: these stay in their session.
    use({ chatsPerSession: Number.POSITIVE_INFINITY });
    await until(({ logins, chats }) => logins >= people && chats > 10);
    const { out, code } = await tried('rotate-secret');
    expect(code).toBe(0);
    expect(out).toMatch(/^webui-secret-key in kv-openwebui has the new version [0-9a-f]{32}\.\n/);
    expect(out).toContain('everybody has to sign in again');
    await kube('annotate', 'externalsecret/open-webui-secrets', `force-sync=${Date.now()}`, '--overwrite');
    await until(({ signedOut }) => signedOut >= people);
    // From before the rotation: some are back in by the time that the last one is out, and then stay.
    await until(({ logins }) => logins >= 2 * people);
    const before = users?.counts.chats ?? 0;
    await until(({ chats }) => chats > before + 10);
    expect(await users?.stop()).toMatchObject({ failures: [], failedLogins: 0, failedChats: 0 });
  }, 120_000);

  test('keeps what is said in its vault about a secret that is rotated by hand', async () => {
    const answer = await sample.clouds.vault(
      'kv-openwebui',
      '/secrets/webui-secret-key/versions?api-version=7.5',
    );
    const { value } = answer.body as { value: { tags?: object; contentType?: string }[] };
    expect(value.length).toBeGreaterThan(1);
    expect(new Set(value.map(({ contentType }) => contentType))).toEqual(new Set(['text/plain']));
    for (const { tags } of value) expect(tags).toMatchObject({ deployment: 'open-webui' });
  });

  test('fails its users’ chats, and nothing else, while there is no Ollama', async () => {
    use();
    await until(({ chats }) => chats > 3);
    await kube('scale', 'deployment', 'ollama', '--replicas=0');
    await until(({ failedChats }) => failedChats > 3);
    await kube('scale', 'deployment', 'ollama', '--replicas=1');
    await kube('rollout', 'status', 'deployment/ollama', '--timeout=60s');
    const before = users?.counts.chats ?? 0;
    await until(({ chats }) => chats > before + 3);
    const counts = await users?.stop();
    expect(counts).toMatchObject({ failedLogins: 0, signedOut: 0 });
    expect(counts?.failures.map(({ kind, first }) => `${kind}: ${first}`)).toEqual([
      'chat: answer 400: 500: Open WebUI: Server Connection Error',
    ]);
  }, 120_000);

  test('fails its users when its host name has gone, who go on trying', async () => {
    use();
    await until(({ chats }) => chats > 3);
    const configuration = `/accounts/${settings.cloudflare.accountId}/cfd_tunnel`;
    const secret = await sample.clouds.vault(
      'kv-openwebui-ctl',
      '/secrets/cloudflare-api-token?api-version=7.5',
    );
    const headers = { authorization: `Bearer ${(secret.body as { value: string }).value}` };
    const cloudflare = async (method: string, path: string, body?: unknown): Promise<unknown> => {
      const url = `https://api.cloudflare.com/client/v4${path}`;
      const answer = await sample.clouds.send(url, {
        method,
        headers,
        ...(body === undefined ? {} : { body }),
      });
      expect(answer.status).toBe(200);
      return (answer.body as { result: unknown }).result;
    };
    const [tunnel] = (await cloudflare('GET', `${configuration}?is_deleted=false`)) as { id: string }[];
    const path = `${configuration}/${tunnel?.id}/configurations`;
    const { config } = (await cloudflare('GET', path)) as { config: unknown };
    await cloudflare('PUT', path, { config: { ingress: [{ service: 'http_status:404' }] } });
    await until(({ failedLogins, failedChats }) => failedLogins > 2 && failedChats > 0);
    await cloudflare('PUT', path, { config });
    const before = users?.counts.chats ?? 0;
    await until(({ chats }) => chats > before + 3);
    const kinds = (await users?.stop())?.failures.map(({ kind }) => kind);
    expect(kinds).toContain('login: start 404');
  }, 120_000);

  test('gets the next version in the range it follows, good or bad, by one command', async () => {
    const digests: string[] = [];
    for (const options of [[], ['--bad']]) {
      const { out, code } = await tried('push-image', ...options);
      expect(code).toBe(0);
      const [, digest = ''] =
        /^yourorg\.azurecr\.io\/open-webui:v0\.6\.(?:37|38) is now (sha256:[0-9a-f]{64})\.$/m.exec(out) ?? [];
      digests.push(digest);
      expect(out).toContain(options.length > 0 ? 'never tried again' : 'deployed by its digest');
    }
    expect(new Set(digests).size).toBe(2);
    const other = await tried('push-image', '--tag', 'v9.9.9');
    expect(other.out).toContain('open-webui:v9.9.9 is now sha256:');
  }, 60_000);

  test('gets another node pool by one command', async () => {
    const { out, code } = await tried('add-node-pool');
    expect(code).toBe(0);
    expect(out).toContain('The node pool extra1 is being added to aks-openwebui.');
    const cluster = `${group}/providers/Microsoft.ContainerService/managedClusters/aks-openwebui`;
    const pool = await sample.clouds.arm(`${cluster}/agentPools/extra1?api-version=2025-05-01`);
    expect(pool.body).toMatchObject({ properties: { count: 1, mode: 'User', vmSize: 'Standard_D4s_v5' } });
  }, 60_000);

  test.each([
    { args: [], code: 1, err: /^npm run try -- WHAT/ },
    { args: ['rotate-everything'], code: 1, err: /^npm run try -- WHAT/ },
    { args: ['rotate-secret', 'add-node-pool'], code: 1, err: /^npm run try -- WHAT/ },
    { args: ['rotate-secret', '--bad'], code: 1, err: /^npm run try -- WHAT/ },
    { args: ['constructor'], code: 1, err: /^npm run try -- WHAT/ },
    { args: ['rotate-secret', '--loud'], code: 1, err: /^Unknown option '--loud'/ },
    {
      args: ['rotate-secret', '--name', 'nobody'],
      code: 1,
      err: /^there is no Microsoft\.KeyVault\/vaults with the tag deployment=nobody$/m,
    },
  ])('does nothing when asked for $args', async ({ args, code, err }) => {
    const answer = await tried(...args);
    expect(answer.code).toBe(code);
    expect(answer.err).toMatch(err);
    expect(answer.out).toBe('');
  });

  // The last: between the two nothing works.
  test.each([
    { what: 'stop-database', said: 'stopped', state: 'Stopped' },
    { what: 'start-database', said: 'started', state: 'Ready' },
  ])(
    'has its database $said by one command',
    async ({ what, said, state }) => {
      const { out, code } = await tried(what);
      expect(code).toBe(0);
      expect(out).toContain(`The PostgreSQL server psql-openwebui is being ${said}.`);
      expect(out).toMatch(/\/api\/deployments\/open-webui\/health\.$/m);
      const server = `${group}/providers/Microsoft.DBforPostgreSQL/flexibleServers/psql-openwebui`;
      await expect
        .poll(async () => (await sample.clouds.arm(`${server}?api-version=2024-08-01`)).body, {
          timeout: 60_000,
        })
        .toMatchObject({ properties: { state } });
    },
    90_000,
  );
});
