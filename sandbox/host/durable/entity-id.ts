/** An entity's instance id and its parts. */

/** Entities live in instances named `@name@key`, the name in lower case. */
export function entityInstanceId(entity: { readonly name: string; readonly key: string }): string {
  return `@${entity.name.toLowerCase()}@${entity.key}`;
}

/** The `name` of `@name@key`. */
export function entityName(instanceId: string): string {
  return instanceId.slice(1, instanceId.indexOf('@', 1));
}

/** The `key` of `@name@key`. */
export function entityKey(id: string): string {
  return id.slice(id.indexOf('@', 1) + 1);
}
