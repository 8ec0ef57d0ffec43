/** JSON patch (RFC 6902), merge patch (RFC 7396) and Kubernetes' strategic merge patch. */
import { type Fields, isFields, isSame } from '../object.ts';
import { childSchema, type Schema, STRATEGIC_KEYS } from './schema.ts';
import { badRequest, StatusError } from './status-error.ts';

export function applyMergePatch(target: unknown, patch: unknown): unknown {
  if (!isFields(patch)) return patch;
  const result: Fields = isFields(target) ? { ...target } : {};
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) delete result[name];
    else result[name] = applyMergePatch(result[name], value);
  }
  return result;
}

/** Throws 400 on a malformed patch and 422 on one that does not fit the object, as the API server does. */
export function applyJsonPatch(target: unknown, patch: unknown): unknown {
  if (!Array.isArray(patch)) throw badRequest('error decoding patch: a JSON patch is a list of operations');
  let document = structuredClone(target);
  for (const operation of patch) {
    if (!isFields(operation)) throw badRequest('error decoding patch: an operation is an object');
    document = applyOperation(document, operation);
  }
  return document;
}

function applyOperation(document: unknown, operation: Fields): unknown {
  const path = pointer(operation['path']);
  switch (operation['op']) {
    case 'add':
      return edit(document, path, 'add', structuredClone(operation['value']));
    case 'replace':
      return edit(document, path, 'replace', structuredClone(operation['value']));
    case 'remove':
      return edit(document, path, 'remove', undefined);
    case 'test':
      if (!isSame(valueAt(document, path), operation['value'])) {
        throw unfit(`testing value ${path.join('/')} failed`);
      }
      return document;
    case 'copy':
      return edit(document, path, 'add', structuredClone(valueAt(document, pointer(operation['from']))));
    case 'move': {
      const from = pointer(operation['from']);
      const value = valueAt(document, from);
      return edit(edit(document, from, 'remove', undefined), path, 'add', value);
    }
    default:
      throw badRequest(`error decoding patch: unexpected operation ${JSON.stringify(operation['op'])}`);
  }
}

function pointer(value: unknown): string[] {
  if (typeof value !== 'string' || (value !== '' && !value.startsWith('/'))) {
    throw badRequest(`error decoding patch: ${JSON.stringify(value)} is not a JSON pointer`);
  }
  return value
    .split('/')
    .slice(1)
    .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'));
}

function unfit(why: string): StatusError {
  return new StatusError(
    422,
    'Invalid',
    `the server rejected our request due to an error in our request: ${why}`,
  );
}

function valueAt(document: unknown, path: readonly string[]): unknown {
  let here = document;
  for (const part of path) {
    here = Array.isArray(here) ? here[Number(part)] : isFields(here) ? here[part] : undefined;
    if (here === undefined) throw unfit(`path /${path.join('/')} does not exist`);
  }
  return here;
}

function edit(
  document: unknown,
  path: readonly string[],
  how: 'add' | 'replace' | 'remove',
  value: unknown,
): unknown {
  const last = path.at(-1);
  if (last === undefined) return value;
  const parent = valueAt(document, path.slice(0, -1));
  if (Array.isArray(parent)) {
    const index = last === '-' ? parent.length : Number(last);
    const most = how === 'add' ? parent.length : parent.length - 1;
    if (!Number.isInteger(index) || index < 0 || index > most) throw unfit(`index ${last} is out of bounds`);
    if (how === 'add') parent.splice(index, 0, value);
    else if (how === 'replace') parent[index] = value;
    else parent.splice(index, 1);
    return document;
  }
  if (!isFields(parent)) throw unfit(`path /${path.join('/')} does not exist`);
  if (how !== 'add' && !(last in parent)) throw unfit(`path /${path.join('/')} does not exist`);
  if (how === 'remove') delete parent[last];
  else parent[last] = value;
  return document;
}

const DIRECTIVE = /^\$(patch|retainKeys|setElementOrder\/.*|deleteFromPrimitiveList\/.*)$/;

/** Strategic merge patch: lists with a merge key merge by it, others are replaced. Only for built-in kinds. */
export function applyStrategicPatch(target: unknown, patch: unknown, schema: Schema): unknown {
  if (!isFields(patch)) return patch;
  if (patch['$patch'] === 'delete') return undefined;
  const plain = Object.fromEntries(Object.entries(patch).filter(([name]) => !DIRECTIVE.test(name)));
  if (patch['$patch'] === 'replace') return plain;
  const result: Fields = isFields(target) ? { ...target } : {};
  const retained = patch['$retainKeys'];
  if (Array.isArray(retained)) {
    for (const name of Object.keys(result)) if (!retained.includes(name)) delete result[name];
  }
  for (const [name, value] of Object.entries(patch)) {
    const field = name.startsWith('$deleteFromPrimitiveList/') ? name.slice(25) : undefined;
    const current = field === undefined ? undefined : result[field];
    if (field !== undefined && Array.isArray(current) && Array.isArray(value)) {
      result[field] = current.filter((item) => !value.includes(item));
    }
  }
  for (const [name, value] of Object.entries(plain)) {
    const inner = childSchema(schema, name);
    if (value === null) delete result[name];
    else if (Array.isArray(value)) {
      result[name] = mergeList(result[name], value, inner, patch[`$setElementOrder/${name}`]);
    } else {
      const merged = applyStrategicPatch(result[name], value, inner);
      if (merged === undefined) delete result[name];
      else result[name] = merged;
    }
  }
  return result;
}

function mergeList(current: unknown, patch: readonly unknown[], schema: Schema, order: unknown): unknown[] {
  if (schema.type !== 'list') return [...patch];
  const live: readonly unknown[] = Array.isArray(current) ? current : [];
  if (schema.isSet) return [...live, ...patch.filter((item) => !live.includes(item))];
  const key = STRATEGIC_KEYS[schema.keys.join(',')] ?? schema.keys[0];
  if (key === undefined) return [...patch];
  if (patch.some((item) => isFields(item) && item['$patch'] === 'replace')) {
    return patch.filter((item) => isFields(item) && item['$patch'] !== 'replace');
  }
  let result = [...live];
  for (const item of patch) {
    if (!isFields(item)) throw badRequest('an item of a list with a merge key is an object');
    const same = (other: unknown): boolean => isFields(other) && isSame(other[key], item[key]);
    if (item['$patch'] === 'delete') {
      result = result.filter((other) => !same(other));
      continue;
    }
    if (!(key in item))
      throw badRequest(`map: ${JSON.stringify(item)} does not contain declared merge key: ${key}`);
    const index = result.findIndex(same);
    const merged = applyStrategicPatch(index < 0 ? {} : result[index], item, schema.items);
    if (index < 0) result.push(merged);
    else result[index] = merged;
  }
  if (!Array.isArray(order)) return result;
  const rank = (item: unknown): number =>
    order.findIndex((wanted) => isFields(wanted) && isFields(item) && isSame(wanted[key], item[key]));
  const ordered = result.filter((item) => rank(item) >= 0).sort((left, right) => rank(left) - rank(right));
  return [...ordered, ...result.filter((item) => rank(item) < 0)];
}
