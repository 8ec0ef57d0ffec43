/** What a trigger asks for: where to look, and why. It carries no instruction what to do. */
import type { ResourceKey } from './resource.ts';

/** Everything; or some resources, and whatever depends on what has changed about them. */
export type Look = 'all' | readonly ResourceKey[];

/** Why something is done: somebody asked, something happened, or it was time to look. */
export interface Cause {
  readonly kind: 'request' | 'event' | 'timer';
  /** One sentence for people: `PUT /api/deployments/open-webui`. */
  readonly what: string;
  /** Id of the request or event, where it has one. */
  readonly id?: string;
}

/** What a recorded piece of work is about, from what says most to what says least. */
export const operationKinds = [
  'provision',
  'rotation',
  'maintenance',
  'repair',
  'reaction',
  'sweep',
] as const;
export type OperationKind = (typeof operationKinds)[number];
