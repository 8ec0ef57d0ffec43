import Cloudflare from 'cloudflare';

/** The account's API with a token that `readToken` finds in the vault; nothing is retried here, and nothing is logged. */
export async function createCloudflare(readToken: () => Promise<string>): Promise<Cloudflare> {
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
  });
}
