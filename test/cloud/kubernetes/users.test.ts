/** Open WebUI's users, as the pod that answers them serves them: with its own key, its own secrets, its own connection. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { at } from '../../../sandbox/cloud/kubernetes/object.ts';
import { isMixed } from '../../../sandbox/cloud/kubernetes/secret-sets.ts';
import type { VaultVersion } from '../../../sandbox/cloud/neighbours.ts';
import { call } from './client.ts';
import { CLUSTER_ID, eventually, type SmallWorld, startSmallWorld } from './small-world.ts';
import {
  apply,
  DATABASE_PASSWORD,
  databaseUrl,
  NAMESPACE,
  readyReplicas,
  service,
  startStack,
  webui,
} from './stack.ts';

const SITE = 'http://open-webui.open-webui.svc.cluster.local:80';
const HOST = 'https://chat.yourdomain.com';
const MODEL = 'smollm2:135m';
const DEPLOYMENT = `/apis/apps/v1/namespaces/${NAMESPACE}/deployments/open-webui`;
let world: SmallWorld;

beforeAll(async () => {
  world = await startSmallWorld({ withDatabase: true, speed: 300 });
  await startStack(world);
  const pulled = await world.kubernetes.request(
    CLUSTER_ID,
    'http://ollama.open-webui.svc.cluster.local:11434',
    new Request('http://ollama/', {
      method: 'POST',
      body: JSON.stringify({ model: 'smollm2:135m', stream: false }),
    }),
    { pod: 'somebody', path: '/api/pull' },
  );
  expect(pulled.ok && (await pulled.response.json())).toEqual({ status: 'success' });
});
afterAll(() => world.stop());

interface Said {
  readonly status: number;
  readonly pod: string;
  readonly headers: Headers;
  readonly body: unknown;
}

async function ask(
  path: string,
  options: { body?: unknown; token?: string; cookie?: string; client?: string } = {},
): Promise<Said> {
  const { body, token, cookie, client = 'cloudflared-1' } = options;
  const answer = await world.kubernetes.request(
    CLUSTER_ID,
    SITE,
    new Request(`${HOST}${path}`, {
      method: body === undefined ? 'GET' : 'POST',
      headers: {
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        ...(cookie === undefined ? {} : { cookie }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    }),
    { pod: client, path },
  );
  if (!answer.ok) return { status: 502, pod: '', headers: new Headers(), body: answer.reason };
  const text = await answer.response.text();
  const { status, headers } = answer.response;
  return { status, pod: answer.pod, headers, body: /^[{[]/.test(text) ? JSON.parse(text) : text };
}

/** What `/oauth/microsoft/callback` answers to somebody of this name. */
async function comeBack(email: string, changed: { code?: string; state?: string } = {}): Promise<Said> {
  const login = await ask('/oauth/microsoft/login');
  const state = new URL(login.headers.get('location') ?? '').searchParams.get('state') ?? '';
  const [cookie = ''] = (login.headers.get('set-cookie') ?? '').split(';');
  const query = new URLSearchParams({ code: `code-of-${email}`, state, ...changed });
  return ask(`/oauth/microsoft/callback?${query}`, { cookie });
}

async function signIn(email: string): Promise<string> {
  const answer = await comeBack(email);
  expect(answer.headers.get('location')).toBe(`${HOST}/auth`);
  return /^token=([^;]+)/.exec(answer.headers.get('set-cookie') ?? '')?.[1] ?? '';
}

async function chat(token: string, model = MODEL): Promise<Said> {
  const made = await ask('/api/v1/chats/new', { token, body: { chat: { title: 'Greeting' } } });
  if (made.status !== 200) return made;
  return ask('/api/chat/completions', {
    token,
    body: {
      model,
      chat_id: at(made.body, 'id'),
      messages: [{ role: 'user', content: 'Good morning' }],
      stream: false,
    },
  });
}

async function query<T extends object>(sql: string, database = 'openwebuidb'): Promise<T[]> {
  const client = await world.postgres?.connect(database);
  try {
    return ((await client?.query(sql))?.rows ?? []) as T[];
  } finally {
    await client?.end();
  }
}

async function logs(): Promise<string> {
  const { body } = await call(
    world,
    'GET',
    `/api/v1/namespaces/${NAMESPACE}/pods?labelSelector=app=open-webui`,
  );
  const names = (body['items'] as { metadata: { name: string } }[]).map(({ metadata }) => metadata.name);
  const texts = await Promise.all(
    names.map((name) => call(world, 'GET', `/api/v1/namespaces/${NAMESPACE}/pods/${name}/log`)),
  );
  return texts.map(({ body: text }) => String(text['text'] ?? '')).join('\n');
}

async function rollOut(replicas: number): Promise<void> {
  const settled = (status: unknown): boolean =>
    ['updatedReplicas', 'readyReplicas', 'replicas'].every((name) => at(status, name) === replicas);
  await eventually(
    async () => {
      const { body } = await call(world, 'GET', DEPLOYMENT);
      const isSeen = at(body, 'status', 'observedGeneration') === at(body, 'metadata', 'generation');
      return { isSeen, status: body['status'] };
    },
    ({ isSeen, status }) => isSeen && settled(status),
    40,
  );
}

const restart = (at: string) =>
  call(world, 'PATCH', DEPLOYMENT, {
    body: { spec: { template: { metadata: { annotations: { restarted: at } } } } },
    type: 'application/merge-patch+json',
  });

describe('a sign-in', () => {
  test('goes to Entra with what the pod was started with', async () => {
    const login = await ask('/oauth/microsoft/login');
    expect(login.status).toBe(302);
    const url = new URL(login.headers.get('location') ?? '');
    expect(url.origin + url.pathname).toBe(
      'https://login.microsoftonline.com/7e4a4700-0000-4000-8000-000000000001/oauth2/v2.0/authorize',
    );
    expect(Object.fromEntries(url.searchParams)).toMatchObject({
      response_type: 'code',
      client_id: 'app-1',
      redirect_uri: `${HOST}/oauth/microsoft/callback`,
      scope: 'openid email profile',
    });
  });

  test('makes a row for each new user, the first of whom administers, and finds it again', async () => {
    const token = await signIn('ada@yourdomain.com');
    const again = await signIn('ada@yourdomain.com');
    await signIn('bob@yourdomain.com');
    expect((await ask('/api/v1/auths/', { token })).body).toMatchObject({ role: 'admin' });
    expect((await ask('/api/v1/auths/', { token: again })).body).toMatchObject({
      name: 'ada@yourdomain.com',
    });
    expect(await query('SELECT email, role FROM "user" ORDER BY email')).toEqual([
      { email: 'ada@yourdomain.com', role: 'admin' },
      { email: 'bob@yourdomain.com', role: 'user' },
    ]);
  });

  test.each([
    ['a code that Entra did not give', { code: 'invented' }, 'AADSTS70000: Provided grant is invalid'],
    ['a state of another browser', { state: 'another' }, 'mismatching_state: CSRF Warning!'],
  ])('fails with %s, and only the log says why', async (_, changed, reason) => {
    const answer = await comeBack('ada@yourdomain.com', changed);
    expect(answer.headers.get('location')).toContain('/auth?error=The%20email%20or%20password');
    expect(answer.headers.get('set-cookie')).toBeNull();
    expect(await logs()).toContain(reason);
  });

  test('fails when Entra does not take the secret that the container has read', async () => {
    world.state.secrets.set('openwebui-client-secret', 'another');
    const answer = await comeBack('ada@yourdomain.com');
    world.state.secrets.set('openwebui-client-secret', 'client-secret');
    expect(answer.headers.get('location')).toContain('/auth?error=');
    expect(await logs()).toContain('AADSTS7000215');
    expect(await logs()).not.toContain('client-secret');
  });
});

describe('a chat', () => {
  test('is kept in the database and answered by Ollama', async () => {
    const token = await signIn('ada@yourdomain.com');
    const answer = await chat(token);
    expect(answer.status).toBe(200);
    expect(at(answer.body, 'choices', '0', 'message', 'content') ?? JSON.stringify(answer.body)).toContain(
      'Hello.',
    );
    const [row] = await query<{ title: string; chat: object }>('SELECT title, chat FROM chat');
    expect(row).toEqual({
      title: 'Greeting',
      chat: { title: 'Greeting', messages: [{ role: 'user', content: 'Good morning' }] },
    });
  });

  test('streams when the page asks for a stream', async () => {
    const token = await signIn('ada@yourdomain.com');
    const answer = await ask('/api/chat/completions', { token, body: { model: MODEL, stream: true } });
    expect(answer.headers.get('content-type')).toBe('text/event-stream');
    expect(answer.body).toMatch(/^data: \{.*Hello\..*\}\n\ndata: \[DONE\]\n\n$/);
  });

  test('is refused without a session, with a model nobody pulled, with a chat of somebody else, with no JSON', async () => {
    const token = await signIn('ada@yourdomain.com');
    const other = await signIn('bob@yourdomain.com');
    expect(await ask('/api/chat/completions', { body: {} })).toMatchObject({
      status: 401,
      body: { detail: 'Not authenticated' },
    });
    expect(await chat(`${token}x`)).toMatchObject({ status: 401, body: { detail: '401 Unauthorized' } });
    expect(await chat(token, 'gpt-5')).toMatchObject({ status: 400, body: { detail: 'Model not found' } });
    const { body } = await ask('/api/v1/chats/new', { token, body: { chat: {} } });
    const foreign = { model: MODEL, chat_id: at(body, 'id'), messages: [] };
    expect((await ask('/api/chat/completions', { token: other, body: foreign })).status).toBe(404);
    expect((await ask('/api/v1/chats/new', { token, body: 'text' })).status).toBe(422);
    expect((await ask('/api/unheard-of', { token })).status).toBe(404);
  });

  test('fails while nothing listens behind the Service of Ollama', async () => {
    const token = await signIn('ada@yourdomain.com');
    const at = `/apis/apps/v1/namespaces/${NAMESPACE}/deployments/ollama`;
    const scale = (replicas: number) =>
      call(world, 'PATCH', at, { body: { spec: { replicas } }, type: 'application/merge-patch+json' });
    await scale(0);
    const answer = await eventually(
      () => chat(token),
      ({ status }) => status !== 200,
    );
    expect(answer).toMatchObject({
      status: 400,
      body: { detail: expect.stringContaining('Connection Error') },
    });
    await scale(1);
    await eventually(
      () => chat(token),
      ({ status }) => status === 200,
    );
  });
});

describe('a database whose password is changed', () => {
  test('goes on serving the connections that are open, and refuses those that have died', async () => {
    const token = await signIn('ada@yourdomain.com');
    await query("ALTER ROLE openwebuiadmin PASSWORD 'second-Password-2'");
    world.world.touch();
    await eventually(
      async () => (await query("SELECT 1 FROM pg_stat_activity WHERE usename = 'openwebuiadmin'")).length,
      (count) => count === 1,
    );
    expect((await chat(token)).status).toBe(200);

    await query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'openwebuiadmin'");
    // A database that does not answer has no users in it.
    const refused = await ask('/api/v1/chats/new', { token, body: { chat: {} } });
    expect([401, 502]).toContain(refused.status);
    expect(await logs()).toContain('password authentication failed');

    await query(`ALTER ROLE openwebuiadmin PASSWORD '${DATABASE_PASSWORD}'`);
    world.world.touch();
    await eventually(
      () => chat(token),
      ({ status }) => status === 200,
    );
  });
});

describe('several pods', () => {
  beforeAll(async () => {
    await apply(world, webui(3));
    await rollOut(3);
  });

  test('take turns, unless the Service keeps each client with one of them', async () => {
    const turns = new Set<string>();
    for (let count = 0; count < 6; count += 1) turns.add((await ask('/health')).pod);
    expect(turns.size).toBe(3);

    const plain = service('open-webui', 80, 'http');
    const sticky = { ...(plain['spec'] as object), sessionAffinity: 'ClientIP' };
    await apply(world, { ...plain, spec: sticky });
    for (const client of ['cloudflared-1', 'cloudflared-2']) {
      const same = new Set<string>();
      for (let count = 0; count < 6; count += 1) same.add((await ask('/health', { client })).pod);
      expect(same.size).toBe(1);
    }
    const pods = await Promise.all(
      ['cloudflared-1', 'cloudflared-2'].map(async (client) => (await ask('/health', { client })).pod),
    );
    expect(new Set(pods).size).toBe(2);
    world.world.clock.change({ now: world.world.clock.now() + 11_000_000 });
    expect(pods).not.toContain((await ask('/health')).pod);
    await apply(world, { ...plain, spec: { ...(plain['spec'] as object), sessionAffinity: 'None' } });
  });

  test('lose nobody while they are replaced one by one', async () => {
    let token = await signIn('ada@yourdomain.com');
    let isOver = false;
    const failures: Said[] = [];
    let count = 0;
    const load = (async () => {
      while (!isOver) {
        token = await signIn('ada@yourdomain.com');
        const answer = await chat(token);
        if (answer.status !== 200) failures.push(answer);
        count += 1;
        // The clock of the cluster goes on between two requests.
        await new Promise((resolve) => setImmediate(resolve));
      }
    })();
    await restart('once');
    await rollOut(3);
    isOver = true;
    await load;
    expect(failures).toEqual([]);
    expect(count).toBeGreaterThan(20);
  });

  test('know no session that was signed with another key', async () => {
    const token = await signIn('ada@yourdomain.com');
    world.state.secrets.set('webui-secret-key', 'YW5vdGhlcg==');
    await call(
      world,
      'PATCH',
      `/apis/external-secrets.io/v1/namespaces/${NAMESPACE}/externalsecrets/open-webui-secrets`,
      {
        body: { metadata: { annotations: { 'force-sync': 'key' } } },
        type: 'application/merge-patch+json',
      },
    );
    await eventually(
      async () => world.kubernetes.secretSets(CLUSTER_ID).slice(-3),
      (sets) => new Set(sets.map(({ hash }) => hash)).size === 1 && sets[0]?.hash !== firstSet(),
    );
    await rollOut(3);
    expect(await chat(token)).toMatchObject({ status: 401, body: { detail: '401 Unauthorized' } });
    expect((await chat(await signIn('ada@yourdomain.com'))).status).toBe(200);
  });
});

const firstSet = (): string => world.kubernetes.secretSets(CLUSTER_ID)[0]?.hash ?? '';

describe('the record of secrets', () => {
  test('has what each container read when it started, found among the vault’s versions', async () => {
    const [first] = world.kubernetes.secretSets(CLUSTER_ID);
    const last = world.kubernetes.secretSets(CLUSTER_ID).at(-1);
    expect(await readyReplicas(world, 'open-webui')).toBe(3);
    expect(first?.values.map(({ variable }) => variable)).toEqual([
      'WEBUI_SECRET_KEY',
      'MICROSOFT_CLIENT_SECRET',
      'DATABASE_URL',
    ]);
    // The small world's vault remembers the current values only.
    const named = (set: typeof last) =>
      set?.values.map(({ versions }) => versions.map(({ secret }) => secret).join());
    expect(named(first)).toEqual(['', 'openwebui-client-secret', 'postgres-connection-string']);
    expect(named(last)).toEqual([
      'webui-secret-key',
      'openwebui-client-secret',
      'postgres-connection-string',
    ]);
    expect(JSON.stringify(last)).not.toContain(databaseUrl(DATABASE_PASSWORD));
    expect(last?.isMixed).toBe(false);
  });

  const versions = (created: number, superseded: number | null): { versions: VaultVersion[] } => {
    const time = (second: number): string => new Date(second * 1000).toISOString();
    return {
      versions: [
        {
          vault: 'kv',
          secret: 'one',
          version: String(created),
          createdAt: time(created),
          supersededAt: superseded === null ? null : time(superseded),
        },
      ],
    };
  };

  test.each([
    { what: 'two current values', values: [versions(1, null), versions(2, null)], mixed: false },
    { what: 'two old values of the same time', values: [versions(1, 5), versions(2, 6)], mixed: false },
    {
      what: 'a new value beside one that was replaced in the same second',
      values: [versions(5, null), versions(1, 5)],
      mixed: true,
    },
    {
      what: 'a new value beside one that was replaced before',
      values: [versions(6, null), versions(1, 5)],
      mixed: true,
    },
    {
      what: 'a new value whose companion came later',
      values: [versions(5, null), versions(1, 6)],
      mixed: false,
    },
    {
      what: 'a value that no vault has had',
      values: [{ versions: [] }, versions(2, null)],
      mixed: false,
    },
    { what: 'nothing', values: [], mixed: false },
  ])('takes $what for mixed: $mixed', ({ values, mixed }) => {
    expect(isMixed(values)).toBe(mixed);
  });
});
