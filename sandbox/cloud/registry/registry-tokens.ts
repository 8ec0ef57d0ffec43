/**
 * How a registry signs its callers in: an Entra token is exchanged for a refresh token, that for an access token which
 * names what it is good for. What an access token may do was decided when it was issued, as in the real service.
 * https://github.com/Azure/acr/blob/main/docs/AAD-OAuth.md
 */
import { createHmac, randomBytes, randomUUID, timingSafeEqual } from 'node:crypto';
import { z } from 'zod';
import type { World } from '../world.ts';

const REFRESH_SECONDS = 3 * 3600;
const ACCESS_SECONDS = 75 * 60;

const claimsSchema = z.looseObject({
  jti: z.string(),
  kind: z.enum(['refresh', 'access']),
  /** The registry's login server. */
  aud: z.string(),
  exp: z.number(),
  oid: z.string(),
  name: z.string(),
  access: z.array(z.strictObject({ type: z.string(), name: z.string(), actions: z.array(z.string()) })),
});

export type RegistryClaims = z.infer<typeof claimsSchema>;
export type Access = RegistryClaims['access'];

export class RegistryTokens {
  readonly #world: World;
  readonly #key: Buffer;

  constructor(world: World) {
    this.#world = world;
    const keys = world.table<string>('registry/keys');
    const key = keys.get('signing') ?? randomBytes(32).toString('hex');
    keys.set('signing', key);
    this.#key = Buffer.from(key, 'hex');
  }

  issue(
    kind: 'refresh' | 'access',
    registry: string,
    who: { oid: string; name: string },
    access: Access = [],
  ): string {
    const now = Math.floor(this.#world.clock.now() / 1000);
    const claims: RegistryClaims = {
      jti: randomUUID(),
      kind,
      iss: 'Azure Container Registry',
      aud: registry,
      sub: who.oid,
      oid: who.oid,
      name: who.name,
      iat: now,
      nbf: now,
      exp: now + (kind === 'refresh' ? REFRESH_SECONDS : ACCESS_SECONDS),
      access,
    };
    const signed = [{ alg: 'HS256', typ: 'JWT' }, claims]
      .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
      .join('.');
    return `${signed}.${this.#sign(signed).toString('base64url')}`;
  }

  /** The claims of a genuine, unexpired token of that kind for this registry. */
  verify(kind: 'refresh' | 'access', registry: string, token: string): RegistryClaims | undefined {
    const [head = '', body = '', signature = ''] = token.split('.');
    const [given, wanted] = [Buffer.from(signature, 'base64url'), this.#sign(`${head}.${body}`)];
    if (given.length !== wanted.length || !timingSafeEqual(given, wanted)) return undefined;
    const claims = claimsSchema.parse(JSON.parse(Buffer.from(body, 'base64url').toString()));
    const isGood =
      claims.kind === kind && claims.aud === registry && claims.exp * 1000 > this.#world.clock.now();
    return isGood ? claims : undefined;
  }

  #sign(text: string): Buffer {
    return createHmac('sha256', this.#key).update(text).digest();
  }
}
