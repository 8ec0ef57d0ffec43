/** The OCI distribution API of a registry: manifests and blobs, pulled, pushed and deleted. */
import { randomUUID } from 'node:crypto';
import type { Hono } from 'hono';
import type { World } from '../world.ts';
import type { ImageStore } from './image-store.ts';
import {
  getManifest,
  isoTime,
  manifestSchema,
  parseJson,
  type Registry,
  type RegistryEnv,
  RegistryError,
  refuseLocked,
  requireAccess,
} from './registry-request.ts';
import { digestOf, INDEX_TYPE, MANIFEST_TYPE } from './upstream-images.ts';

const MANIFEST_TYPES = [
  INDEX_TYPE,
  MANIFEST_TYPE,
  'application/vnd.docker.distribution.manifest.v2+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
];

export function addDistributionRoutes(routes: Hono<RegistryEnv>, world: World, images: ImageStore): void {
  const uploads = new Map<string, Buffer>();
  const manifest = '/v2/:name{.+}/manifests/:reference';
  // HEAD is served by GET: the body is dropped on the way out.
  routes.get(manifest, (context) => {
    const { registry, granted } = context.var;
    const { name, reference } = context.req.param();
    requireAccess(registry, granted, name, 'pull');
    const found = getManifest(images, registry, name, reference);
    return new Response(found.content, {
      headers: {
        'content-type': found.mediaType,
        'docker-content-digest': found.digest,
        etag: `"${found.digest}"`,
      },
    });
  });
  routes.put(manifest, async (context) => {
    const { registry, granted } = context.var;
    const { name, reference } = context.req.param();
    requireAccess(registry, granted, name, 'push');
    const mediaType = (context.req.header('content-type') ?? '').split(';')[0] ?? '';
    const digest = push(images, registry, name, reference, mediaType, await context.req.text());
    emitImageEvent(
      world,
      images,
      registry,
      'push',
      name,
      digest,
      mediaType,
      reference,
      context.req.header('user-agent') ?? '',
    );
    return context.body(null, 201, {
      'docker-content-digest': digest,
      location: `/v2/${name}/manifests/${digest}`,
    });
  });
  routes.delete(manifest, (context) => {
    const { registry, granted } = context.var;
    const { name, reference } = context.req.param();
    requireAccess(registry, granted, name, 'delete');
    const found = getManifest(images, registry, name, reference);
    refuseLocked(found.attributes.deleteEnabled);
    images.deleteManifest(found);
    emitImageEvent(world, images, registry, 'delete', name, found.digest, found.mediaType, found.digest, '');
    return context.body(null, 202);
  });
  routes.get('/v2/:name{.+}/blobs/:digest', (context) => {
    const { registry, granted } = context.var;
    const { name, digest } = context.req.param();
    requireAccess(registry, granted, name, 'pull');
    const blob = images.findBlob(registry.host, digest);
    if (!blob) throw new RegistryError(404, 'BLOB_UNKNOWN', 'blob unknown to registry');
    return new Response(new Uint8Array(blob), {
      headers: { 'content-type': 'application/octet-stream', 'docker-content-digest': digest },
    });
  });
  routes.post('/v2/:name{.+}/blobs/uploads/', (context) => {
    const { registry, granted } = context.var;
    const { name } = context.req.param();
    requireAccess(registry, granted, name, 'push');
    const id = randomUUID();
    uploads.set(id, Buffer.alloc(0));
    return context.body(null, 202, {
      location: `/v2/${name}/blobs/uploads/${id}`,
      range: '0-0',
      'docker-upload-uuid': id,
    });
  });
  routes.on(['PATCH', 'PUT'], '/v2/:name{.+}/blobs/uploads/:id', async (context) => {
    const { registry, granted } = context.var;
    const { name, id } = context.req.param();
    requireAccess(registry, granted, name, 'push');
    const begun = uploads.get(id);
    if (!begun) throw new RegistryError(404, 'BLOB_UPLOAD_UNKNOWN', 'blob upload unknown to registry');
    const content = Buffer.concat([begun, Buffer.from(await context.req.arrayBuffer())]);
    if (context.req.method === 'PATCH') {
      uploads.set(id, content);
      const range = `0-${Math.max(0, content.length - 1)}`;
      return context.body(null, 202, {
        location: `/v2/${name}/blobs/uploads/${id}`,
        range,
        'docker-upload-uuid': id,
      });
    }
    const digest = context.req.query('digest') ?? '';
    if (digestOf(content) !== digest) {
      throw new RegistryError(400, 'DIGEST_INVALID', 'provided digest did not match uploaded content');
    }
    uploads.delete(id);
    images.putBlob(registry.host, digest, content);
    return context.body(null, 201, {
      location: `/v2/${name}/blobs/${digest}`,
      'docker-content-digest': digest,
    });
  });
}

function push(
  images: ImageStore,
  registry: Registry,
  name: string,
  reference: string,
  mediaType: string,
  content: string,
): string {
  if (!/^[a-z0-9]+([._/-]+[a-z0-9]+)*$/.test(name))
    throw new RegistryError(400, 'NAME_INVALID', 'invalid repository name');
  if (!MANIFEST_TYPES.includes(mediaType))
    throw new RegistryError(400, 'MANIFEST_INVALID', `manifest type ${mediaType} is not supported`);
  const parsed = manifestSchema.safeParse(parseJson(content));
  if (!parsed.success) throw new RegistryError(400, 'MANIFEST_INVALID', 'manifest invalid');
  const digest = digestOf(content);
  const isTag = !reference.startsWith('sha256:');
  if (!isTag && reference !== digest) {
    throw new RegistryError(400, 'DIGEST_INVALID', 'provided digest did not match uploaded content');
  }
  const missing =
    (parsed.data.manifests ?? []).some((child) => !images.find(registry.host, name, child.digest)) ||
    [...(parsed.data.config ? [parsed.data.config] : []), ...(parsed.data.layers ?? [])].some(
      (blob) => !images.findBlob(registry.host, blob.digest),
    );
  if (missing) throw new RegistryError(404, 'MANIFEST_BLOB_UNKNOWN', 'blob unknown to registry');
  const tag = isTag ? images.findTag(registry.host, name, reference) : undefined;
  if (tag) refuseLocked(tag.attributes.writeEnabled);
  images.putManifest(registry.host, name, { digest, mediaType, content });
  if (isTag) images.putTag(registry.host, name, reference, digest);
  return digest;
}

/** https://learn.microsoft.com/azure/event-grid/event-schema-container-registry ; an import raises no event. */
function emitImageEvent(
  world: World,
  images: ImageStore,
  registry: Registry,
  action: 'push' | 'delete',
  repository: string,
  digest: string,
  mediaType: string,
  reference: string,
  useragent: string,
): void {
  const isTag = !reference.startsWith('sha256:');
  const size = Buffer.byteLength(images.find(registry.host, repository, digest)?.content ?? '');
  const isPush = action === 'push';
  world.emit({
    topic: registry.id,
    subject: isPush && isTag ? `${repository}:${reference}` : repository,
    eventType: `Microsoft.ContainerRegistry.Image${isPush ? 'Pushed' : 'Deleted'}`,
    dataVersion: '1.0',
    data: {
      id: randomUUID(),
      timestamp: isoTime(world.clock.now()),
      action,
      location: registry.location,
      target: {
        mediaType,
        ...(isPush
          ? { size, length: size, url: `https://${registry.host}/v2/${repository}/manifests/${digest}` }
          : {}),
        digest,
        repository,
        ...(isPush && isTag ? { tag: reference } : {}),
      },
      request: { id: randomUUID(), host: registry.host, method: isPush ? 'PUT' : 'DELETE', useragent },
    },
  });
}
