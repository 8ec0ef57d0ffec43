/**
 * Who wrote a field of a Kubernetes object last, as `managedFields` tells: the manager that owns the field, and when it
 * last wrote. A field that somebody has removed is nobody's.
 * https://kubernetes.io/docs/reference/using-api/server-side-apply/#field-management
 */
import { z } from 'zod';
import type { KubernetesObject } from '../../clients/kubernetes-api.ts';
import type { Difference } from '../../graph/resource.ts';
import { fieldManager } from '../../naming.ts';

const entrySchema = z.object({
  manager: z.string(),
  time: z.string().optional(),
  fieldsV1: z.record(z.string(), z.unknown()),
});

export function writerOf(
  { metadata }: KubernetesObject,
  { path, found }: Difference,
): NonNullable<Difference['by']> | undefined {
  if (found === null) return undefined;
  const [newest] = (metadata.managedFields ?? [])
    .flatMap((entry) => entrySchema.safeParse(entry).data ?? [])
    .filter(({ manager, fieldsV1 }) => manager !== fieldManager && owns(fieldsV1, path))
    .toSorted((one, other) => (other.time ?? '').localeCompare(one.time ?? ''));
  return newest && { name: newest.manager, ...(newest.time === undefined ? {} : { at: newest.time }) };
}

/** A path may go through names that have dots themselves, so every child that it could mean is tried. */
function owns(fields: unknown, path: string): boolean {
  if (typeof fields !== 'object' || fields === null) return false;
  const children = Object.entries(fields).filter(([key]) => key !== '.');
  // A list or map that is owned as a whole has no children.
  if (path === '' || children.length === 0) return true;
  return children.some(([key, child]) => {
    const name = nameIn(key);
    if (name === undefined || !path.startsWith(name)) return false;
    const rest = path.slice(name.length);
    return (rest === '' || rest.startsWith('.')) && owns(child, rest.slice(1));
  });
}

/** `f:replicas` is a field; `k:{"name":"webui"}` the item of that name in a list. */
function nameIn(key: string): string | undefined {
  if (key.startsWith('f:')) return key.slice(2);
  if (!key.startsWith('k:')) return undefined;
  try {
    const identity: unknown = JSON.parse(key.slice(2));
    return typeof identity === 'object' && identity !== null && 'name' in identity
      ? String(identity.name)
      : undefined;
  } catch {
    return undefined;
  }
}
