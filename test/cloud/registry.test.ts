import { createHash } from 'node:crypto';
import { ContainerRegistryClient, ContainerRegistryContentClient } from '@azure/container-registry';
import { ManagedIdentityCredential } from '@azure/identity';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { CloudApi } from '../sandbox/cloud-api.ts';
import { pushImage } from './push-image.ts';
import { listAll, startTestCloud, type TestCloud } from './start-cloud.ts';

const HOST = 'acrtest.azurecr.io';
const ID = '/subscriptions/s/resourceGroups/rg/providers/Microsoft.ContainerRegistry/registries/acrtest';
const KUBELET = '22222222-2222-4222-8222-222222222222';
const ACTION = 'Microsoft.ContainerRegistry/registries';
let sandbox: TestCloud;
let client: ContainerRegistryClient;

beforeAll(async () => {
  sandbox = await startTestCloud();
  sandbox.azure.registries.set(HOST, { id: ID, location: 'eastasia', publicNetworkAccess: 'Enabled' });
  const { principalId } = sandbox.cloud.world.settings.controlPlane;
  sandbox.azure.allow(
    principalId,
    ID,
    `${ACTION}/pull/read`,
    `${ACTION}/push/write`,
    `${ACTION}/artifacts/delete`,
  );
  client = new ContainerRegistryClient(`https://${HOST}`, ours(), { retryOptions: { maxRetries: 0 } });
});
afterAll(() => sandbox.stop());

const ours = () =>
  new ManagedIdentityCredential({ clientId: sandbox.cloud.world.settings.controlPlane.clientId });
const contentOf = (repository: string) =>
  new ContainerRegistryContentClient(`https://${HOST}`, repository, ours(), {
    retryOptions: { maxRetries: 0 },
  });
const importImage = (
  registry: string,
  image: string,
  target: string,
  mode: 'NoForce' | 'Force' = 'NoForce',
) => sandbox.cloud.neighbours.registries.importImage(HOST, { registry, image }, [target], mode);
const sha256 = (content: Uint8Array | string) =>
  `sha256:${createHash('sha256').update(content).digest('hex')}`;

async function textOf(stream: NodeJS.ReadableStream): Promise<string> {
  let text = '';
  for await (const chunk of stream) text += String(chunk);
  return text;
}

describe('an import', () => {
  test('copies a known image, whose digest is the hash of a real index', async () => {
    const imported = importImage('ghcr.io', 'open-webui/open-webui:v0.6.41', 'open-webui:v0.6.41');
    if (!imported.ok) throw new Error(imported.reason);
    const manifest = await contentOf('open-webui').getManifest('v0.6.41');
    const text = manifest.content.toString();
    expect(manifest.mediaType).toBe('application/vnd.oci.image.index.v1+json');
    expect([manifest.digest, sha256(text)]).toEqual([imported.digest, imported.digest]);
    const [child] = (JSON.parse(text) as { manifests: { digest: string; platform: object }[] }).manifests;
    expect(child?.platform).toEqual({ architecture: 'amd64', os: 'linux' });
    const amd64 = await contentOf('open-webui').getManifest(child?.digest ?? '');
    const { config } = JSON.parse(amd64.content.toString()) as { config: { digest: string } };
    const blob = await contentOf('open-webui').downloadBlob(config.digest);
    expect(sha256(await textOf(blob.content))).toBe(config.digest);
  });

  test('finds neither unknown repositories nor implausible tags nor Docker’s official images by short name', () => {
    for (const [registry, image] of [
      ['ghcr.io', 'somebody/something:1.0'],
      ['ghcr.io', 'open-webui/open-webui:no-such-tag'],
      ['docker.io', 'postgres:18'],
    ] as const) {
      expect(importImage(registry, image, 'x:1')).toMatchObject({ ok: false, code: 'NotFound' });
    }
    expect(importImage('docker.io', 'library/postgres:18', 'postgres:18')).toMatchObject({ ok: true });
  });

  test('does not overwrite a tag unless forced', () => {
    expect(importImage('docker.io', 'ollama/ollama:0.13.0', 'ollama:stable')).toMatchObject({ ok: true });
    expect(importImage('docker.io', 'ollama/ollama:0.13.1', 'ollama:stable')).toMatchObject({
      ok: false,
      code: 'Conflict',
    });
    const forced = importImage('docker.io', 'ollama/ollama:0.13.1', 'ollama:stable', 'Force');
    expect(forced.ok).toBe(true);
    expect(sandbox.events).toEqual([]);
  });
});

describe('a pull', () => {
  test('needs the registry, the right and the image, and tells what the image is', () => {
    const { registries } = sandbox.cloud.neighbours;
    const image = `${HOST}/open-webui:v0.6.41`;
    expect(registries.pull('nobody.azurecr.io/open-webui:1', KUBELET)).toMatchObject({
      ok: false,
      code: 'ENOTFOUND',
    });
    expect(registries.pull(image, KUBELET)).toMatchObject({ ok: false, code: 'Unauthorized' });
    sandbox.azure.allow(KUBELET, ID, `${ACTION}/pull/read`);
    const pulled = registries.pull(image, KUBELET);
    expect(pulled).toMatchObject({ ok: true, software: 'open-webui' });
    const digest = pulled.ok ? pulled.digest : '';
    expect(registries.pull(`${HOST}/open-webui@${digest}`, KUBELET)).toMatchObject({
      ok: true,
      digest,
      software: 'open-webui',
    });
    expect(registries.pull(`${HOST}/open-webui:v9`, KUBELET)).toMatchObject({ ok: false, code: 'NotFound' });
    expect(registries.pull('docker.io/nicolaka/netshoot:v0.14', KUBELET)).toMatchObject({
      ok: true,
      software: 'other',
    });
  });

  test('tells what a bad build does that somebody pushed, whatever its tag', async () => {
    const host = 'acrbuilt.azurecr.io';
    const id = ID.replace('acrtest', 'acrbuilt');
    sandbox.azure.registries.set(host, { id, location: 'eastasia', publicNetworkAccess: 'Enabled' });
    const owner = sandbox.cloud.world.settings.operator.principalId;
    sandbox.azure.allow(owner, id, `${ACTION}/pull/read`, `${ACTION}/push/write`);
    sandbox.azure.allow(KUBELET, id, `${ACTION}/pull/read`);
    const clouds = new CloudApi(sandbox.cloud.endpoints);
    const bad = { host, repository: 'built', software: 'cloudflared', label: 'one' } as const;
    const digest = await pushImage(clouds, { ...bad, tag: 'v1', behaviour: 'crashes' });
    expect(await pushImage(clouds, { ...bad, tag: 'v2', behaviour: 'crashes' })).toBe(digest);
    const { registries } = sandbox.cloud.neighbours;
    for (const reference of [':v1', ':v2', `@${digest}`]) {
      expect(registries.pull(`${host}/built${reference}`, KUBELET)).toEqual({
        ok: true,
        digest,
        software: 'cloudflared',
        behaviour: 'crashes',
      });
    }
    await pushImage(clouds, { ...bad, tag: 'v3' });
    expect(registries.pull(`${host}/built:v3`, KUBELET)).toMatchObject({ behaviour: undefined });
  });
});

describe('the data plane', () => {
  test('lists repositories, tags and manifests', async () => {
    expect(await listAll(client.listRepositoryNames())).toEqual(['ollama', 'open-webui', 'postgres']);
    const artifact = client.getArtifact('open-webui', 'v0.6.41');
    const tag = await artifact.getTagProperties('v0.6.41');
    const manifests = await listAll(client.getRepository('open-webui').listManifestProperties());
    expect(manifests).toHaveLength(3);
    expect(manifests.find(({ digest }) => digest === tag.digest)?.tags).toEqual(['v0.6.41']);
    await expect(client.getArtifact('open-webui', 'none').getTagProperties('none')).rejects.toMatchObject({
      statusCode: 404,
      message: expect.stringContaining('TAG_UNKNOWN'),
    });
  });

  test('announces a push, by tag and by digest', async () => {
    const content = contentOf('pushed');
    const config = await content.uploadBlob(Buffer.from('{}'));
    const manifest = {
      schemaVersion: 2,
      mediaType: 'application/vnd.oci.image.manifest.v1+json',
      config: { mediaType: 'application/vnd.oci.image.config.v1+json', digest: config.digest, size: 2 },
      layers: [],
    };
    const { digest } = await content.setManifest(Buffer.from(JSON.stringify(manifest)), { tag: 'v1' });
    expect(sandbox.events.at(-1)).toMatchObject({
      topic: ID,
      subject: 'pushed:v1',
      eventType: 'Microsoft.ContainerRegistry.ImagePushed',
      data: {
        action: 'push',
        target: { repository: 'pushed', tag: 'v1', digest },
        request: { host: HOST, method: 'PUT' },
      },
    });
    const second = { ...manifest, annotations: { revision: 'two' } };
    await content.setManifest(Buffer.from(JSON.stringify(second)));
    expect(sandbox.events.at(-1)).toMatchObject({
      subject: 'pushed',
      data: { target: { repository: 'pushed' } },
    });
    const missing = { ...manifest, config: { ...manifest.config, digest: sha256('missing') } };
    await expect(
      content.setManifest(Buffer.from(JSON.stringify(missing)), { tag: 'v2' }),
    ).rejects.toMatchObject({ message: expect.stringContaining('MANIFEST_BLOB_UNKNOWN') });
  });

  test('keeps a locked tag and forgets a deleted one', async () => {
    const artifact = client.getArtifact('pushed', 'v1');
    await artifact.updateTagProperties('v1', { canDelete: false });
    await expect(artifact.deleteTag('v1')).rejects.toMatchObject({ statusCode: 405 });
    await artifact.updateTagProperties('v1', { canDelete: true });
    await artifact.deleteTag('v1');
    await expect(artifact.getTagProperties('v1')).rejects.toMatchObject({ statusCode: 404 });
  });

  test('refuses whoever has no role, and everybody behind a closed network', async () => {
    const stranger = new ContainerRegistryClient(`https://${HOST}`, sandbox.operator, {
      retryOptions: { maxRetries: 0 },
    });
    await expect(stranger.getArtifact('open-webui', 'v0.6.41').getManifestProperties()).rejects.toMatchObject(
      { statusCode: 401, message: expect.stringContaining('UNAUTHORIZED') },
    );
    sandbox.azure.registries.set(HOST, { id: ID, location: 'eastasia', publicNetworkAccess: 'Disabled' });
    await expect(client.getArtifact('open-webui', 'v0.6.41').getManifestProperties()).rejects.toMatchObject({
      statusCode: 403,
      message: expect.stringContaining('DENIED'),
    });
  });
});
