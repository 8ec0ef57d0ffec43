import { execFile } from 'node:child_process';
import { globSync, readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Operation } from '../../sandbox/control-plane.ts';
import { lookAtSite } from '../../sandbox/site.ts';
import { makeDirectory } from '../a-directory.ts';
import { kubectl } from '../kubectl.ts';
import { callsSince, isMutation, type Sample, sampleName, sampleSpec, startSample } from './sample.ts';

const run = promisify(execFile);

describe('the sample deployment', () => {
  let sample: Sample;
  let first: Operation;

  const directory = makeDirectory('open-webui-sandbox-');

  beforeAll(async () => {
    sample = await startSample({ speed: 60, directory });
    first = await sample.ask();
  }, 180_000);

  afterAll(async () => {
    await sample?.stop();
    rmSync(directory, { recursive: true, force: true });
  });

  test('is provisioned by one request, until its public host name answers', async () => {
    expect(first.steps.filter(({ state }) => state !== 'ready')).toEqual([]);
    expect(first.state).toBe('succeeded');
    const site = await lookAtSite(sample.sandbox.endpoints.sandbox);
    expect(site.links.filter(({ ok }) => !ok)).toEqual([]);
    expect(site).toMatchObject({
      url: 'https://open-webui.yourdomain.com/',
      status: 200,
      ok: true,
      broken: null,
    });
    const page = await sample.clouds.send('https://open-webui.yourdomain.com/');
    expect(page.status).toBe(200);
    expect(String(page.body)).toContain('Open WebUI');
  });

  test('shows a user of kubectl what a user of AKS expects', async () => {
    const { stdout } = await run(kubectl(), [
      '--kubeconfig',
      sample.sandbox.endpoints.kubeconfig,
      'get',
      'pods,svc,pvc',
      '-n',
      'open-webui',
    ]);
    expect(stdout.match(/^pod\/open-webui-\S+\s+1\/1\s+Running/gm)).toHaveLength(3);
    expect(stdout.match(/^pod\/cloudflared-\S+\s+1\/1\s+Running/gm)).toHaveLength(2);
    expect(stdout).toMatch(/^pod\/ollama-\S+\s+1\/1\s+Running/m);
    expect(stdout).toMatch(/^service\/open-webui\s+ClusterIP\s+\d+\.\d+\.\d+\.\d+\s+<none>\s+80\/TCP/m);
    expect(stdout).toMatch(/^service\/ollama\s+ClusterIP\s+\S+\s+<none>\s+11434\/TCP/m);
    expect(stdout.match(/^persistentvolumeclaim\/\S+\s+Bound/gm)).toHaveLength(2);
  });

  test('is left alone when it is asked for again: no write reaches any cloud', async () => {
    const { next } = await callsSince(sample, 0);
    const again = await sample.ask();
    expect(again.state).toBe('succeeded');
    expect(again.steps.filter(({ did }) => did !== 'nothing')).toEqual([]);
    const { calls } = await callsSince(sample, next);
    expect(calls.length).toBeGreaterThan(50);
    expect(calls.filter(isMutation)).toEqual([]);
  });

  test('takes requests that come at the same moment into one run, and all of them end', async () => {
    const ids = await Promise.all([1, 2, 3].map(() => sample.api.put(sampleName, sampleSpec)));
    expect(new Set(ids).size).toBe(3);
    const ended = await Promise.all(ids.map((id) => sample.api.watch(id, () => {}, 100)));
    expect(ended.map(({ state }) => state)).toEqual(['succeeded', 'succeeded', 'succeeded']);
  });

  test('follows a changed spec, and touches nothing else', async () => {
    const fewer = sampleSpec.replace(/replicas: 3\b/, 'replicas: 2');
    expect(fewer).not.toBe(sampleSpec);
    const changed = await sample.ask(fewer);
    expect(changed.state).toBe('succeeded');
    expect(changed.steps.filter(({ did }) => did !== 'nothing').map(({ key }) => key)).toEqual([
      'kubernetes/open-webui',
    ]);
    const { stdout } = await run(kubectl(), [
      '--kubeconfig',
      sample.sandbox.endpoints.kubeconfig,
      'get',
      'deployment',
      'open-webui',
      '-n',
      'open-webui',
      '-o',
      'jsonpath={.spec.replicas} {.status.readyReplicas}',
    ]);
    expect(stdout).toBe('2 2');
    expect((await sample.ask()).state).toBe('succeeded');
  });

  test('leaves its generated secrets in no file and no answer', async () => {
    const needles = await generatedSecrets(sample);
    expect(needles.size).toBeGreaterThanOrEqual(6);

    const directory = sample.sandbox.directory;
    const files = globSync(['host.sqlite*', 'storage/**', 'logs/**', 'keys.json', '*.json'], {
      cwd: directory,
    })
      .map((file) => join(directory, file))
      .filter((file) => statSync(file).isFile());
    expect(files.some((file) => file.endsWith('host.sqlite'))).toBe(true);
    expect(files.some((file) => file.includes('storage'))).toBe(true);
    expect(files.some((file) => file.endsWith('host.log'))).toBe(true);

    const { functions, functionsKey } = sample.sandbox.endpoints;
    const answers = await Promise.all(
      ['deployments', `deployments/${sampleName}`, `operations/${first.id}`, 'schema'].map(async (path) => {
        const answer = await fetch(`${functions}/api/${path}`, {
          headers: { 'x-functions-key': functionsKey },
        });
        expect(answer.status, path).toBe(200);
        return { place: `GET /api/${path}`, text: await answer.text() };
      }),
    );
    const places = [
      ...files.map((file) => ({ place: file, text: readFileSync(file, 'latin1') })),
      ...answers,
    ];
    const found = places.flatMap(({ place, text }) =>
      [...needles].flatMap(([name, value]) =>
        spellings(value).some((spelling) => text.includes(spelling)) ? [`${name} in ${place}`] : [],
      ),
    );
    expect(found).toEqual([]);
  });

  test('is found as it was by a functions host that starts again', async () => {
    await sample.sandbox.killHost();
    await sample.sandbox.startHost();
    const { next } = await callsSince(sample, 0);
    const again = await sample.ask();
    expect(again.state).toBe('succeeded');
    const { calls } = await callsSince(sample, next);
    expect(calls.filter(isMutation)).toEqual([]);
  });

  test('is found as it was by a whole sandbox that starts again, with every process new', async () => {
    await sample.stop();
    sample = await startSample({ speed: 60, directory });
    const again = await sample.ask();
    expect(again.steps.filter(({ did }) => did !== 'nothing')).toEqual([]);
    expect(again.state).toBe('succeeded');
    const { calls } = await callsSince(sample, 0);
    expect(calls.length).toBeGreaterThan(50);
    expect(calls.filter(isMutation)).toEqual([]);
    expect(await lookAtSite(sample.sandbox.endpoints.sandbox)).toMatchObject({ ok: true, status: 200 });
  });

  test('answers bad requests at its real door and changes nothing', async () => {
    const { functions, functionsKey } = sample.sandbox.endpoints;
    const { next } = await callsSince(sample, 0);
    const put = (body: string, headers: Record<string, string> = {}) =>
      fetch(`${functions}/api/deployments/${sampleName}`, {
        method: 'PUT',
        body,
        headers: { 'content-type': 'application/yaml', 'x-functions-key': functionsKey, ...headers },
      });
    const problem = async (answer: Response) => {
      expect(answer.headers.get('content-type')).toContain('application/problem+json');
      return (await answer.json()) as { errors?: { field: string }[]; detail?: string };
    };

    const malformed = await put('a: [1', {});
    expect(malformed.status).toBe(400);
    expect((await problem(malformed)).detail).toMatch(/line 1/);

    const wrong = await put('location: 7\nwebui: {replicas: many}\nsurprise: yes\n');
    expect(wrong.status).toBe(400);
    const fields = (await problem(wrong)).errors?.map(({ field }) => field);
    expect(fields).toEqual(
      expect.arrayContaining(['location', 'webui.replicas', 'surprise', 'subscriptionId', 'tunnel']),
    );

    const large = await put('x'.repeat(10 * 1024 * 1024));
    expect(large.status).toBe(413);
    await problem(large);

    expect((await put('{}', { 'x-functions-key': 'wrong' })).status).toBe(401);
    expect((await fetch(`${functions}/api/deployments`)).status).toBe(401);

    const unknown = await fetch(`${functions}/api/deployments/nowhere`, {
      headers: { 'x-functions-key': functionsKey },
    });
    expect(unknown.status).toBe(404);
    await problem(unknown);

    const { calls } = await callsSince(sample, next);
    expect(calls).toEqual([]);
  });
});

/** Every generated value, read by the operator from where it may be. */
async function generatedSecrets(sample: Sample): Promise<Map<string, string>> {
  const needles = new Map<string, string>();
  const names = [
    'webui-secret-key',
    'openwebui-client-secret',
    'cf-tunnel-token',
    'postgres-admin-password',
    'postgres-connection-string',
    'storage-account-key',
  ];
  for (const name of names) {
    const answer = await sample.clouds.vault('kv-openwebui', `/secrets/${name}?api-version=7.5`);
    needles.set(name, (answer.body as { value: string }).value);
  }
  const control = await sample.clouds.vault(
    'kv-openwebui-ctl',
    '/secrets/cloudflare-api-token?api-version=7.5',
  );
  needles.set('cloudflare-api-token', (control.body as { value: string }).value);
  return needles;
}

/** As they are, and as they look inside URLs, JSON, base64 and hexadecimal text. */
function spellings(value: string): string[] {
  const bytes = Buffer.from(value);
  return [
    value,
    encodeURIComponent(value),
    JSON.stringify(value).slice(1, -1),
    bytes.toString('base64').replace(/=+$/, ''),
    bytes.toString('hex'),
  ];
}
