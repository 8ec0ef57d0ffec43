import Cloudflare from 'cloudflare';
import { TokenBucket } from './token-bucket.ts';

/**
 * Cloudflare grants a user 1,200 calls in five minutes, over all tokens and accounts, and blocks whoever asks for more:
 * https://developers.cloudflare.com/fundamentals/api/reference/limits. No five minutes see more than four fifths of that,
 * and of these most come back steadily: a hundred deployments need 1.6 a second for their checks and sweeps.
 */
export const createCloudflareBudget = (now?: () => number): TokenBucket =>
  new TokenBucket('Cloudflare', { size: 360, perSecond: 2 }, now);

/** How long Cloudflare blocks when it does not say. */
const BLOCK_SECONDS = 300;

/** The account's API with a token that `readToken` finds in the vault; nothing is retried here, and nothing is logged. */
export async function createCloudflare(
  readToken: () => Promise<string>,
  budget: TokenBucket,
): Promise<Cloudflare> {
  return new Cloudflare({
    apiToken: await readToken(),
    // Left to themselves these would be read from the environment.
    apiKey: null,
    apiEmail: null,
    userServiceKey: null,
    baseURL: 'https://api.cloudflare.com/client/v4',
    maxRetries: 0,
    timeout: 25_000,
    logLevel: 'off',
    fetch: async (url, init) => {
      await budget.take();
      const answer = await fetch(url, init);
      if (answer.status === 429) budget.empty(Number(answer.headers.get('retry-after')) || BLOCK_SECONDS);
      return answer;
    },
  });
}
