/**
 * The stack's images in the deployment's own registry, known by digest: tags may move, what runs does not. Which digest
 * is the one to run NOW is read from the registry's tags at each look, so that a push needs no memory: an event only
 * makes the engine look. What failed here (the quarantine) is passed over, under whatever tag it comes.
 *
 * As long as there is nothing to choose from, the source is imported, copied by Azure (no Docker anywhere). An import
 * does not show until it is complete, so a running one is remembered; whether it has come is asked of the registry.
 */
import { hasCode, orAbsent } from '../../clients/cloud-failure.ts';
import { forget, isUnderWay, submit } from '../../clients/operations.ts';
import type { Names } from '../../naming.ts';
import type { DeploymentSpec, ImageName } from '../../spec/spec.ts';
import { defineResource, noWishes, type Scope, type Wishes } from '../scope.ts';
import { registry } from './registry.ts';
import { admitted, referenceOf, type Tag, type TagPolicy, tagPolicyOf, untainted } from './tag-policy.ts';

const LOOK_AGAIN_SECONDS = 5;

type ImageSpec = DeploymentSpec['registry']['images'][ImageName];

/** Where an image comes from, what it is called in our registry, and which of its tags is wished. */
export interface WantedImage {
  readonly image: ImageName;
  /** Host of the source registry; Docker Hub's official images are in its `library/`. */
  readonly registryUri: string;
  readonly sourceImage: string;
  readonly repository: string;
  readonly policy: TagPolicy;
  /** The tag that the source is imported under, or its digest when it is named by one. */
  readonly reference: string;
}

export function wantedImage(image: ImageName, { source, repository, follow }: ImageSpec): WantedImage {
  const [registryUri = '', ...path] = source.split('/');
  const policy = tagPolicyOf({ source, follow });
  const reference = policy.kind === 'tag' ? policy.tag : referenceOf(source);
  return { image, registryUri, sourceImage: path.join('/'), repository, policy, reference };
}

/**
 * Ollama only when it runs here, Redis only when replicas have to share their sessions and there is no other, tools only
 * while somebody wants to look into things by hand.
 */
export function wantedImages(
  spec: DeploymentSpec,
  { debugPods }: Pick<Wishes, 'debugPods'> = noWishes,
): readonly WantedImage[] {
  const { images } = spec.registry;
  const wanted: Readonly<Record<ImageName, boolean>> = {
    openWebui: true,
    ollama: spec.ollama.externalUrl === undefined,
    cloudflared: true,
    redis: spec.webui.replicas > 1 && spec.webui.redisUrl === undefined,
    netshoot: debugPods.some(({ kind }) => kind === 'netshoot'),
    postgresClient: debugPods.some(({ kind }) => kind === 'psql'),
  };
  return (['openWebui', 'ollama', 'cloudflared', 'redis', 'netshoot', 'postgresClient'] as const)
    .filter((name) => wanted[name])
    .map((name) => wantedImage(name, images[name]));
}

/** What the policy finds in our registry, best first; empty while the image is not there. */
async function tagsOf(
  { clients }: Scope,
  loginServer: string,
  { repository, policy, reference }: WantedImage,
): Promise<readonly Pick<Tag, 'digest'>[]> {
  const registry = clients.registryContent(loginServer);
  if (policy.kind === 'digest') {
    const manifest = registry.getArtifact(repository, policy.digest).getManifestProperties();
    const found = await orAbsent(manifest);
    return found ? [found] : [];
  }
  if (policy.kind === 'tag') {
    const found = await orAbsent(registry.getArtifact(repository, policy.tag).getTagProperties(policy.tag));
    return found ? [found] : [];
  }
  const listing = async (): Promise<Tag[]> => {
    const tags: Tag[] = [];
    // @azure/container-registry 1.1.2 lists the tags of the whole repository, whichever artifact it is asked of.
    const all = registry.getArtifact(repository, reference).listTagProperties();
    for await (const { name, digest, lastUpdatedOn } of all) {
      tags.push({ name, digest, updatedAt: lastUpdatedOn });
    }
    return tags;
  };
  return admitted(policy, (await orAbsent(listing())) ?? []);
}

const importKey = (names: Names, { repository, reference }: WantedImage): string =>
  `${names.deployment}/azure/images/${names.registry}/${repository}:${reference}`;

/** By image, `<login server>/<repository>@sha256:…`; empty when nothing is left that has not failed here. */
type Outputs = Readonly<Record<ImageName, string>>;

export const images = defineResource<{ readonly registry: typeof registry }, Outputs>({
  key: 'azure/images',
  title: 'Images',
  dependsOn: { registry },

  async observe(scope, deps) {
    const { loginServer } = deps.registry;
    const looks = await Promise.all(
      wantedImages(scope.spec, scope.wishes).map(async (wanted) => ({
        wanted,
        tags: await tagsOf(scope, loginServer, wanted),
      })),
    );
    const outputs: Outputs = {
      ...{ openWebui: '', ollama: '', cloudflared: '', redis: '', netshoot: '', postgresClient: '' },
      ...Object.fromEntries(
        looks.map(({ wanted, tags }) => {
          const chosen = untainted(tags, scope.quarantine);
          return [wanted.image, chosen ? `${loginServer}/${wanted.repository}@${chosen.digest}` : ''];
        }),
      ),
    };
    for (const { wanted, tags } of looks) {
      if (tags.length > 0) forget(scope.clients, importKey(scope.names, wanted));
    }
    const lacking = looks.filter(({ tags }) => tags.length === 0).map(({ wanted }) => wanted);
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
    for (const wanted of wantedImages(scope.spec, scope.wishes)) {
      const operation = importKey(scope.names, wanted);
      if (
        (await tagsOf(scope, deps.registry.loginServer, wanted)).length > 0 ||
        (await isUnderWay(scope.clients, operation))
      )
        continue;
      const { registryUri, sourceImage, repository, reference, policy } = wanted;
      const target =
        policy.kind === 'digest'
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
