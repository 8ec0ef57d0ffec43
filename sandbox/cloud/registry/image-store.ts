/** What the registries hold: manifests by digest, tags that point to them, blobs, and the locks on each. */
import type { Table, World } from '../world.ts';
import type { Image, Manifest } from './upstream-images.ts';

export interface Attributes {
  readonly deleteEnabled: boolean;
  readonly writeEnabled: boolean;
  readonly listEnabled: boolean;
  readonly readEnabled: boolean;
}

export const UNLOCKED: Attributes = {
  deleteEnabled: true,
  writeEnabled: true,
  listEnabled: true,
  readEnabled: true,
};

interface Entry {
  readonly registry: string;
  readonly repository: string;
  readonly createdAt: number;
  readonly updatedAt: number;
  readonly attributes: Attributes;
}

export interface StoredManifest extends Entry, Manifest {}

export interface StoredTag extends Entry {
  readonly tag: string;
  readonly digest: string;
}

export class ImageStore {
  readonly #world: World;
  readonly #manifests: Table<StoredManifest>;
  readonly #tags: Table<StoredTag>;
  /** Base64, by registry and digest. */
  readonly #blobs: Table<string>;

  constructor(world: World) {
    this.#world = world;
    this.#manifests = world.table('registry/manifests');
    this.#tags = world.table('registry/tags');
    this.#blobs = world.table('registry/blobs');
  }

  /** By `tag` or `sha256:…`. */
  find(registry: string, repository: string, reference: string): StoredManifest | undefined {
    const digest = reference.startsWith('sha256:')
      ? reference
      : this.findTag(registry, repository, reference)?.digest;
    return digest === undefined ? undefined : this.#manifests.get(`${registry}/${repository}@${digest}`);
  }

  findTag(registry: string, repository: string, tag: string): StoredTag | undefined {
    return this.#tags.get(`${registry}/${repository}:${tag}`);
  }

  findBlob(registry: string, digest: string): Buffer | undefined {
    const text = this.#blobs.get(`${registry}@${digest}`);
    return text === undefined ? undefined : Buffer.from(text, 'base64');
  }

  repositories(registry: string): string[] {
    const names = this.#manifests.values().filter((manifest) => manifest.registry === registry);
    return [...new Set(names.map(({ repository }) => repository))].sort();
  }

  manifestsOf(registry: string, repository: string): StoredManifest[] {
    return this.#manifests
      .values()
      .filter((manifest) => manifest.registry === registry && manifest.repository === repository)
      .sort((a, b) => a.digest.localeCompare(b.digest));
  }

  tagsOf(registry: string, repository: string): StoredTag[] {
    return this.#tags
      .values()
      .filter((tag) => tag.registry === registry && tag.repository === repository)
      .sort((a, b) => a.tag.localeCompare(b.tag));
  }

  putImage(registry: string, repository: string, image: Image): void {
    for (const { digest, content } of image.blobs) this.putBlob(registry, digest, Buffer.from(content));
    for (const manifest of [...image.children, image.index]) this.putManifest(registry, repository, manifest);
  }

  putManifest(registry: string, repository: string, manifest: Manifest): void {
    const key = `${registry}/${repository}@${manifest.digest}`;
    const known = this.#manifests.get(key);
    const now = this.#world.clock.now();
    this.#manifests.set(key, {
      ...manifest,
      registry,
      repository,
      createdAt: known?.createdAt ?? now,
      updatedAt: now,
      attributes: known?.attributes ?? UNLOCKED,
    });
  }

  putTag(registry: string, repository: string, tag: string, digest: string): void {
    const known = this.findTag(registry, repository, tag);
    const now = this.#world.clock.now();
    this.#tags.set(`${registry}/${repository}:${tag}`, {
      registry,
      repository,
      tag,
      digest,
      createdAt: known?.createdAt ?? now,
      updatedAt: now,
      attributes: known?.attributes ?? UNLOCKED,
    });
  }

  putBlob(registry: string, digest: string, content: Buffer): void {
    this.#blobs.set(`${registry}@${digest}`, content.toString('base64'));
  }

  lock(entry: StoredManifest | StoredTag, attributes: Partial<Attributes>): void {
    const locked = { ...entry, attributes: { ...entry.attributes, ...attributes } };
    if ('content' in locked) {
      this.#manifests.set(`${entry.registry}/${entry.repository}@${entry.digest}`, locked);
    } else {
      this.#tags.set(`${entry.registry}/${entry.repository}:${locked.tag}`, locked);
    }
  }

  deleteTag({ registry, repository, tag }: StoredTag): void {
    this.#tags.delete(`${registry}/${repository}:${tag}`);
  }

  /** Takes the tags that point to it along. */
  deleteManifest({ registry, repository, digest }: StoredManifest): void {
    for (const tag of this.tagsOf(registry, repository)) if (tag.digest === digest) this.deleteTag(tag);
    this.#manifests.delete(`${registry}/${repository}@${digest}`);
  }

  deleteRegistry(registry: string): void {
    for (const repository of this.repositories(registry)) {
      for (const manifest of this.manifestsOf(registry, repository)) this.deleteManifest(manifest);
    }
    for (const [key] of this.#blobs.entries()) if (key.startsWith(`${registry}@`)) this.#blobs.delete(key);
  }
}
