import { describe, expect, test } from 'vitest';
import { importOf, wantedImages } from '../../../src/resources/azure/images.ts';
import { specOf } from '../spec.ts';

const wanted = (fields: Parameters<typeof specOf>[0]) =>
  wantedImages(specOf(fields).spec).map(({ image }) => image);

describe('azure/images', () => {
  test('a source with a tag keeps its tag', () => {
    expect(importOf('ollama', { source: 'docker.io/ollama/ollama:0.12.9', repository: 'ollama' })).toEqual({
      image: 'ollama',
      registryUri: 'docker.io',
      sourceImage: 'ollama/ollama:0.12.9',
      repository: 'ollama',
      reference: '0.12.9',
    });
  });

  test('a source with a digest is known by it', () => {
    const digest = `sha256:${'a'.repeat(64)}`;
    expect(
      importOf('openWebui', { source: `ghcr.io/open-webui/open-webui@${digest}`, repository: 'x' }),
    ).toMatchObject({
      sourceImage: `open-webui/open-webui@${digest}`,
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
