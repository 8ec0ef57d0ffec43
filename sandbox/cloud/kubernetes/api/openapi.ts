/**
 * OpenAPI v3 of one group version: enough for kubectl to know that the server validates fields, and to build strategic
 * merge patches with the right keys.
 */
import { apiVersionOf, type Kind } from './kinds.ts';
import { type Schema, STRATEGIC_KEYS } from './schema.ts';

export function openApiIndex(groupVersions: Iterable<string>): object {
  return {
    paths: Object.fromEntries(
      [...groupVersions].map((name) => {
        const path = name.includes('/') ? `apis/${name}` : `api/${name}`;
        return [path, { serverRelativeURL: `/openapi/v3/${path}` }];
      }),
    ),
  };
}

export function openApiOf(kinds: readonly Kind[], version: string): object {
  const schemas: Record<string, unknown> = {};
  const paths = Object.fromEntries(kinds.map((kind) => [pathOf(kind), { patch: patchOf(kind) }]));
  for (const kind of kinds) {
    const root = describe(kind.schema, schemas);
    const name = kind.schema.type === 'object' ? kind.schema.name : kind.kind;
    const known = schemas[name];
    schemas[name] = {
      ...(typeof known === 'object' ? known : (root as object)),
      'x-kubernetes-group-version-kind': [groupVersionKind(kind)],
    };
  }
  return { openapi: '3.0.0', info: { title: 'Kubernetes', version }, paths, components: { schemas } };
}

function groupVersionKind(kind: Kind): object {
  return { group: kind.group, version: kind.version, kind: kind.kind };
}

function pathOf(kind: Kind): string {
  const root = kind.group === '' ? `/api/${kind.version}` : `/apis/${apiVersionOf(kind)}`;
  return `${root}/${kind.namespaced ? 'namespaces/{namespace}/' : ''}${kind.plural}/{name}`;
}

function patchOf(kind: Kind): object {
  const query = (name: string, type: string): object => ({
    name,
    in: 'query',
    schema: { type, uniqueItems: true },
  });
  const types = [
    'application/apply-patch+yaml',
    'application/json-patch+json',
    'application/merge-patch+json',
  ];
  if (!kind.columns) types.push('application/strategic-merge-patch+json');
  return {
    operationId: `patch${kind.kind}`,
    parameters: [
      query('dryRun', 'string'),
      query('fieldManager', 'string'),
      query('fieldValidation', 'string'),
      query('force', 'boolean'),
    ],
    requestBody: { content: Object.fromEntries(types.map((type) => [type, { schema: { type: 'object' } }])) },
    responses: { 200: { description: 'OK' }, 401: { description: 'Unauthorized' } },
    'x-kubernetes-action': 'patch',
    'x-kubernetes-group-version-kind': groupVersionKind(kind),
  };
}

function describe(schema: Schema, schemas: Record<string, unknown>): unknown {
  switch (schema.type) {
    case 'any':
      return { type: 'object', 'x-kubernetes-preserve-unknown-fields': true };
    case 'object': {
      if (!(schema.name in schemas)) {
        schemas[schema.name] = {};
        schemas[schema.name] = {
          type: 'object',
          properties: Object.fromEntries(
            [...schema.fields].map(([name, inner]) => [name, describe(inner, schemas)]),
          ),
          ...(schema.required.length > 0 ? { required: schema.required } : {}),
          ...(schema.atomic ? { 'x-kubernetes-map-type': 'atomic' } : {}),
        };
      }
      return { allOf: [{ $ref: `#/components/schemas/${schema.name}` }], default: {} };
    }
    case 'map':
      return { type: 'object', additionalProperties: describe(schema.values, schemas) };
    case 'list': {
      const key = STRATEGIC_KEYS[schema.keys.join(',')] ?? schema.keys[0];
      const list = { type: 'array', items: describe(schema.items, schemas) };
      if (schema.isSet)
        return { ...list, 'x-kubernetes-list-type': 'set', 'x-kubernetes-patch-strategy': 'merge' };
      if (key === undefined) return { ...list, 'x-kubernetes-list-type': 'atomic' };
      return {
        ...list,
        'x-kubernetes-list-type': 'map',
        'x-kubernetes-list-map-keys': schema.keys,
        'x-kubernetes-patch-merge-key': key,
        'x-kubernetes-patch-strategy': 'merge',
      };
    }
    case 'int-or-string':
    case 'quantity':
      return { type: 'string', format: 'int-or-string' };
    case 'date':
      return { type: 'string', format: 'date-time' };
    default:
      return { type: schema.type };
  }
}
