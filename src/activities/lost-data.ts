/** Whether what is not there is the very thing that was there, with people's data in it, rather than one that is new. */
import { lostWith, whyNotAnew } from '../graph/drift-defaults.ts';
import type { Outputs, ResourceKey } from '../graph/resource.ts';
import type { StepRecord } from '../store/store.ts';
import { type Asked, isStillAsked } from './wish.ts';

/** By what it tells, the thing that was there; under another name another is asked for, whatever else has changed. */
const identityOf: Readonly<Partial<Record<ResourceKey, (asked: Asked) => Outputs>>> = {
  'azure/postgres-server': ({ names }) => ({ name: names.postgresServer }),
  'azure/postgres-database': ({ names, spec }) => ({
    name: spec.postgres.database,
    server: names.postgresServer,
  }),
  'azure/storage-account': ({ names }) => ({ name: names.storageAccount }),
  'azure/file-share': ({ names, spec }) => ({ name: spec.storage.share, account: names.storageAccount }),
  // Its key in the directory comes of the deployment's name alone.
  'entra/application': () => ({}),
};

/** `look` is the last one, taken while it was still there. */
export function isLost(asked: Asked, look: Pick<StepRecord, 'wish' | 'outputs'> | undefined): boolean {
  if (look?.wish === undefined || lostWith(asked.key) === undefined) return false;
  if (isStillAsked(look.wish, asked)) return true;
  const identity = identityOf[asked.key]?.(asked);
  return (
    identity !== undefined &&
    Object.entries(identity).every(([field, value]) => look.outputs?.[field] === value)
  );
}

/** What to tell a person about it, and how to have an empty one all the same. */
export function whyLost(deployment: string, key: ResourceKey, title: string): string | undefined {
  const keys = lostWith(key);
  return (
    keys &&
    [
      `${title} is gone and is not made anew by itself: ${whyNotAnew(key)}.`,
      `Restore it, or have another one made with POST /api/deployments/${deployment}/repair?resources=${keys.join(',')}`,
    ].join(' ')
  );
}
