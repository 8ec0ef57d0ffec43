import type { Difference, Json } from './resource.ts';

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const asJson = (value: unknown): Json => (value === undefined ? null : (value as Json));

/**
 * Compares what is wanted with what was found, field by field. Only fields that are wanted count, so whatever the cloud
 * fills in or others add is left alone; `undefined` in the wish means "no opinion". Arrays are compared whole and in
 * order: sort them first where order means nothing. Strings are compared exactly; pass `equal` where a cloud changes
 * the spelling (ARM ids, locations).
 */
export function differences(
  wanted: unknown,
  found: unknown,
  equal: (path: string, wanted: unknown, found: unknown) => boolean = () => false,
  path = '',
): Difference[] {
  if (wanted === undefined || equal(path, wanted, found)) return [];
  if (isRecord(wanted)) {
    const other = isRecord(found) ? found : {};
    return Object.entries(wanted).flatMap(([name, value]) =>
      differences(value, other[name], equal, path === '' ? name : `${path}.${name}`),
    );
  }
  if (Array.isArray(wanted)) {
    const same =
      Array.isArray(found) &&
      found.length === wanted.length &&
      wanted.every((item, index) => differences(item, found[index], equal, `${path}[${index}]`).length === 0);
    return same ? [] : [{ path, wanted: asJson(wanted), found: asJson(found) }];
  }
  return Object.is(wanted, found) ? [] : [{ path, wanted: asJson(wanted), found: asJson(found) }];
}

/** For `equal`: ARM changes the case of ids, and of locations their spelling (`East Asia`, `eastasia`). */
export function sameIgnoringCaseAndBlanks(wanted: unknown, found: unknown): boolean {
  const plain = (text: string): string => text.toLowerCase().replaceAll(' ', '');
  return typeof wanted === 'string' && typeof found === 'string' && plain(wanted) === plain(found);
}
