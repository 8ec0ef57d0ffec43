/**
 * Ports have names, but server-side apply knows them by number and protocol: one whose number somebody has changed would
 * be kept beside ours, and the two of one name refused. So the number is put right before the rest is applied.
 * https://kubernetes.io/docs/reference/using-api/server-side-apply/#merge-strategy
 */
const keys = ['port', 'containerPort', 'protocol'];

type Fields = Readonly<Record<string, unknown>>;

const isFields = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** A merge patch by which items of wanted names have the wanted keys, with all else as found; undefined: they have them. */
export function rekey(wanted: unknown, found: unknown): unknown {
  if (Array.isArray(wanted) && Array.isArray(found)) {
    const items = found.map((item: unknown) => {
      const patch = rekey(namesake(wanted, item), item);
      return isFields(patch) && isFields(item) ? merged(item, patch) : item;
    });
    return items.some((item, index) => item !== found[index]) ? items : undefined;
  }
  if (!isFields(wanted) || !isFields(found)) return undefined;
  const isNamed = wanted['name'] !== undefined;
  const patches = Object.entries(wanted).flatMap(([name, value]) => {
    const isOther = isNamed && keys.includes(name) && name in found && found[name] !== value;
    const patch = isOther ? value : rekey(value, found[name]);
    return patch === undefined ? [] : [[name, patch]];
  });
  return patches.length > 0 ? Object.fromEntries(patches) : undefined;
}

const namesake = (wanted: readonly unknown[], item: unknown): unknown =>
  wanted.find((wish) => isFields(wish) && isFields(item) && wish['name'] === item['name']);

/** As RFC 7396 says of a patch without nulls: lists are replaced. */
const merged = (item: Fields, patch: Fields): Fields => ({
  ...item,
  ...Object.fromEntries(
    Object.entries(patch).map(([name, value]) => {
      const before = item[name];
      return [name, isFields(value) && isFields(before) ? merged(before, value) : value];
    }),
  ),
});
