import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { lookAtSite } from '../../sandbox/site.ts';
import { callsSince, type Sample, sampleName, sampleSpec, startSample } from './sample.ts';

describe('a functions host that is killed in the middle of provisioning', () => {
  let sample: Sample;
  const kills = 6;

  beforeAll(async () => {
    sample = await startSample({ speed: 60 });
    const id = await sample.api.put(sampleName, sampleSpec);
    for (let kill = 1; kill <= kills; kill += 1) {
      // Each kill strikes once this many resources are ready: early, in the middle and late.
      const readyBefore = kill * 6;
      await new Promise<void>((resolve, reject) => {
        sample.api
          .watch(
            id,
            (operation) => {
              if (operation.steps.filter(({ state }) => state === 'ready').length >= readyBefore) resolve();
            },
            25,
          )
          .then(() => resolve(), reject);
      });
      await sample.sandbox.killHost();
      await sample.sandbox.startHost();
    }
    const operation = await sample.api.watch(id, () => {}, 100);
    expect(operation.failure).toBeUndefined();
    expect(operation.state).toBe('succeeded');
  }, 240_000);

  afterAll(async () => {
    await sample?.stop();
  });

  test('goes on and converges: the site answers', async () => {
    const site = await lookAtSite(sample.sandbox.endpoints.sandbox);
    expect(site.links.filter(({ ok }) => !ok)).toEqual([]);
    expect(site).toMatchObject({ ok: true, status: 200, broken: null });
  });

  test('made one of everything', async () => {
    const { calls } = await callsSince(sample, 0);
    const made = (method: string, path: RegExp) =>
      calls.filter((call) => call.method === method && path.test(call.path) && call.status < 300).length;
    expect(made('POST', /\/cfd_tunnel(\?|$)/)).toBe(1);
    expect(made('POST', /\/dns_records(\?|$)/)).toBe(1);

    const applications = await sample.clouds.graph('/applications');
    const { value } = applications.body as {
      value: { displayName: string; passwordCredentials: unknown[] }[];
    };
    const ours = value.filter(({ displayName }) => displayName === 'open-webui-app');
    expect(ours).toHaveLength(1);
    expect(ours[0]?.passwordCredentials).toHaveLength(1);
  });

  test('generated each secret once', async () => {
    for (const name of [
      'webui-secret-key',
      'postgres-admin-password',
      'cf-tunnel-token',
      'openwebui-client-secret',
    ]) {
      const versions = await sample.clouds.vault('kv-openwebui', `/secrets/${name}/versions?api-version=7.5`);
      expect((versions.body as { value: unknown[] }).value, name).toHaveLength(1);
    }
  });
});
