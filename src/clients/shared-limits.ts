/** What all clients of this process share, whatever their subscription: clouds count calls by caller, not by client. */
import { ArmBudget } from './arm-budget.ts';
import { ArmSnapshot } from './arm-snapshot.ts';
import { createCloudflareBudget } from './cloudflare.ts';
import type { TokenBucket } from './token-bucket.ts';

export interface SharedLimits {
  readonly arm: ArmBudget;
  readonly snapshot: ArmSnapshot;
  readonly cloudflare: TokenBucket;
}

export const createSharedLimits = (now: () => number = () => Date.now()): SharedLimits => ({
  arm: new ArmBudget(now),
  snapshot: new ArmSnapshot(now),
  cloudflare: createCloudflareBudget(now),
});
