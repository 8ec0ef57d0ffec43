/**
 * Codes between the two halves of a sign-in: given to the browser at `/authorize`, redeemed once by the app.
 * https://learn.microsoft.com/entra/identity-platform/v2-oauth2-auth-code-flow ; error numbers:
 * https://learn.microsoft.com/entra/identity-platform/reference-error-codes
 */
import { createHash, randomBytes } from 'node:crypto';
import type { VirtualClock } from '../../clock.ts';
import type { Answer, SignedInUser } from '../neighbours.ts';

/** Ten minutes. */
const LIFETIME = 600_000;

interface Code {
  readonly clientId: string;
  readonly redirectUri: string;
  readonly email: string;
  readonly issuedAt: number;
  readonly isRedeemed: boolean;
}

export class AuthorizationCodes {
  readonly #clock: VirtualClock;
  readonly #codes = new Map<string, Code>();

  constructor(clock: VirtualClock) {
    this.#clock = clock;
  }

  issue(clientId: string, redirectUri: string, email: string): string {
    const now = this.#clock.now();
    // They come in the order of their age; what is twice too old is not even called expired any more.
    for (const [code, { issuedAt }] of this.#codes) {
      if (now - issuedAt <= 2 * LIFETIME) break;
      this.#codes.delete(code);
    }
    const code = `1.${randomBytes(48).toString('base64url')}`;
    this.#codes.set(code, {
      clientId: clientId.toLowerCase(),
      redirectUri,
      email: email.toLowerCase(),
      issuedAt: now,
      isRedeemed: false,
    });
    return code;
  }

  redeem(clientId: string, redirectUri: string, code: string): Answer<{ user: SignedInUser }> {
    const found = this.#codes.get(code);
    if (!found || found.clientId !== clientId.toLowerCase()) {
      return refusal(70000, 'Provided grant is invalid or malformed.');
    }
    if (found.isRedeemed) {
      return refusal(
        54005,
        'OAuth2 Authorization code was already redeemed, please retry with a new valid code or use an existing refresh token.',
      );
    }
    if (this.#clock.now() - found.issuedAt > LIFETIME) {
      return refusal(
        70008,
        'The provided authorization code or refresh token has expired due to inactivity.',
      );
    }
    if (found.redirectUri !== redirectUri) {
      return refusal(
        500112,
        `The reply address '${redirectUri}' does not match the reply address '${found.redirectUri}' provided when requesting Authorization code.`,
      );
    }
    this.#codes.set(code, { ...found, isRedeemed: true });
    const { email } = found;
    // A pairwise subject: each app sees another one.
    const sub = createHash('sha256').update(`${found.clientId}\n${email}`).digest('base64url');
    return { ok: true, user: { sub, email, name: email.split('@')[0] ?? email } };
  }
}

function refusal(number: number, reason: string): { ok: false; code: string; reason: string } {
  return { ok: false, code: `AADSTS${number}`, reason };
}
