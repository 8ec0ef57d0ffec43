/** Whether what is not there is the very thing that was there, with people's data in it, rather than one that is new. */
import { lostWith } from '../graph/drift-defaults.ts';
import type { ResourceKey } from '../graph/resource.ts';
import type { StepRecord } from '../store/store.ts';
import { type Asked, isStillAsked } from './wish.ts';

/** Names that are unique across Azure: under another one another thing is asked for, whatever else has changed. */
const nameOf: Readonly<Partial<Record<ResourceKey, (asked: Asked) => string>>> = {
  'azure/postgres-server': ({ names }) => names.postgresServer,
  'azure/storage-account': ({ names }) => names.storageAccount,
};

/** `look` is the last one, taken while it was still there. */
export function isLost(asked: Asked, look: Pick<StepRecord, 'wish' | 'outputs'> | undefined): boolean {
  if (look?.wish === undefined || lostWith(asked.key) === undefined) return false;
  if (isStillAsked(look.wish, asked)) return true;
  const name = nameOf[asked.key]?.(asked);
  return name !== undefined && look.outputs?.['name'] === name;
}

/** What to tell a person about it, and how to have an empty one all the same. */
export function whyLost(deployment: string, key: ResourceKey, title: string): string | undefined {
  const keys = lostWith(key);
  return (
    keys &&
    [
      `${title} is gone and is not made anew by itself, since that would hide the loss of what was in it:`,
      `restore it, or have an empty one made with POST /api/deployments/${deployment}/repair?resources=${keys.join(',')}`,
    ].join(' ')
  );
}
