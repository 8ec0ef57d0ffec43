/**
 * The registries' data plane, `<registry>.azurecr.io`: the OCI distribution API and Azure's own `/acr/v1` beside it, and
 * what kubelets and ARM's import action ask of it. Which registries exist is ARM's to say.
 * https://github.com/opencontainers/distribution-spec/blob/main/spec.md ;
 * https://learn.microsoft.com/rest/api/containerregistry
 */
import { Hono } from 'hono';
import type { Answer, Neighbours, Registries } from './neighbours.ts';
import { addAzureRoutes } from './registry/azure-routes.ts';
import { addDistributionRoutes } from './registry/distribution-routes.ts';
import { ImageStore, type StoredManifest, UNLOCKED } from './registry/image-store.ts';
import {
  challenge,
  errorAnswer,
  manifestSchema,
  type Registry,
  type RegistryEnv,
  RegistryError,
} from './registry/registry-request.ts';
import { type Access, RegistryTokens } from './registry/registry-tokens.ts';
import { contentsOf, findUpstreamImage } from './registry/upstream-images.ts';
import type { CallContext, Service, World } from './world.ts';

const AUDIENCES = [
  'https://containerregistry.azure.net',
  'https://management.azure.com',
  'https://management.core.windows.net',
];
/** What each action of a registry token stands for among ARM's actions. */
const ARM_ACTIONS: Readonly<Record<string, string>> = {
  pull: 'Microsoft.ContainerRegistry/registries/pull/read',
  metadata_read: 'Microsoft.ContainerRegistry/registries/pull/read',
  push: 'Microsoft.ContainerRegistry/registries/push/write',
  metadata_write: 'Microsoft.ContainerRegistry/registries/push/write',
  delete: 'Microsoft.ContainerRegistry/registries/artifacts/delete',
  '*': 'Microsoft.ContainerRegistry/registries/pull/read',
};

export class ContainerRegistry implements Registries, Service {
  readonly name = 'registry';
  readonly #world: World;
  readonly #neighbours: Pick<Neighbours, 'directory' | 'authorization' | 'registryResources'>;
  readonly #images: ImageStore;
  readonly #tokens: RegistryTokens;
  /** Upstream digests that a tag has led to: what can be named by digest. */
  readonly #upstream: ReturnType<World['table']>;
  readonly #routes: Hono<RegistryEnv>;

  constructor(
    world: World,
    neighbours: Pick<Neighbours, 'directory' | 'authorization' | 'registryResources'>,
  ) {
    this.#world = world;
    this.#neighbours = neighbours;
    this.#images = new ImageStore(world);
    this.#tokens = new RegistryTokens(world);
    this.#upstream = world.table<string>('registry/upstream-digests');
    this.#routes = this.#createRoutes();
  }

  matches(host: string): boolean {
    return this.#findRegistry(host) !== undefined;
  }

  fetch(request: Request, call: CallContext): Response | Promise<Response> {
    return this.#routes.fetch(request, call);
  }

  pull(image: string, principalId: string): ReturnType<Registries['pull']> {
    const { host, repository, reference } = parseImage(image);
    const failed = (code: string, reason: string): Answer<never> => ({
      ok: false,
      code,
      reason: `failed to pull and unpack image "${image}": failed to resolve reference "${image}": ${reason}`,
    });
    if (!host.endsWith('.azurecr.io')) {
      const found = this.#findUpstream(host, repository, reference);
      if (!found) return failed('NotFound', `${image}: not found`);
      return { ok: true, digest: found.index.digest, ...contentsOf(found.index.content) };
    }
    const registry = this.#findRegistry(host);
    if (!registry) return failed('ENOTFOUND', `dial tcp: lookup ${host}: no such host`);
    if (!this.#isAllowed(principalId, registry, 'pull')) {
      return failed(
        'Unauthorized',
        `failed to authorize: failed to fetch anonymous token: unexpected status from GET request to https://${host}/oauth2/token: 401 Unauthorized`,
      );
    }
    const manifest = this.#images.find(host, repository, reference);
    if (!manifest) return failed('NotFound', `${image}: not found`);
    return { ok: true, digest: manifest.digest, ...contentsOf(manifest.content) };
  }

  importImage(
    loginServer: string,
    source: { registry: string; image: string },
    targetTags: readonly string[],
    mode: 'NoForce' | 'Force',
  ): Answer<{ digest: string }> {
    const host = loginServer.toLowerCase();
    const { repository, reference } = parseImage(`${source.registry}/${source.image}`);
    const targets = targetTags.map((target) => parseImage(`${host}/${target}`));
    const taken = targets.find((target) => this.#images.findTag(host, target.repository, target.reference));
    if (mode === 'NoForce' && taken) {
      return {
        ok: false,
        code: 'Conflict',
        reason: `Tag ${taken.repository}:${taken.reference} already exists in target registry.`,
      };
    }
    const locked = targets.find(
      (target) =>
        !(this.#images.findTag(host, target.repository, target.reference)?.attributes ?? UNLOCKED)
          .writeEnabled,
    );
    if (locked) {
      return {
        ok: false,
        code: 'Forbidden',
        reason: `Tag ${locked.repository}:${locked.reference} is locked.`,
      };
    }
    const sourceHost = source.registry.toLowerCase();
    const notFound: Answer<never> = {
      ok: false,
      code: 'NotFound',
      reason: `The source image ${source.registry}/${source.image} was not found.`,
    };
    let digest: string;
    if (this.#findRegistry(sourceHost)) {
      const manifest = this.#images.find(sourceHost, repository, reference);
      if (!manifest) return notFound;
      digest = manifest.digest;
      for (const target of targets) this.#copy(manifest, host, target.repository);
    } else {
      const image = this.#findUpstream(sourceHost, repository, reference);
      if (!image) return notFound;
      digest = image.index.digest;
      for (const target of targets) this.#images.putImage(host, target.repository, image);
    }
    for (const target of targets) this.#images.putTag(host, target.repository, target.reference, digest);
    this.#world.touch();
    return { ok: true, digest };
  }

  forget(loginServer: string): void {
    this.#images.deleteRegistry(loginServer.toLowerCase());
  }

  #findRegistry(host: string): Registry | undefined {
    if (!host.endsWith('.azurecr.io')) return undefined;
    const found = this.#neighbours.registryResources.find(host);
    return found && { ...found, host };
  }

  #findUpstream(registry: string, repository: string, reference: string) {
    if (!reference.startsWith('sha256:')) {
      const image = findUpstreamImage(registry, repository, reference);
      if (image) this.#upstream.set(`${registry}/${repository}@${image.index.digest}`, reference);
      return image;
    }
    const tag = this.#upstream.get(`${registry}/${repository}@${reference}`);
    return typeof tag === 'string' ? findUpstreamImage(registry, repository, tag) : undefined;
  }

  /** A manifest with all that it refers to. */
  #copy(manifest: StoredManifest, host: string, repository: string): void {
    const parsed = manifestSchema.parse(JSON.parse(manifest.content));
    for (const { digest } of parsed.manifests ?? []) {
      const child = this.#images.find(manifest.registry, manifest.repository, digest);
      if (child) this.#copy(child, host, repository);
    }
    for (const { digest } of [...(parsed.config ? [parsed.config] : []), ...(parsed.layers ?? [])]) {
      const blob = this.#images.findBlob(manifest.registry, digest);
      if (blob) this.#images.putBlob(host, digest, blob);
    }
    const { digest, mediaType, content } = manifest;
    this.#images.putManifest(host, repository, { digest, mediaType, content });
  }

  #isAllowed(principalId: string, registry: Registry, action: string): boolean {
    const armAction = ARM_ACTIONS[action];
    return (
      armAction !== undefined &&
      registry.publicNetworkAccess === 'Enabled' &&
      this.#neighbours.authorization.isAllowed(principalId, registry.id, { action: armAction })
    );
  }

  #createRoutes(): Hono<RegistryEnv> {
    const routes = new Hono<RegistryEnv>();
    routes.use('*', async (context, next) => {
      const registry = this.#findRegistry(context.env.host);
      if (!registry)
        throw new Error(`${context.env.host} was dispatched here although there is no such registry`);
      if (registry.publicNetworkAccess === 'Disabled') {
        throw new RegistryError(
          403,
          'DENIED',
          "client with IP '203.0.113.20' is not allowed access. Refer https://aka.ms/acr/firewall to grant access.",
        );
      }
      context.set('registry', registry);
      const [, token] = /^Bearer (.+)$/i.exec(context.req.header('authorization') ?? '') ?? [];
      const claims = token === undefined ? undefined : this.#tokens.verify('access', registry.host, token);
      if (claims) context.env.caller = claims.name;
      context.set('granted', claims?.access ?? []);
      await next();
      context.header('docker-distribution-api-version', 'registry/2.0');
    });
    routes.post('/oauth2/exchange', async (context) => {
      const form = new URLSearchParams(await context.req.text());
      const { registry } = context.var;
      const verified = this.#neighbours.directory.verifyToken(
        `Bearer ${form.get('access_token') ?? ''}`,
        AUDIENCES,
      );
      if (
        form.get('grant_type') !== 'access_token' ||
        form.get('service') !== registry.host ||
        !verified.ok
      ) {
        throw new RegistryError(
          401,
          'UNAUTHORIZED',
          `authentication required. ${verified.ok ? '' : verified.reason}`,
        );
      }
      context.env.caller = verified.principal.displayName;
      const who = { oid: verified.principal.id, name: verified.principal.displayName };
      return context.json({ refresh_token: this.#tokens.issue('refresh', registry.host, who) });
    });
    routes.post('/oauth2/token', async (context) => {
      const form = new URLSearchParams(await context.req.text());
      const { registry } = context.var;
      const claims = this.#tokens.verify('refresh', registry.host, form.get('refresh_token') ?? '');
      if (form.get('grant_type') !== 'refresh_token' || form.get('service') !== registry.host || !claims) {
        throw new RegistryError(401, 'UNAUTHORIZED', 'authentication required');
      }
      context.env.caller = claims.name;
      const access = form.getAll('scope').flatMap((scopes) =>
        scopes.split(' ').flatMap((scope): Access => {
          const [, type, name, actions] =
            /^(repository|registry|artifact-repository):([^:]+):(.+)$/.exec(scope) ?? [];
          if (type === undefined || name === undefined || actions === undefined) return [];
          const granted = actions
            .split(',')
            .filter((action) => this.#isAllowed(claims.oid, registry, action));
          return [{ type, name, actions: granted }];
        }),
      );
      return context.json({ access_token: this.#tokens.issue('access', registry.host, claims, access) });
    });
    routes.get('/v2/', (context) => {
      if (context.env.caller === 'anonymous') throw challenge(context.var.registry, '');
      return context.json({});
    });
    addDistributionRoutes(routes, this.#world, this.#images);
    addAzureRoutes(routes, this.#images);
    routes.notFound((context) =>
      errorAnswer(new RegistryError(404, 'NOT_FOUND', `${context.req.path} is not known`)),
    );
    routes.onError((error) => {
      if (error instanceof RegistryError) return errorAnswer(error);
      throw error;
    });
    return routes;
  }
}

/** `host/repo:tag`, `host/repo@sha256:…`; without a host it is Docker Hub, without a tag `latest`. */
function parseImage(image: string): { host: string; repository: string; reference: string } {
  const [named = '', digest] = image.split('@');
  const [, first = '', rest] = /^([^/]+)\/(.+)$/.exec(named) ?? [];
  const hasHost = rest !== undefined && (first.includes('.') || first.includes(':') || first === 'localhost');
  const path = hasHost ? rest : named;
  const [, repository = path, tag = 'latest'] = /^(.+?)(?::([^:/]+))?$/.exec(path) ?? [];
  return {
    host: hasHost ? first.toLowerCase() : 'docker.io',
    repository: hasHost || repository.includes('/') ? repository : `library/${repository}`,
    reference: digest ?? tag,
  };
}
