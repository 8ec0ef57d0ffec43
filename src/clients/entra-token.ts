/**
 * Whether Microsoft Entra lets an application in with a client secret: a token request as the application itself would
 * make it, whose token is thrown away. Errors: https://learn.microsoft.com/entra/identity-platform/reference-error-codes
 */
import { z } from 'zod';
import type { Cloud } from '../config.ts';
import { retryable } from '../graph/failure.ts';

const TIMEOUT_MS = 10_000;

export interface ClientLogin {
  readonly tenantId: string;
  readonly clientId: string;
  readonly clientSecret: string;
}

export type LoginAnswer =
  | { readonly isAccepted: true }
  /** `AADSTS7000215`; Entra's whole sentence names ids and is left out. */
  | { readonly isAccepted: false; readonly code: string };

const refusalSchema = z.object({ error_codes: z.array(z.number()).min(1) });

/** Throws retryable for everything that says nothing about the secret. */
export async function requestLogin(cloud: Cloud, login: ClientLogin): Promise<LoginAnswer> {
  const answer = await fetch(`${cloud.authority}/${encodeURIComponent(login.tenantId)}/oauth2/v2.0/token`, {
    method: 'POST',
    body: new URLSearchParams({
      grant_type: 'client_credentials',
      client_id: login.clientId,
      client_secret: login.clientSecret,
      scope: `${cloud.graph}/.default`,
    }),
    signal: AbortSignal.timeout(TIMEOUT_MS),
  }).catch((error: unknown) => {
    const name = error instanceof Error ? error.name : 'unknown';
    throw retryable('EntraUnreachable', `Microsoft Entra did not answer a token request (${name})`);
  });
  if (answer.ok) {
    await answer.body?.cancel();
    return { isAccepted: true };
  }
  const refusal = refusalSchema.safeParse(await answer.json().catch(() => undefined));
  const number = refusal.data?.error_codes[0];
  if (number === undefined || answer.status === 429 || answer.status >= 500) {
    throw retryable('EntraRefused', `Microsoft Entra answered a token request with HTTP ${answer.status}`);
  }
  return { isAccepted: false, code: `AADSTS${number}` };
}
