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

export function writerOf(object: KubernetesObject, path: string): NonNullable<Difference['by']> | undefined {
  const [newest] = (object.metadata.managedFields ?? [])
    .flatMap((entry) => entrySchema.safeParse(entry).data ?? [])
    .filter(({ manager, fieldsV1 }) => manager !== fieldManager && owns(fieldsV1, path, object))
    .toSorted((one, other) => (other.time ?? '').localeCompare(one.time ?? ''));
  return newest && { name: newest.manager, ...(newest.time === undefined ? {} : { at: newest.time }) };
}

/**
 * A path may go through names that have dots themselves, so every child that it could mean is tried. `value` is what the
 * object has there.
 */
function owns(fields: unknown, path: string, value: unknown): boolean {
  if (typeof fields !== 'object' || fields === null) return false;
  const children = Object.entries(fields).filter(([key]) => key !== '.');
  // A list or map that is owned as a whole has no children.
  if (path === '' || children.length === 0) return true;
  return children.some(([key, child]) => {
    const { name, value: inner } = childOf(key, value);
    if (name === undefined || !path.startsWith(name)) return false;
    const rest = path.slice(name.length);
    return (rest === '' || rest.startsWith('.')) && owns(child, rest.slice(1), inner);
  });
}

interface Child {
  readonly name?: string;
  readonly value?: unknown;
}

/** `f:replicas` is a field; `k:{"port":80,"protocol":"TCP"}` the item of a list that has these, which paths call by its name. */
function childOf(key: string, value: unknown): Child {
  if (key.startsWith('f:')) {
    const name = key.slice(2);
    return { name, value: isFields(value) ? value[name] : undefined };
  }
  const identity = key.startsWith('k:') ? parsed(key.slice(2)) : undefined;
  if (!isFields(identity)) return {};
  const item = (Array.isArray(value) ? value : []).find(
    (candidate: unknown) =>
      isFields(candidate) && Object.entries(identity).every(([name, is]) => candidate[name] === is),
  );
  const name = isFields(item) ? item['name'] : identity['name'];
  return name === undefined ? {} : { name: String(name), value: item };
}

const isFields = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

function parsed(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    return undefined;
  }
}
