/** What the routes of a registry share: errors in the distribution API's envelope, rights, paging. */
import { z } from 'zod';
import type { RegistryResources } from '../neighbours.ts';
import type { CallContext } from '../world.ts';
import type { ImageStore, StoredManifest } from './image-store.ts';
import type { Access } from './registry-tokens.ts';

export type Registry = NonNullable<ReturnType<RegistryResources['find']>> & { readonly host: string };

/** What the routes find in their context. */
export interface RegistryEnv {
  Bindings: CallContext;
  Variables: { registry: Registry; granted: Access };
}

export const manifestSchema = z.looseObject({
  config: z.looseObject({ digest: z.string() }).optional(),
  layers: z.array(z.looseObject({ digest: z.string() })).optional(),
  manifests: z.array(z.looseObject({ digest: z.string() })).optional(),
});
/** An error in the distribution API's envelope. */
export class RegistryError extends Error {
  readonly status: number;
  readonly code: string;
  readonly challenge: string | undefined;

  constructor(status: number, code: string, message: string, challenge?: string) {
    super(message);
    this.name = 'RegistryError';
    this.status = status;
    this.code = code;
    this.challenge = challenge;
  }
}

export function errorAnswer({ status, code, message, challenge }: RegistryError): Response {
  return Response.json(
    { errors: [{ code, message, detail: null }] },
    { status, headers: challenge === undefined ? {} : { 'www-authenticate': challenge } },
  );
}

export function refuseLocked(isEnabled: boolean): void {
  if (!isEnabled) {
    throw new RegistryError(
      405,
      'UNSUPPORTED',
      'The operation is disallowed on this registry, repository or image.',
    );
  }
}

/** `last` and `n`, with the next page in a Link header. */
export function page<T>(
  url: URL,
  items: readonly T[],
  nameOf: (item: T) => string,
): { shown: T[]; link: Record<string, string> } {
  const size = Number(url.searchParams.get('n') ?? 100) || 100;
  const last = url.searchParams.get('last');
  const start = last === null ? 0 : items.findIndex((item) => nameOf(item) === last) + 1;
  const shown = items.slice(start, start + size);
  const final = shown.at(-1);
  if (start + size >= items.length || final === undefined) return { shown, link: {} };
  const next = new URL(url);
  next.searchParams.set('last', nameOf(final));
  return { shown, link: { link: `<${next.pathname}${next.search}>; rel="next"` } };
}

export function isoTime(milliseconds: number): string {
  return new Date(milliseconds).toISOString();
}

export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Refuses with the challenge that tells the caller which token to fetch. */
export function requireAccess(
  registry: Registry,
  granted: Access,
  name: string,
  action: string,
  type = 'repository',
): void {
  const isGranted = granted.some(
    (access) => access.type === type && access.name === name && access.actions.includes(action),
  );
  if (!isGranted) throw challenge(registry, `${type}:${name}:${action === 'push' ? 'pull,push' : action}`);
}

export function challenge({ host }: Registry, scope: string): RegistryError {
  return new RegistryError(
    401,
    'UNAUTHORIZED',
    'authentication required, visit https://aka.ms/acr/authorization for more information.',
    `Bearer realm="https://${host}/oauth2/token",service="${host}"${scope === '' ? '' : `,scope="${scope}"`}`,
  );
}

export function getManifest(
  images: ImageStore,
  registry: Registry,
  name: string,
  reference: string,
): StoredManifest {
  const found = images.find(registry.host, name, reference);
  if (!found)
    throw new RegistryError(404, 'MANIFEST_UNKNOWN', `manifest tagged by "${reference}" is not found`);
  return found;
}
