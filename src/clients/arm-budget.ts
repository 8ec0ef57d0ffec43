/**
 * One budget of calls for everything in this process that talks to Azure Resource Manager, whichever client makes them.
 * ARM counts per subscription, principal and region in token buckets: reads 250 and 25 a second, writes and deletes 200
 * and 10 a second, https://learn.microsoft.com/azure/azure-resource-manager/management/request-limits-and-throttling.
 * Four fifths of that are used: the rest is for whoever else works under the same identity, another instance for one.
 */
import type { ClientOptions } from '@azure-rest/core-client';
import { TokenBucket } from './token-bucket.ts';

type PipelinePolicy = NonNullable<ClientOptions['additionalPolicies']>[number]['policy'];
type Kind = 'reads' | 'writes' | 'deletes';

const SHARE = 0.8;

const GRANTED = {
  reads: { size: 250, perSecond: 25 },
  writes: { size: 200, perSecond: 10 },
  deletes: { size: 200, perSecond: 10 },
} as const;

/** ARM's own refusals, by their bodies; others with 429 are a resource's lock or a provider's limit, which hold nobody else up. */
const OVER_BUDGET = /"code"\s*:\s*"(SubscriptionRequestsThrottled|TenantRequestsThrottled|TooManyRequests)"/i;

export class ArmBudget {
  /** For the pipeline of every client of ARM. */
  readonly policy: PipelinePolicy;
  readonly #now: () => number;
  readonly #buckets = new Map<string, TokenBucket>();

  constructor(now: () => number = () => Date.now()) {
    this.#now = now;
    this.policy = {
      name: 'armBudget',
      sendRequest: async (request, next) => {
        const bucket = this.#bucketFor(request);
        await bucket.take();
        const response = await next(request);
        if (response.status === 429 && OVER_BUDGET.test(response.bodyAsText ?? '')) {
          const seconds = Number(response.headers.get('retry-after'));
          bucket.empty(seconds > 0 ? seconds : 1);
        }
        return response;
      },
    };
  }

  #bucketFor({ url, method }: { readonly url: string; readonly method: string }): TokenBucket {
    // Some clients put two slashes before an id.
    const subscription = /^\/+subscriptions\/([^/]+)/i.exec(new URL(url).pathname)?.[1]?.toLowerCase();
    const kind = kindOf(method);
    const key = `${subscription ?? ''}/${kind}`;
    const known = this.#buckets.get(key);
    if (known) return known;
    const { size, perSecond } = GRANTED[kind];
    const made = new TokenBucket(
      `Azure Resource Manager for ${kind}`,
      { size: size * SHARE, perSecond: perSecond * SHARE },
      this.#now,
    );
    this.#buckets.set(key, made);
    return made;
  }
}

function kindOf(method: string): Kind {
  if (method === 'GET' || method === 'HEAD') return 'reads';
  return method === 'DELETE' ? 'deletes' : 'writes';
}
