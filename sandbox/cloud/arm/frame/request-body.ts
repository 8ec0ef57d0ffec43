/** Reads request bodies against closed schemas: a member nobody knows is refused by name, as ARM's deserialiser does. */
import { z } from 'zod';
import type { Json } from './json.ts';
import { type ErrorDetail, Refusal } from './refusal.ts';

/** A member that clients echo back from a GET and that providers ignore. */
const ignored = z.unknown().transform((): undefined => undefined);

/** Read-only members by name, for `z.strictObject({...})`; the parsed body does not have them, nor does its type. */
export function readOnly(...names: string[]): Record<never, z.ZodUnknown> {
  return Object.fromEntries(names.map((name) => [name, ignored.optional()]));
}

/** Members that the provider accepts and gives back, and that have no consequence in the sandbox. */
export function inert<Name extends string>(...names: Name[]): { [key in Name]: z.ZodOptional<z.ZodUnknown> } {
  return Object.fromEntries(names.map((name) => [name, z.unknown().optional()])) as {
    [key in Name]: z.ZodOptional<z.ZodUnknown>;
  };
}

export const tagsSchema = z.record(z.string().max(512), z.string().max(256)).refine(
  // https://learn.microsoft.com/azure/azure-resource-manager/management/tag-resources#limitations
  (tags) => Object.keys(tags).length <= 50,
  'a resource has at most 50 tags',
);

export const locationSchema = z.string().transform((name) => name.toLowerCase().replaceAll(' ', ''));

/** A reference to another resource: `{id}`. */
export const reference = z.strictObject({ id: z.string().startsWith('/') });

/** What every tracked resource's body may carry besides its own members. */
export const trackedMembers = {
  location: locationSchema,
  tags: tagsSchema.nullish(),
  ...readOnly('id', 'name', 'type', 'etag', 'systemData'),
};

/** What a child's body may carry besides its own members. */
export const childMembers = readOnly('id', 'name', 'type', 'etag', 'systemData');

/** The body, or a 400 that names every member at fault. */
export function parseBody<T extends Json>(schema: z.ZodType<T>, value: unknown): T {
  const parsed = schema.safeParse(value ?? {});
  if (parsed.success) return JSON.parse(JSON.stringify(parsed.data)) as T;
  const details = parsed.error.issues.flatMap(detailsOf);
  throw new Refusal(
    400,
    'InvalidRequestContent',
    `The request content was invalid and could not be deserialized: '${details[0]?.message ?? 'no reason'}'`,
    { details },
  );
}

function detailsOf(issue: z.core.$ZodIssue): ErrorDetail[] {
  const path = issue.path.join('.');
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => {
      const target = path ? `${path}.${key}` : key;
      return {
        code: 'UnknownMember',
        message: `Could not find member '${key}' on object. Path '${target}'.`,
        target,
      };
    });
  }
  return [{ code: 'InvalidMember', message: `${issue.message}. Path '${path}'.`, target: path }];
}
