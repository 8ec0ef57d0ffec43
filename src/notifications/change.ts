/** What others are told: a finding has appeared, has become worse, or has gone. */
import type { Finding } from '../graph/finding.ts';
import type { ResourceKey } from '../graph/resource.ts';

export interface FindingChange {
  /** The same change has the same id, however often it is told: whoever gets it twice can know. */
  readonly id: string;
  readonly deployment: string;
  readonly change: 'appeared' | 'worsened' | 'cleared';
  /** ISO 8601. */
  readonly at: string;
  readonly finding: Finding;
  /** The failing resource that it rested on then, directly or through others. */
  readonly causedBy?: ResourceKey;
}

/** Who is told. */
export const channels = ['webhook', 'topic'] as const;
export type Channel = (typeof channels)[number];

/** How often a receiver has refused a change for what it is, and when it last did. */
export interface Refusals {
  readonly times: number;
  /** ISO 8601. */
  readonly lastAt: string;
}

export interface PendingChange extends FindingChange {
  readonly refused?: Refusals;
}

/** Changes that have still to be told. */
export interface Outbox {
  /** Oldest first. */
  pending(channel: Channel, top: number): Promise<readonly PendingChange[]>;
  /** They are not told on this channel again. */
  settle(channel: Channel, changes: readonly FindingChange[]): Promise<void>;
  /** It stays pending on this channel, and comes with this from now on. */
  rememberRefused(channel: Channel, change: FindingChange, refused: Refusals): Promise<void>;
}
