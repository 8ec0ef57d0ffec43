/**
 * Which fields of the spec a look has read: what a resource is asked to be depends on these and on no others, so a change
 * elsewhere in the spec makes nobody's change to this resource one of ours. As `storage.quotaGiB`; deeper is not told
 * apart, and what is looked through as a whole is told as a whole.
 */
import type { DeploymentSpec } from '../spec/spec.ts';

export interface Reader {
  /** The spec, as it is to everybody who reads it. */
  readonly spec: DeploymentSpec;
  reads(): readonly string[];
}

const isSection = (value: unknown): value is object =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Reading all of it. */
const ALL = '*';

export function readerOf(spec: DeploymentSpec): Reader {
  const seen = new Set<string>();
  const sections = Object.entries(spec).map(([name, value]) => {
    const section = isSection(value)
      ? watch(value, (field) => seen.add(field ? `${name}.${field}` : name))
      : value;
    return [name, section] as const;
  });
  const watched = watch(Object.fromEntries(sections) as DeploymentSpec, (field) => {
    // A section is not read before a field of it is.
    if (field === undefined || !isSection(spec[field as keyof DeploymentSpec])) seen.add(field ?? ALL);
  });
  return { spec: watched, reads: () => [...seen].sort() };
}

/** Tells of each field that is read; of none when it is asked which there are. */
function watch<T extends object>(target: T, onRead: (field?: string) => void): T {
  // A copy, because a proxy may not answer otherwise than a frozen target.
  return new Proxy(
    { ...target },
    {
      get(copy, field, receiver) {
        if (typeof field === 'string') onRead(field);
        return Reflect.get(copy, field, receiver);
      },
      has(copy, field) {
        onRead();
        return Reflect.has(copy, field);
      },
      ownKeys(copy) {
        onRead();
        return Reflect.ownKeys(copy);
      },
    },
  );
}

/** What a field that was read says in a spec. */
export function valueAt(spec: DeploymentSpec, read: string): unknown {
  if (read === ALL) return spec;
  const [section = '', ...field] = read.split('.');
  const of = Object.entries(spec).find(([name]) => name === section)?.[1];
  if (field.length === 0) return of;
  return isSection(of) ? Object.entries(of).find(([name]) => name === field.join('.'))?.[1] : undefined;
}
