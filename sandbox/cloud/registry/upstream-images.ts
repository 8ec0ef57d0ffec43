/**
 * The public images that the sandbox's world knows. Every plausible version of a known repository exists; nothing else
 * does. Manifests are real OCI documents whose SHA-256 is their digest, made from the name alone, so that the same tag
 * has the same digest on every machine. The layers hold a line of text instead of a program: what the image does when
 * it runs is told by its annotations, which travel with every copy.
 */
import { createHash } from 'node:crypto';
import { z } from 'zod';
import type { Behaviour, Software } from '../neighbours.ts';

export const INDEX_TYPE = 'application/vnd.oci.image.index.v1+json';
export const MANIFEST_TYPE = 'application/vnd.oci.image.manifest.v1+json';
const TITLE = 'org.opencontainers.image.title';
/** Of the sandbox alone: what a bad build does. */
const BEHAVIOUR = 'com.example.sandbox.behaviour';

/** By registry and repository, with the title that the image carries. */
const TITLES: Readonly<Record<string, string>> = {
  'docker.io/ollama/ollama': 'ollama',
  'ghcr.io/open-webui/open-webui': 'open-webui',
  'docker.io/cloudflare/cloudflared': 'cloudflared',
  'docker.io/valkey/valkey': 'valkey',
  'docker.io/nicolaka/netshoot': 'netshoot',
  'docker.io/library/postgres': 'postgres',
  'docker.io/library/busybox': 'busybox',
  'ghcr.io/external-secrets/external-secrets': 'external-secrets',
  'ghcr.io/stakater/reloader': 'reloader',
};
const SOFTWARE: readonly Software[] = [
  'open-webui',
  'ollama',
  'cloudflared',
  'valkey',
  'external-secrets',
  'reloader',
];

const BEHAVIOURS: readonly Behaviour[] = ['crashes', 'never-ready', 'broken-page'];

/** Versions, the moving tags that projects publish, and variants of both. */
const PLAUSIBLE_TAG = /^(v?\d+(\.\d+){0,3}|latest|main|stable|dev)([-.][A-Za-z0-9]+([.-][A-Za-z0-9]+)*)?$/;
const PLATFORMS = ['amd64', 'arm64'] as const;

export interface Manifest {
  readonly digest: string;
  readonly mediaType: string;
  /** The exact text whose hash is the digest. */
  readonly content: string;
}

export interface Image {
  /** What the tag points to. */
  readonly index: Manifest;
  readonly children: readonly Manifest[];
  readonly blobs: readonly { readonly digest: string; readonly content: string }[];
}

/** The image of that tag in a public registry (`docker.io`, `ollama/ollama`, `0.13.0`), if there is one. */
export function findUpstreamImage(registry: string, repository: string, tag: string): Image | undefined {
  const host = ['registry-1.docker.io', 'index.docker.io', 'registry.hub.docker.com'].includes(registry)
    ? 'docker.io'
    : registry;
  const name = `${host}/${repository}`;
  const title = TITLES[name];
  if (title === undefined || !PLAUSIBLE_TAG.test(tag)) return undefined;
  const annotations = {
    [TITLE]: title,
    'org.opencontainers.image.version': tag,
    'org.opencontainers.image.ref.name': `${name}:${tag}`,
  };
  const built = PLATFORMS.map((architecture) => buildChild(name, tag, architecture, annotations));
  const index = toManifest(INDEX_TYPE, {
    schemaVersion: 2,
    mediaType: INDEX_TYPE,
    manifests: built.map(({ manifest, architecture }) => ({
      mediaType: MANIFEST_TYPE,
      digest: manifest.digest,
      size: Buffer.byteLength(manifest.content),
      platform: { architecture, os: 'linux' },
    })),
    annotations,
  });
  return {
    index,
    children: built.map(({ manifest }) => manifest),
    blobs: built.flatMap(({ blobs }) => blobs),
  };
}

/** What a container of the image does, by the annotations of its manifest or index. */
export function contentsOf(manifestText: string): { software: Software; behaviour: Behaviour | undefined } {
  const { annotations } = annotatedSchema.parse(JSON.parse(manifestText));
  const behaviour = annotations[BEHAVIOUR];
  const software = SOFTWARE.find((known) => known === annotations[TITLE]) ?? 'other';
  return { software, behaviour: BEHAVIOURS.find((known) => known === behaviour) };
}

const annotatedSchema = z.object({ annotations: z.record(z.string(), z.string()).catch({}).default({}) });

export function digestOf(content: string | Uint8Array): string {
  return `sha256:${createHash('sha256').update(content).digest('hex')}`;
}

function buildChild(name: string, tag: string, architecture: string, annotations: Record<string, string>) {
  const layer = `${name}:${tag} for linux/${architecture}\n`;
  const config = JSON.stringify({
    architecture,
    os: 'linux',
    config: { Labels: annotations },
    rootfs: { type: 'layers', diff_ids: [digestOf(layer)] },
    history: [{ created_by: 'open-webui-control-plane sandbox' }],
  });
  const manifest = toManifest(MANIFEST_TYPE, {
    schemaVersion: 2,
    mediaType: MANIFEST_TYPE,
    config: {
      mediaType: 'application/vnd.oci.image.config.v1+json',
      digest: digestOf(config),
      size: Buffer.byteLength(config),
    },
    layers: [
      {
        mediaType: 'application/vnd.oci.image.layer.v1.tar',
        digest: digestOf(layer),
        size: Buffer.byteLength(layer),
      },
    ],
    annotations,
  });
  const blobs = [config, layer].map((content) => ({ digest: digestOf(content), content }));
  return { architecture, manifest, blobs };
}

function toManifest(mediaType: string, document: object): Manifest {
  const content = JSON.stringify(document, null, 2);
  return { digest: digestOf(content), mediaType, content };
}
