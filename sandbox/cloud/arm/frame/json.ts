/** JSON as ARM bodies are: open objects, merge patches (RFC 7396). */

export type Json = { [key: string]: unknown };

export function isJson(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The object at a key, or an empty one. */
export function objectAt(value: Json, key: string): Json {
  const found = value[key];
  return isJson(found) ? found : {};
}

/** `patch` merged into `target`: objects member by member, null removes, everything else replaces. */
export function mergePatch(target: Json, patch: Json): Json {
  const merged: Json = { ...target };
  for (const [key, value] of Object.entries(patch)) {
    const before = merged[key];
    if (value === undefined) continue;
    if (value === null) delete merged[key];
    else merged[key] = isJson(value) ? mergePatch(isJson(before) ? before : {}, value) : value;
  }
  return merged;
}

/** The value with one member, some levels down, replaced. */
export function withMember(value: Json, path: readonly string[], member: unknown): Json {
  const [key, ...rest] = path;
  if (key === undefined) return value;
  return { ...value, [key]: rest.length === 0 ? member : withMember(objectAt(value, key), rest, member) };
}

export function memberAt(value: Json, path: readonly string[]): unknown {
  let found: unknown = value;
  for (const key of path) found = isJson(found) ? found[key] : undefined;
  return found;
}
