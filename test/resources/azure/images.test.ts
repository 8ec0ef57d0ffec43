import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { images, wantedImage, wantedImages } from '../../../src/resources/azure/images.ts';
import type { Scope } from '../../../src/resources/scope.ts';
import type { Follow } from '../../../src/spec/spec.ts';
import { type PushedImage, pushImage } from '../../cloud/push-image.ts';
import { CloudApi } from '../../sandbox/cloud-api.ts';
import { specOf } from '../spec.ts';
import { type SimulatedAzure, startSimulatedAzure } from './simulated-azure.ts';

const wanted = (fields: Parameters<typeof specOf>[0]) =>
  wantedImages(specOf(fields).spec).map(({ image }) => image);

describe('azure/images', () => {
  test('a source with a tag keeps its tag, or gets the one that is followed', () => {
    const source = 'docker.io/ollama/ollama:0.12.9';
    expect(wantedImage('ollama', { source, repository: 'ollama' })).toEqual({
      image: 'ollama',
      registryUri: 'docker.io',
      sourceImage: 'ollama/ollama:0.12.9',
      repository: 'ollama',
      policy: { kind: 'tag', tag: '0.12.9' },
      reference: '0.12.9',
    });
    const follow = { tag: 'stable' };
    expect(wantedImage('ollama', { source, repository: 'ollama', follow }).reference).toBe('stable');
  });

  test('a source with a digest is known by it', () => {
    const digest = `sha256:${'a'.repeat(64)}`;
    const source = `ghcr.io/open-webui/open-webui@${digest}`;
    expect(wantedImage('openWebui', { source, repository: 'x' })).toMatchObject({
      sourceImage: `open-webui/open-webui@${digest}`,
      policy: { kind: 'digest', digest },
      reference: digest,
    });
  });

  test('only what will run is imported', () => {
    expect(wanted({})).toEqual(['openWebui', 'ollama', 'cloudflared', 'redis']);
    expect(wanted({ webui: { replicas: 1 } })).not.toContain('redis');
    expect(wanted({ webui: { redisUrl: 'rediss://cache.example.com' } })).not.toContain('redis');
    expect(wanted({ ollama: { externalUrl: 'https://ollama.example.com' } })).not.toContain('ollama');
  });
});

describe('azure/images in the simulated Azure', () => {
  let azure: SimulatedAzure;
  let clouds: CloudApi;
  const host = 'acrimages.azurecr.io';
  const scope = (follow?: Follow): Scope =>
    azure.scope({ registry: { name: 'acrimages', images: { openWebui: follow ? { follow } : {} } } });
  const push = (tag: string, more: Partial<PushedImage> = {}): Promise<string> =>
    pushImage(clouds, { host, repository: 'open-webui', tag, software: 'open-webui', label: tag, ...more });
  /** Which digest of Open WebUI is the one to run; whatever is looked at is ready and stays unwritten. */
  const chosen = async (
    follow?: Follow,
    quarantined: readonly string[] = [],
  ): Promise<string | undefined> => {
    const around = scope(follow);
    for (const digest of quarantined) {
      await around.quarantine.add({ digest, repository: 'open-webui', reason: 'It failed.' });
    }
    const mark = azure.mark();
    const seen = await azure.look(around, images);
    expect(azure.writesSince(mark)).toEqual([]);
    if (seen.state !== 'ready') throw new Error(JSON.stringify(seen));
    const image = String(seen.outputs['openWebui']);
    expect(image).toMatch(/^$|^acrimages\.azurecr\.io\/open-webui@sha256:[0-9a-f]{64}$/);
    return image.split('@')[1];
  };

  beforeAll(async () => {
    azure = await startSimulatedAzure(500);
    clouds = new CloudApi(azure.cloud.endpoints);
    await azure.settle(scope(), images);
  }, 60_000);
  afterAll(() => azure.stop());

  test('imports the source and runs it by digest', async () => {
    const imported = await chosen();
    expect(imported).toMatch(/^sha256:/);
    expect(await chosen({ semver: '>=0.6.0 <0.7' })).toBe(imported);
  });

  test('an exact tag is followed wherever it points, and other tags are not', async () => {
    const before = await chosen();
    await push('v0.6.37');
    expect(await chosen()).toBe(before);
    const moved = await push('v0.6.36', { label: 'rebuilt' });
    expect(await chosen()).toBe(moved);
  });

  test('a range follows its highest version, whenever it was pushed', async () => {
    const range = { semver: '>=0.6.36 <0.7' };
    const newest = await push('v0.6.40');
    await push('0.6.38');
    await push('v0.7.0');
    await push('v0.6.41-rc.1');
    expect(await chosen(range)).toBe(newest);
  });

  test('a pattern follows the tag that was pushed last, also when it was there before', async () => {
    const nightly = { pattern: 'v0\\.6\\.36|nightly-\\d+' };
    const first = await push('nightly-1');
    await azure.cloud.world.clock.wait(2_000);
    const second = await push('nightly-2');
    await push('other-9');
    expect(await chosen(nightly)).toBe(second);
    await azure.cloud.world.clock.wait(2_000);
    await push('nightly-1');
    expect(await chosen(nightly)).toBe(first);
  });

  test('what is quarantined is passed over under any tag, and when nothing is left nothing is imported', async () => {
    const range = { semver: '>=0.6.36 <0.7' };
    const best = await chosen(range);
    const bad = best ?? '';
    expect(await push('v0.6.50', { label: 'v0.6.40' })).toBe(bad);
    const next = await chosen(range, [bad]);
    expect(next).not.toBe(bad);
    expect(next).toMatch(/^sha256:/);
    const exact = await chosen();
    expect(await chosen(undefined, [exact ?? ''])).toBeUndefined();
  });

  test('a push without a tag, a deleted tag and another repository change nothing', async () => {
    const range = { semver: '>=0.6.36 <0.7' };
    const before = await chosen(range);
    await push('v0.6.60', { repository: 'somebody-elses' });
    expect(await chosen(range)).toBe(before);
    const late = await push('v0.6.60');
    expect(await chosen(range)).toBe(late);
    await azure.operator.registryContent(host).getArtifact('open-webui', 'v0.6.60').deleteTag('v0.6.60');
    expect(await chosen(range)).toBe(before);
  });

  test('pages of tags are all read', async () => {
    for (let number = 0; number < 120; number += 1) {
      await push(`v0.6.${100 + number}`, { label: 'the same', repository: 'open-webui' });
    }
    const last = await push('v0.6.9999');
    expect(await chosen({ semver: '>=0.6.36 <0.7' })).toBe(last);
  }, 60_000);

  test('not being allowed to list is never "nothing there"', async () => {
    const refused = { kind: 'answer', status: 403, code: 'DENIED', message: 'not you' } as const;
    azure.cloud.world.faults.replace([{ id: 'refuse', fault: refused }]);
    try {
      await expect(azure.look(scope({ semver: '>=0.6.36 <0.7' }), images)).rejects.toThrow();
    } finally {
      azure.cloud.world.faults.replace([]);
    }
  });
});
