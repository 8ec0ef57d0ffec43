/** Azure's own API of a registry, `/acr/v1`: what there is in it, locks, and deleting. */
import type { Hono } from 'hono';
import { z } from 'zod';
import {
  type Attributes,
  type ImageStore,
  type StoredManifest,
  type StoredTag,
  UNLOCKED,
} from './image-store.ts';
import {
  getManifest,
  isoTime,
  manifestSchema,
  page,
  parseJson,
  type Registry,
  type RegistryEnv,
  RegistryError,
  refuseLocked,
  requireAccess,
} from './registry-request.ts';

const API_VERSIONS = ['2021-07-01', '2019-08-15-preview'];

const attributesSchema = z
  .strictObject({
    deleteEnabled: z.boolean(),
    writeEnabled: z.boolean(),
    listEnabled: z.boolean(),
    readEnabled: z.boolean(),
  })
  .partial();

export function addAzureRoutes(routes: Hono<RegistryEnv>, images: ImageStore): void {
  routes.use('/acr/v1/*', async (context, next) => {
    const version = context.req.query('api-version');
    if (version !== undefined && !API_VERSIONS.includes(version)) {
      throw new RegistryError(400, 'UNSUPPORTED', `The api-version ${version} is not supported.`);
    }
    await next();
  });
  routes.get('/acr/v1/_catalog', (context) => {
    const { registry, granted } = context.var;
    requireAccess(registry, granted, 'catalog', '*', 'registry');
    const { shown, link } = page(
      new URL(context.req.url),
      images.repositories(registry.host),
      (name) => name,
    );
    return context.json({ repositories: shown }, 200, link);
  });
  routes.get('/acr/v1/:name{.+}/_tags', (context) => {
    const { registry, granted } = context.var;
    const { name } = context.req.param();
    requireAccess(registry, granted, name, 'metadata_read');
    refuseUnknownRepository(images, registry, name);
    const url = new URL(context.req.url);
    const wanted = url.searchParams.get('digest');
    const tags = images.tagsOf(registry.host, name).filter((tag) => wanted === null || tag.digest === wanted);
    if (url.searchParams.get('orderby') === 'timedesc') tags.sort((a, b) => b.updatedAt - a.updatedAt);
    const { shown, link } = page(url, tags, ({ tag }) => tag);
    return context.json({ registry: registry.host, imageName: name, tags: shown.map(showTag) }, 200, link);
  });
  routes.get('/acr/v1/:name{.+}/_tags/:tag', (context) => {
    const { registry, granted } = context.var;
    const { name, tag } = context.req.param();
    requireAccess(registry, granted, name, 'metadata_read');
    return context.json({
      registry: registry.host,
      imageName: name,
      tag: showTag(getTag(images, registry, name, tag)),
    });
  });
  routes.patch('/acr/v1/:name{.+}/_tags/:tag', async (context) => {
    const { registry, granted } = context.var;
    const { name, tag } = context.req.param();
    requireAccess(registry, granted, name, 'metadata_write');
    images.lock(getTag(images, registry, name, tag), await readAttributes(context.req.raw));
    return context.json({
      registry: registry.host,
      imageName: name,
      tag: showTag(getTag(images, registry, name, tag)),
    });
  });
  routes.delete('/acr/v1/:name{.+}/_tags/:tag', (context) => {
    const { registry, granted } = context.var;
    const { name, tag } = context.req.param();
    requireAccess(registry, granted, name, 'delete');
    const found = getTag(images, registry, name, tag);
    refuseLocked(found.attributes.deleteEnabled);
    images.deleteTag(found);
    return context.body(null, 202);
  });
  routes.get('/acr/v1/:name{.+}/_manifests', (context) => {
    const { registry, granted } = context.var;
    const { name } = context.req.param();
    requireAccess(registry, granted, name, 'metadata_read');
    refuseUnknownRepository(images, registry, name);
    const url = new URL(context.req.url);
    const manifests = images.manifestsOf(registry.host, name);
    if (url.searchParams.get('orderby') === 'timedesc') manifests.sort((a, b) => b.updatedAt - a.updatedAt);
    const { shown, link } = page(url, manifests, ({ digest }) => digest);
    const manifestsShown = shown.map((manifest) => showManifest(images, manifest));
    return context.json({ registry: registry.host, imageName: name, manifests: manifestsShown }, 200, link);
  });
  routes.get('/acr/v1/:name{.+}/_manifests/:digest', (context) => {
    const { registry, granted } = context.var;
    const { name, digest } = context.req.param();
    requireAccess(registry, granted, name, 'metadata_read');
    const found = getManifest(images, registry, name, digest);
    return context.json({ registry: registry.host, imageName: name, manifest: showManifest(images, found) });
  });
  routes.patch('/acr/v1/:name{.+}/_manifests/:digest', async (context) => {
    const { registry, granted } = context.var;
    const { name, digest } = context.req.param();
    requireAccess(registry, granted, name, 'metadata_write');
    images.lock(getManifest(images, registry, name, digest), await readAttributes(context.req.raw));
    const found = getManifest(images, registry, name, digest);
    return context.json({ registry: registry.host, imageName: name, manifest: showManifest(images, found) });
  });
  routes.get('/acr/v1/:name{.+}', (context) => {
    const { registry, granted } = context.var;
    const { name } = context.req.param();
    requireAccess(registry, granted, name, 'metadata_read');
    refuseUnknownRepository(images, registry, name);
    const manifests = images.manifestsOf(registry.host, name);
    return context.json({
      registry: registry.host,
      imageName: name,
      createdTime: isoTime(Math.min(...manifests.map(({ createdAt }) => createdAt))),
      lastUpdateTime: isoTime(Math.max(...manifests.map(({ updatedAt }) => updatedAt))),
      manifestCount: manifests.length,
      tagCount: images.tagsOf(registry.host, name).length,
      changeableAttributes: UNLOCKED,
    });
  });
  routes.delete('/acr/v1/:name{.+}', (context) => {
    const { registry, granted } = context.var;
    const { name } = context.req.param();
    requireAccess(registry, granted, name, 'delete');
    refuseUnknownRepository(images, registry, name);
    const manifests = images.manifestsOf(registry.host, name);
    for (const manifest of manifests) refuseLocked(manifest.attributes.deleteEnabled);
    const tagsDeleted = images.tagsOf(registry.host, name).map(({ tag }) => tag);
    for (const manifest of manifests) images.deleteManifest(manifest);
    return context.json({ manifestsDeleted: manifests.map(({ digest }) => digest), tagsDeleted }, 202);
  });
}

function getTag(images: ImageStore, registry: Registry, name: string, tag: string): StoredTag {
  const found = images.findTag(registry.host, name, tag);
  if (!found) throw new RegistryError(404, 'TAG_UNKNOWN', 'the specified tag does not exist');
  return found;
}

function refuseUnknownRepository(images: ImageStore, registry: Registry, name: string): void {
  if (!images.repositories(registry.host).includes(name)) {
    throw new RegistryError(404, 'NAME_UNKNOWN', `repository "${name}" is not found`);
  }
}

function showManifest(images: ImageStore, manifest: StoredManifest): object {
  const { mediaType, digest, content, registry, repository } = manifest;
  const parsed = manifestSchema.parse(JSON.parse(content));
  const blobs = [...(parsed.config ? [parsed.config] : []), ...(parsed.layers ?? [])];
  return {
    digest,
    imageSize: blobs.reduce((size, blob) => size + (images.findBlob(registry, blob.digest)?.length ?? 0), 0),
    createdTime: isoTime(manifest.createdAt),
    lastUpdateTime: isoTime(manifest.updatedAt),
    mediaType,
    ...(parsed.manifests
      ? {
          references: parsed.manifests.map((child) => ({
            digest: child.digest,
            ...z.looseObject({}).catch({}).parse(child['platform']),
          })),
        }
      : {}),
    tags: images
      .tagsOf(registry, repository)
      .filter((tag) => tag.digest === digest)
      .map(({ tag }) => tag),
    changeableAttributes: manifest.attributes,
  };
}

async function readAttributes(request: Request): Promise<Partial<Attributes>> {
  const parsed = attributesSchema.safeParse(parseJson(await request.text()));
  if (!parsed.success) throw new RegistryError(400, 'INVALID_REQUEST', z.prettifyError(parsed.error));
  return Object.fromEntries(Object.entries(parsed.data).filter(([, value]) => value !== undefined));
}

function showTag(tag: StoredTag): object {
  return {
    name: tag.tag,
    digest: tag.digest,
    createdTime: isoTime(tag.createdAt),
    lastUpdateTime: isoTime(tag.updatedAt),
    signed: false,
    changeableAttributes: tag.attributes,
  };
}
