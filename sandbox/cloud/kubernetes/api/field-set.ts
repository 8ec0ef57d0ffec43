/**
 * Sets of fields in the form of `managedFields[].fieldsV1`: a node that has no children, or has the child `.`, is a
 * member; `f:` names a field, `k:` an item of a keyed list, `v:` a member of a set. Walks values as
 * sigs.k8s.io/structured-merge-diff does.
 */
import { type Fields, isFields, isSame } from '../object.ts';
import { childSchema, isLeaf, KEY_DEFAULTS, type Schema } from './schema.ts';

export interface FieldSet {
  [element: string]: FieldSet;
}

const SELF = '.';

export function isEmptySet(set: FieldSet): boolean {
  return Object.keys(set).length === 0;
}

function isMember(node: FieldSet): boolean {
  return SELF in node || isEmptySet(node);
}

function elementsOf(node: FieldSet): [string, FieldSet][] {
  return Object.entries(node).filter(([element]) => element !== SELF);
}

/** A node as it is written: a member without children is `{}`. */
function node(member: boolean, children: FieldSet): FieldSet | undefined {
  if (isEmptySet(children)) return member ? {} : undefined;
  return member ? { [SELF]: {}, ...children } : children;
}

/** How an item of a keyed list or set is named. */
export function itemElement(schema: Schema, item: unknown): string {
  if (schema.type === 'list' && schema.keys.length > 0 && isFields(item)) {
    const key: Fields = {};
    for (const name of [...schema.keys].sort()) {
      const value = item[name] ?? KEY_DEFAULTS[name];
      if (value !== undefined) key[name] = value;
    }
    return `k:${JSON.stringify(key)}`;
  }
  return `v:${JSON.stringify(item)}`;
}

export function union(left: FieldSet, right: FieldSet): FieldSet {
  const merged: FieldSet = { ...left };
  for (const [element, child] of Object.entries(right)) {
    const mine = merged[element];
    if (mine === undefined) merged[element] = child;
    else if (element !== SELF) {
      const children = union(withoutSelf(mine), withoutSelf(child));
      merged[element] = node(isMember(mine) || isMember(child), children) ?? {};
    }
  }
  return merged;
}

function withoutSelf(set: FieldSet): FieldSet {
  return Object.fromEntries(elementsOf(set));
}

/** Members of left that are not members of right. */
export function difference(left: FieldSet, right: FieldSet): FieldSet {
  return combine(left, right, (mine, theirs) => mine && !theirs);
}

export function intersection(left: FieldSet, right: FieldSet): FieldSet {
  return combine(left, right, (mine, theirs) => mine && theirs);
}

function combine(
  left: FieldSet,
  right: FieldSet,
  keep: (mine: boolean, theirs: boolean) => boolean,
): FieldSet {
  const result: FieldSet = {};
  for (const [element, child] of elementsOf(left)) {
    const other = right[element];
    const children = combine(child, other ?? {}, keep);
    const kept = node(keep(isMember(child), other !== undefined && isMember(other)), children);
    if (kept !== undefined) result[element] = kept;
  }
  return result;
}

/** Paths of the members, as error messages name them: `.spec.containers[name="web"].image`. */
export function pathsOf(set: FieldSet, prefix = ''): string[] {
  return elementsOf(set)
    .flatMap(([element, child]) => {
      const path = prefix + printElement(element);
      return [...(isMember(child) ? [path] : []), ...pathsOf(child, path)];
    })
    .sort();
}

function printElement(element: string): string {
  const value = element.slice(2);
  if (element.startsWith('f:')) return `.${value}`;
  if (element.startsWith('v:')) return `[=${value}]`;
  const key: unknown = JSON.parse(value);
  const parts = isFields(key)
    ? Object.entries(key).map(([name, own]) => `${name}=${JSON.stringify(own)}`)
    : [];
  return `[${parts.join(',')}]`;
}

/** The fields an applied object states. */
export function fieldsOf(value: unknown, schema: Schema): FieldSet {
  const set: FieldSet = {};
  if (Array.isArray(value)) {
    for (const item of value) {
      set[itemElement(schema, item)] =
        node(true, isLeaf(childSchema(schema), item) ? {} : fieldsOf(item, childSchema(schema))) ?? {};
    }
    return set;
  }
  if (!isFields(value)) return set;
  for (const [name, own] of Object.entries(value)) {
    const inner = childSchema(schema, name);
    const leaf = isLeaf(inner, own) || (isFields(own) && Object.keys(own).length === 0);
    const isStructField = schema.type === 'object' && schema.fields.has(name);
    const children = leaf ? {} : fieldsOf(own, inner);
    const made = node(leaf || !isStructField, children);
    if (made !== undefined) set[`f:${name}`] = made;
  }
  return set;
}

export interface Comparison {
  added: FieldSet;
  modified: FieldSet;
  removed: FieldSet;
}

/** Which fields differ between two versions of an object. */
export function compare(before: unknown, after: unknown, schema: Schema): Comparison {
  const result: Comparison = { added: {}, modified: {}, removed: {} };
  const put = (set: FieldSet, element: string, child: FieldSet | undefined): void => {
    if (child !== undefined) set[element] = child;
  };
  for (const [element, [left, right, inner]] of pairs(before, after, schema)) {
    if (left === undefined) put(result.added, element, whole(right, inner));
    else if (right === undefined) put(result.removed, element, whole(left, inner));
    else if (isLeaf(inner, left) || isLeaf(inner, right) || Array.isArray(left) !== Array.isArray(right)) {
      if (!isSame(left, right)) put(result.modified, element, {});
    } else {
      const deeper = compare(left, right, inner);
      put(result.added, element, node(false, deeper.added));
      put(result.modified, element, node(false, deeper.modified));
      put(result.removed, element, node(false, deeper.removed));
    }
  }
  return result;
}

/** A subtree that came or went as a whole: itself and all below. */
function whole(value: unknown, schema: Schema): FieldSet {
  if (isLeaf(schema, value)) return {};
  const children: FieldSet = {};
  for (const [element, [own, , inner]] of pairs(value, undefined, schema))
    children[element] = whole(own, inner);
  return node(true, children) ?? {};
}

function pairs(left: unknown, right: unknown, schema: Schema): Map<string, [unknown, unknown, Schema]> {
  const found = new Map<string, [unknown, unknown, Schema]>();
  const add = (value: unknown, side: 0 | 1): void => {
    const entries: [string, unknown, Schema][] = Array.isArray(value)
      ? value.map((item) => [itemElement(schema, item), item, childSchema(schema)])
      : Object.entries(isFields(value) ? value : {}).map(([name, own]) => [
          `f:${name}`,
          own,
          childSchema(schema, name),
        ]);
    for (const [element, own, inner] of entries) {
      const pair = found.get(element) ?? [undefined, undefined, inner];
      pair[side] = own;
      found.set(element, pair);
    }
  };
  add(left, 0);
  add(right, 1);
  return found;
}

/**
 * The value without these fields. A struct, map or list that the removal leaves empty goes as well, as
 * structured-merge-diff's RemoveItems does.
 */
export function withoutFields(value: unknown, set: FieldSet, schema: Schema): unknown {
  if (Array.isArray(value)) {
    const kept = value.flatMap((item) => {
      const child = set[itemElement(schema, item)];
      if (child === undefined) return [item];
      if (isMember(child)) return [];
      return [withoutFields(item, child, childSchema(schema))];
    });
    return kept.length === 0 && value.length > 0 ? undefined : kept;
  }
  if (!isFields(value)) return value;
  const result: Fields = {};
  for (const [name, own] of Object.entries(value)) {
    const child = set[`f:${name}`];
    if (child === undefined) result[name] = own;
    else if (!isMember(child)) {
      const kept = withoutFields(own, child, childSchema(schema, name));
      if (kept !== undefined) result[name] = kept;
    }
  }
  return Object.keys(result).length === 0 && Object.keys(value).length > 0 ? undefined : result;
}

/**
 * What of the set nobody wants any more. A struct in which nobody owns anything goes as a whole, defaults included
 * (structured-merge-diff: EnsureNamedFieldsAreMembers).
 */
export function unowned(set: FieldSet, owned: FieldSet): FieldSet {
  const result: FieldSet = {};
  for (const [element, child] of elementsOf(set)) {
    const other = owned[element];
    if (other === undefined) result[element] = {};
    else {
      const children = unowned(child, other);
      if (!isEmptySet(children)) result[element] = children;
    }
  }
  return result;
}
