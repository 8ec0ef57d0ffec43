/** Microsoft.Authorization/locks: what may not be deleted, or not changed at all, whoever asks. */
import { z } from 'zod';
import type { Frame } from './frame/frame.ts';
import { Refusal } from './frame/refusal.ts';
import { childMembers } from './frame/request-body.ts';
import type { ResourceType } from './frame/resource-type.ts';
import { isWithin, parentIdOf } from './frame/target.ts';

const LOCKS = 'Microsoft.Authorization/locks';

const lockBody = z.strictObject({
  ...childMembers,
  properties: z.strictObject({
    level: z.enum(['CanNotDelete', 'ReadOnly']),
    notes: z.string().max(512).optional(),
    owners: z.array(z.unknown()).optional(),
  }),
});
type Lock = z.infer<typeof lockBody>;

const locks: ResourceType<Lock, Record<string, unknown>, Lock> = {
  type: LOCKS,
  apiVersions: ['2020-05-01', '2017-04-01', '2016-09-01'],
  scope: 'any',
  body: lockBody,
  put: (_call, input) => ({ body: input }),
  remove: () => ({}),
};

/** A lock holds on its scope and below; one below also keeps the scope itself from being deleted. */
export function requireUnlocked(frame: Frame, id: string, isDeletion: boolean): void {
  if (/\/providers\/microsoft\.authorization\/locks\//i.test(id)) return;
  const found = frame.store.ofType<Lock>(LOCKS).filter((lock) => {
    const scope = parentIdOf(lock.id);
    const covers = isWithin(id, scope) || (isDeletion && isWithin(scope, id));
    return covers && (isDeletion || lock.body.properties.level === 'ReadOnly');
  });
  if (found.length === 0) return;
  const what = isDeletion ? 'delete' : 'write';
  throw new Refusal(
    409,
    'ScopeLocked',
    `The scope '${id}' cannot perform ${what} operation because following scope(s) are locked: ` +
      `'${found.map((lock) => parentIdOf(lock.id)).join("', '")}'. Please remove the lock and try again.`,
  );
}

export const lockTypes = [locks] as const;
