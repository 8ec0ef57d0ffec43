/** The extension's built-in activity behind `context.df.callHttp`. */
import { z } from 'zod';

/** The extension's name for it; no function of the app can have it. */
export const httpActivityName = 'BuiltIn::HttpActivity';

const requestSchema = z.object({
  method: z.string(),
  uri: z.string(),
  content: z.string().nullish(),
  headers: z.record(z.string(), z.string()).nullish(),
  tokenSource: z.unknown().optional(),
});

export interface DurableHttpResponse {
  readonly statusCode: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly content: string;
}

/** Sends the request once. Throws when it cannot be sent, or asks for a managed identity's token. */
export async function sendHttpRequest(value: unknown): Promise<DurableHttpResponse> {
  const { method, uri, content, headers, tokenSource } = requestSchema.parse(value);
  if (tokenSource) throw new Error('callHttp with a tokenSource is not supported by this host.');
  const answer = await fetch(uri, {
    method,
    headers: headers ?? {},
    body: content ?? null,
    redirect: 'manual',
  });
  return {
    statusCode: answer.status,
    headers: Object.fromEntries(answer.headers),
    content: await answer.text(),
  };
}
