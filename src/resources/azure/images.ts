/**
 * The stack's images in the deployment's own registry, copied there by Azure (no Docker anywhere) and from then on
 * known by digest: tags of the source may move, what runs does not. An import does not show until it is complete, so a
 * running one is remembered; whether it has come is asked of the registry itself.
 */
import { hasCode, orAbsent } from '../../clients/cloud-failure.ts';
import { forget, isUnderWay, submit } from '../../clients/operations.ts';
import type { Names } from '../../naming.ts';
import type { DeploymentSpec, ImageName } from '../../spec/spec.ts';
import { defineResource, type Scope } from '../scope.ts';
import { registry } from './registry.ts';

const LOOK_AGAIN_SECONDS = 5;

/** Where an image comes from and what it is called in our registry. */
export interface Import {
  readonly image: ImageName;
  /** Host of the source registry; Docker Hub's official images are in its `library/`. */
  readonly registryUri: string;
  readonly sourceImage: string;
  readonly repository: string;
  /** A tag, or a digest when the source is named by one. */
  readonly reference: string;
}

export function importOf(
  image: ImageName,
  { source, repository }: { source: string; repository: string },
): Import {
  const [registryUri = '', ...path] = source.split('/');
  const sourceImage = path.join('/');
  const reference = sourceImage.includes('@') ? sourceImage.split('@')[1] : sourceImage.split(':')[1];
  return { image, registryUri, sourceImage, repository, reference: reference ?? '' };
}

/** Ollama only when it runs here, Redis only when replicas have to share their sessions and there is no other. */
export function wantedImages(spec: DeploymentSpec): readonly Import[] {
  const { images } = spec.registry;
  const wanted: Readonly<Record<ImageName, boolean>> = {
    openWebui: true,
    ollama: spec.ollama.externalUrl === undefined,
    cloudflared: true,
    redis: spec.webui.replicas > 1 && spec.webui.redisUrl === undefined,
  };
  return (['openWebui', 'ollama', 'cloudflared', 'redis'] as const)
    .filter((name) => wanted[name])
    .map((name) => importOf(name, images[name]));
}

const isDigest = (reference: string): boolean => reference.startsWith('sha256:');

/** The digest in our registry, or undefined while it is not there. */
async function digestOf(
  scope: Scope,
  loginServer: string,
  { repository, reference }: Import,
): Promise<string | undefined> {
  const artifact = scope.clients.registryContent(loginServer).getArtifact(repository, reference);
  if (isDigest(reference)) return (await orAbsent(artifact.getManifestProperties()))?.digest;
  return (await orAbsent(artifact.getTagProperties(reference)))?.digest;
}

const importKey = (names: Names, { repository, reference }: Import): string =>
  `${names.deployment}/azure/images/${names.registry}/${repository}:${reference}`;

type Outputs = Readonly<Record<ImageName, string>>;

export const images = defineResource<{ readonly registry: typeof registry }, Outputs>({
  key: 'azure/images',
  title: 'Images',
  dependsOn: { registry },

  async observe(scope, deps) {
    const { loginServer } = deps.registry;
    const looks = await Promise.all(
      wantedImages(scope.spec).map(async (wanted) => ({
        wanted,
        digest: await digestOf(scope, loginServer, wanted),
      })),
    );
    const outputs: Outputs = {
      ...{ openWebui: '', ollama: '', cloudflared: '', redis: '' },
      ...Object.fromEntries(
        looks.map(({ wanted, digest }) => [
          wanted.image,
          digest ? `${loginServer}/${wanted.repository}@${digest}` : '',
        ]),
      ),
    };
    for (const { wanted, digest } of looks) if (digest) forget(scope.clients, importKey(scope.names, wanted));
    const lacking = looks.filter(({ digest }) => !digest).map(({ wanted }) => wanted);
    if (lacking.length === 0) return { state: 'ready', outputs };
    const underWay = await Promise.all(
      lacking.map((wanted) => isUnderWay(scope.clients, importKey(scope.names, wanted))),
    );
    const idle = lacking.filter((_, index) => !underWay[index]);
    if (idle.length === 0) {
      const reason = `importing ${lacking.map(({ sourceImage }) => sourceImage).join(', ')}`;
      return { state: 'changing', reason, retryAfterSeconds: LOOK_AGAIN_SECONDS };
    }
    if (idle.length === looks.length) return { state: 'absent' };
    const differences = idle.map(({ image, registryUri, sourceImage }) => ({
      path: image,
      wanted: `${registryUri}/${sourceImage}`,
      found: null,
    }));
    return { state: 'drifted', outputs, differences };
  },

  async ensure(scope, deps) {
    const { registries } = scope.clients.registries();
    for (const wanted of wantedImages(scope.spec)) {
      const operation = importKey(scope.names, wanted);
      if (
        (await digestOf(scope, deps.registry.loginServer, wanted)) ||
        (await isUnderWay(scope.clients, operation))
      )
        continue;
      const { registryUri, sourceImage, repository, reference } = wanted;
      const target = isDigest(reference)
        ? { untaggedTargetRepositories: [repository] }
        : { targetTags: [`${repository}:${reference}`] };
      const source = { registryUri, sourceImage };
      try {
        await submit(
          scope.clients,
          operation,
          registries.importImage(scope.names.resourceGroup, deps.registry.name, {
            source,
            ...target,
            mode: 'NoForce',
          }),
        );
      } catch (error) {
        // Somebody was faster: with NoForce the registry refuses a tag that exists, and the next look reads its digest.
        if (!hasCode(error, 'Conflict', 'TagAlreadyExists')) throw error;
      }
    }
  },

  /** They go with the registry; who adopts it later keeps them. */
  async remove() {},
});
