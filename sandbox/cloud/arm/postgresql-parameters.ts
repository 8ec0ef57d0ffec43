/**
 * Server parameters of PostgreSQL on Azure: those that people set, with the metadata Azure shows. A static one waits for
 * a restart (isConfigPendingRestart).
 * https://learn.microsoft.com/azure/postgresql/server-parameters/concepts-server-parameters
 */
import { z } from 'zod';
import { durations } from './durations.ts';
import type { Frame } from './frame/frame.ts';
import type { Json } from './frame/json.ts';
import { Refusal } from './frame/refusal.ts';
import { childMembers, readOnly } from './frame/request-body.ts';
import type { Change, ResourceType, Stored } from './frame/resource-type.ts';

export interface ParameterFacts {
  readonly dataType: 'Integer' | 'Boolean' | 'Enumeration' | 'String' | 'Set';
  readonly defaultValue: string;
  readonly allowedValues: string;
  readonly isDynamicConfig: boolean;
  readonly isReadOnly?: boolean;
  readonly unit?: string;
  /** Can be set for one role within the shared engine. */
  readonly perRole?: true;
}

const EXTENSIONS = [
  'address_standardizer',
  'amcheck',
  'azure_ai',
  'azure_storage',
  'bloom',
  'btree_gin',
  'btree_gist',
  'citext',
  'cube',
  'dblink',
  'fuzzystrmatch',
  'hstore',
  'hypopg',
  'intarray',
  'ltree',
  'pageinspect',
  'pg_buffercache',
  'pg_cron',
  'pg_diskann',
  'pg_partman',
  'pg_prewarm',
  'pg_repack',
  'pg_stat_statements',
  'pg_trgm',
  'pgaudit',
  'pgcrypto',
  'pglogical',
  'pgrowlocks',
  'pgstattuple',
  'plpgsql',
  'postgis',
  'postgres_fdw',
  'sslinfo',
  'tablefunc',
  'unaccent',
  'uuid-ossp',
  'vector',
];

/** B1ms' defaults; https://learn.microsoft.com/azure/postgresql/configure-maintain/concepts-limits */
export const PARAMETERS: Readonly<Record<string, ParameterFacts>> = {
  'azure.extensions': {
    dataType: 'Set',
    defaultValue: '',
    allowedValues: EXTENSIONS.join(','),
    isDynamicConfig: true,
  },
  'azure.accepted_password_auth_method': {
    dataType: 'Set',
    defaultValue: 'md5,scram-sha-256',
    allowedValues: 'md5,scram-sha-256',
    isDynamicConfig: true,
  },
  max_connections: {
    dataType: 'Integer',
    defaultValue: '50',
    allowedValues: '25-5000',
    isDynamicConfig: false,
  },
  shared_buffers: {
    dataType: 'Integer',
    defaultValue: '32768',
    allowedValues: '16-1073741823',
    isDynamicConfig: false,
    unit: '8KB',
  },
  shared_preload_libraries: {
    dataType: 'Set',
    defaultValue: 'pg_cron,pg_stat_statements',
    allowedValues: 'auto_explain,azure_storage,pg_cron,pg_stat_statements,pgaudit,pglogical,timescaledb',
    isDynamicConfig: false,
  },
  work_mem: {
    dataType: 'Integer',
    defaultValue: '4096',
    allowedValues: '4096-2097151',
    isDynamicConfig: true,
    unit: 'KB',
    perRole: true,
  },
  maintenance_work_mem: {
    dataType: 'Integer',
    defaultValue: '99328',
    allowedValues: '1024-2097151',
    isDynamicConfig: true,
    unit: 'KB',
    perRole: true,
  },
  effective_cache_size: {
    dataType: 'Integer',
    defaultValue: '196608',
    allowedValues: '1-2147483647',
    isDynamicConfig: true,
    unit: '8KB',
    perRole: true,
  },
  statement_timeout: {
    dataType: 'Integer',
    defaultValue: '0',
    allowedValues: '0-2147483647',
    isDynamicConfig: true,
    unit: 'ms',
    perRole: true,
  },
  idle_in_transaction_session_timeout: {
    dataType: 'Integer',
    defaultValue: '0',
    allowedValues: '0-2147483647',
    isDynamicConfig: true,
    unit: 'ms',
    perRole: true,
  },
  log_min_duration_statement: {
    dataType: 'Integer',
    defaultValue: '-1',
    allowedValues: '-1-2147483647',
    isDynamicConfig: true,
    unit: 'ms',
  },
  'pg_stat_statements.track': {
    dataType: 'Enumeration',
    defaultValue: 'none',
    allowedValues: 'top,all,none',
    isDynamicConfig: true,
  },
  require_secure_transport: {
    dataType: 'Boolean',
    defaultValue: 'on',
    allowedValues: 'on,off',
    isDynamicConfig: true,
  },
  ssl_min_protocol_version: {
    dataType: 'Enumeration',
    defaultValue: 'TLSv1.2',
    allowedValues: 'TLSv1.2,TLSv1.3',
    isDynamicConfig: true,
  },
  server_version: {
    dataType: 'String',
    defaultValue: '18',
    allowedValues: '',
    isDynamicConfig: false,
    isReadOnly: true,
  },
};

const body = z.strictObject({
  ...childMembers,
  properties: z.strictObject({
    value: z.string().optional(),
    source: z.enum(['user-override', 'system-default']).optional(),
    ...readOnly(
      'description',
      'defaultValue',
      'dataType',
      'allowedValues',
      'isDynamicConfig',
      'isReadOnly',
      'isConfigPendingRestart',
      'unit',
      'documentationLink',
    ),
  }),
});
type Input = z.infer<typeof body>;
export type ParameterBody = {
  properties: { value: string; source: string; isConfigPendingRestart: boolean } & Json;
};
/** What the engine works with, until a restart. */
type ParameterHidden = { inForce: string };
export type Parameter = Stored<ParameterBody, ParameterHidden>;

/** The resource of a parameter as a new server has it. */
export const initialParameter = (
  name: string,
  facts: ParameterFacts,
): { body: ParameterBody; hidden: ParameterHidden } => ({
  body: {
    properties: {
      value: facts.defaultValue,
      description: `The server parameter ${name}.`,
      defaultValue: facts.defaultValue,
      dataType: facts.dataType,
      allowedValues: facts.allowedValues,
      source: 'system-default',
      isDynamicConfig: facts.isDynamicConfig,
      isReadOnly: facts.isReadOnly ?? false,
      isConfigPendingRestart: false,
      ...(facts.unit ? { unit: facts.unit } : {}),
    },
  },
  hidden: { inForce: facts.defaultValue },
});

function requireAllowed(name: string, facts: ParameterFacts, value: string): void {
  const refuse = (): never => {
    throw new Refusal(
      400,
      'InvalidParameterValue',
      `The value '${value}' of the server parameter '${name}' is not allowed: ${facts.allowedValues || 'it is read-only'}.`,
    );
  };
  if (facts.isReadOnly) refuse();
  const listed = facts.allowedValues.split(',').map((item) => item.toLowerCase());
  if (facts.dataType === 'Set') {
    const items = value
      .split(',')
      .map((item) => item.trim().toLowerCase())
      .filter((item) => item !== '');
    if (items.some((item) => !listed.includes(item))) refuse();
  } else if (facts.dataType === 'Integer') {
    const [, low, high] = /^(-?\d+)-(\d+)$/.exec(facts.allowedValues) ?? [];
    if (!/^-?\d+$/.test(value) || Number(value) < Number(low) || Number(value) > Number(high)) refuse();
  } else if (facts.dataType !== 'String' && !listed.includes(value.toLowerCase())) {
    refuse();
  }
}

function change(before: Parameter, input: Input): Change<ParameterBody, ParameterHidden> {
  const facts = PARAMETERS[before.name.toLowerCase()];
  if (!facts)
    throw new Refusal(404, 'ResourceNotFound', `The server parameter '${before.name}' does not exist.`);
  const value = input.properties.value ?? facts.defaultValue;
  requireAllowed(before.name, facts, value);
  return {
    body: {
      properties: {
        ...before.body.properties,
        value,
        source: input.properties.source ?? 'user-override',
        isConfigPendingRestart: !facts.isDynamicConfig && value !== before.hidden.inForce,
      },
    },
    hidden: { inForce: facts.isDynamicConfig ? value : before.hidden.inForce },
    takes: durations.postgresParameter,
  };
}

/** `applied` is called once a change has happened, with the server's id. */
export function parameterType(
  serverType: string,
  apiVersions: readonly string[],
  busy: NonNullable<ResourceType['busy']>,
  applied: (frame: Frame, parameterId: string) => Promise<void>,
): ResourceType<ParameterBody, ParameterHidden, Input> {
  return {
    type: `${serverType}/configurations`,
    apiVersions,
    scope: 'resource-group',
    operations: { style: 'azure-async-operation', retryAfterSeconds: 5, updateStatus: 202 },
    busy,
    body,
    put: (call, input, before) => {
      if (!before)
        throw new Refusal(404, 'ResourceNotFound', `The server parameter '${call.name}' does not exist.`);
      return change(before, input);
    },
    patchBody: body,
    patch: (_call, input, before) => change(before, input as Input),
    finish: async (frame, operation) => {
      await applied(frame, operation.resourceId);
      return undefined;
    },
  };
}
