/**
 * Server-side apply: merge what a manager states into the object, keep account of who owns which field, refuse to take
 * a field another manager owns unless forced, and drop fields that their last owner no longer states. After
 * sigs.k8s.io/structured-merge-diff/merge/update.go.
 */
import { type Fields, isFields, type KubeObject, type ManagedFieldsEntry } from '../object.ts';
import {
  compare,
  difference,
  type FieldSet,
  fieldsOf,
  intersection,
  isEmptySet,
  itemElement,
  pathsOf,
  union,
  unowned,
  withoutFields,
} from './field-set.ts';
import { childSchema, isLeaf, type Schema } from './schema.ts';
import { type Cause, StatusError } from './status-error.ts';

export interface Manager {
  readonly name: string;
  readonly operation: 'Apply' | 'Update';
  readonly apiVersion: string;
  readonly subresource: string;
}

/** Fields the server sets itself: nobody owns them. */
const UNOWNED: FieldSet = {
  'f:apiVersion': {},
  'f:kind': {},
  'f:metadata': Object.fromEntries(
    [
      '.',
      'f:name',
      'f:namespace',
      'f:creationTimestamp',
      'f:selfLink',
      'f:uid',
      'f:clusterName',
      'f:generation',
      'f:managedFields',
      'f:resourceVersion',
      'f:deletionTimestamp',
      'f:deletionGracePeriodSeconds',
    ].map((element) => [element, {}]),
  ),
};

function isManager(entry: ManagedFieldsEntry, manager: Manager): boolean {
  return (
    entry.manager === manager.name &&
    entry.operation === manager.operation &&
    (entry.subresource ?? '') === manager.subresource &&
    (manager.operation === 'Apply' || entry.apiVersion === manager.apiVersion)
  );
}

function setOf(entry: ManagedFieldsEntry): FieldSet {
  return entry.fieldsV1 as FieldSet;
}

function withSets(
  entries: readonly ManagedFieldsEntry[],
  change: (entry: ManagedFieldsEntry) => FieldSet,
): ManagedFieldsEntry[] {
  return entries
    .map((entry) => ({ ...entry, fieldsV1: change(entry) as Fields }))
    .filter((entry) => !isEmptySet(setOf(entry)));
}

function entryOf(manager: Manager, set: FieldSet, now: string): ManagedFieldsEntry {
  return {
    manager: manager.name,
    operation: manager.operation,
    apiVersion: manager.apiVersion,
    time: now,
    fieldsType: 'FieldsV1',
    fieldsV1: set as Fields,
    ...(manager.subresource === '' ? {} : { subresource: manager.subresource }),
  };
}

/**
 * The object after this manager applied `config` to it, with `managedFields` brought up to date.
 * Throws 409 with the conflicts when another manager owns what would change and `force` is not set.
 */
export function applyTo(
  live: KubeObject | undefined,
  config: Fields,
  schema: Schema,
  manager: Manager,
  options: { readonly force: boolean; readonly now: string },
): Fields {
  const stated = difference(fieldsOf(config, schema), UNOWNED);
  const entries = live?.metadata.managedFields ?? [];
  const mine = entries.find((entry) => isManager(entry, manager));
  const others = entries.filter((entry) => entry !== mine);
  const merged = live === undefined ? config : merge(live as unknown as Fields, config, schema);
  const owned = others.reduce((all, entry) => union(all, setOf(entry)), stated);
  const dropped = mine === undefined ? {} : unowned(difference(setOf(mine), stated), owned);
  const pruned = withoutFields(merged, dropped, schema);
  const result: Fields = isFields(pruned) ? pruned : {};
  const changes = compare(live ?? {}, result, schema);
  const touched = difference(union(changes.modified, changes.added), UNOWNED);
  const conflicts = others
    .map((entry) => ({ entry, set: intersection(setOf(entry), touched) }))
    .filter(({ set }) => !isEmptySet(set));
  if (conflicts.length > 0 && !options.force) throw conflictOf(conflicts);
  const kept = withSets(others, (entry) => {
    const taken = conflicts.find((one) => one.entry === entry)?.set ?? {};
    return difference(difference(setOf(entry), taken), changes.removed);
  });
  // The time is that of the last apply by this manager that changed the object (managedfieldsupdater.go).
  const isChanged = [changes.added, changes.modified, changes.removed].some(
    (set) => !isEmptySet(difference(set, UNOWNED)),
  );
  const own = entryOf(manager, stated, isChanged ? options.now : (mine?.time ?? options.now));
  const metadata = isFields(result['metadata']) ? result['metadata'] : {};
  const managedFields = isEmptySet(stated) ? kept : [...kept, own];
  return { ...result, metadata: { ...metadata, managedFields } };
}

function conflictOf(
  conflicts: readonly { readonly entry: ManagedFieldsEntry; readonly set: FieldSet }[],
): StatusError {
  const causes: Cause[] = conflicts.flatMap(({ entry, set }) =>
    pathsOf(set).map((field) => ({
      reason: 'FieldManagerConflict',
      message: `conflict with ${printManager(entry)}`,
      field,
    })),
  );
  const first = causes[0];
  const message =
    causes.length === 1 && first
      ? `Apply failed with 1 conflict: ${first.message}: ${first.field}`
      : `Apply failed with ${causes.length} conflicts: ${conflicts
          .map(
            ({ entry, set }) =>
              `conflicts with ${printManager(entry)}:\n${pathsOf(set)
                .map((path) => `- ${path}`)
                .join('\n')}`,
          )
          .join('\n')}`;
  return new StatusError(409, 'Conflict', message, { causes });
}

function printManager(entry: ManagedFieldsEntry): string {
  const where = entry.subresource === undefined ? '' : ` with subresource "${entry.subresource}"`;
  return entry.operation === 'Apply'
    ? `"${entry.manager}"${where}`
    : `"${entry.manager}"${where} using ${entry.apiVersion}`;
}

/** Accounts for a write that was not an apply: the manager owns what it changed, nobody owns what it removed. */
export function accountForUpdate(
  before: KubeObject | undefined,
  after: KubeObject,
  schema: Schema,
  manager: Manager,
  now: string,
): ManagedFieldsEntry[] {
  const changes = compare(before ?? {}, after, schema);
  const touched = difference(union(changes.modified, changes.added), UNOWNED);
  const entries = before?.metadata.managedFields ?? [];
  if (isEmptySet(touched) && isEmptySet(difference(changes.removed, UNOWNED))) return [...entries];
  const mine = entries.find((entry) => isManager(entry, manager));
  const others = withSets(
    entries.filter((entry) => entry !== mine),
    (entry) => difference(difference(setOf(entry), changes.removed), changes.modified),
  );
  const own = union(difference(mine ? setOf(mine) : {}, changes.removed), touched);
  return isEmptySet(own) ? others : [...others, entryOf(manager, own, now)];
}

/** What is stated laid over what is there, by the schema's keys. */
export function merge(live: unknown, stated: unknown, schema: Schema): unknown {
  if (isLeaf(schema, stated) || isLeaf(schema, live)) return stated;
  if (Array.isArray(live) && Array.isArray(stated)) return mergeLists(live, stated, schema);
  if (!isFields(live) || !isFields(stated)) return stated;
  const result: Fields = { ...live };
  for (const [name, value] of Object.entries(stated)) {
    result[name] = name in live ? merge(live[name], value, childSchema(schema, name)) : value;
  }
  return result;
}

/** Items stated keep the stated order; items of others keep their place before the next item both have. */
function mergeLists(live: readonly unknown[], stated: readonly unknown[], schema: Schema): unknown[] {
  const nameOf = (item: unknown): string => itemElement(schema, item);
  const theirs = new Map(live.map((item) => [nameOf(item), item]));
  const wanted = new Set(stated.map(nameOf));
  const result: unknown[] = [];
  let position = 0;
  for (const item of stated) {
    const name = nameOf(item);
    const old = theirs.get(name);
    if (old !== undefined) {
      while (position < live.length) {
        const next = live[position];
        if (wanted.has(nameOf(next))) break;
        result.push(next);
        position += 1;
      }
      if (position < live.length && nameOf(live[position]) === name) position += 1;
    }
    result.push(old === undefined ? item : merge(old, item, childSchema(schema)));
  }
  const done = new Set(result.map(nameOf));
  return [...result, ...live.filter((item) => !done.has(nameOf(item)))];
}
