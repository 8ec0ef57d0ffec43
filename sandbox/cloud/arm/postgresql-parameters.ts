/**
 * The server parameters that matter, with the metadata Azure shows for them. Any other name is refused, also where
 * the real service would know it.
 * https://learn.microsoft.com/azure/postgresql/server-parameters/concepts-server-parameters
 */
import { Refusal } from './frame/refusal.ts';
import { memoryGiBOf } from './postgresql-sizes.ts';

type DataType = 'Boolean' | 'Enumeration' | 'Integer' | 'Numeric' | 'String' | 'Set';

export interface Parameter {
  readonly name: string;
  readonly dataType: DataType;
  /** As Azure writes it: `on,off`, `25-5000`, a list, or a regular expression for strings. */
  readonly allowedValues: string;
  readonly isDynamic: boolean;
  readonly isReadOnly: boolean;
  readonly unit: string | undefined;
  /** Takes effect in the engine, as a setting of the login. */
  readonly isOfSession: boolean;
  defaultFor(sku: string): string;
}

/** Connections that the service keeps for itself: https://learn.microsoft.com/azure/postgresql/configure-maintain/concepts-limits */
export const RESERVED_CONNECTIONS = 15;

/** Of PostgreSQL 18 on Azure: https://learn.microsoft.com/azure/postgresql/extensions/concepts-extensions-versions */
const EXTENSIONS =
  'address_standardizer,address_standardizer_data_us,amcheck,azure_ai,azure_storage,bloom,btree_gin,btree_gist,' +
  'citext,cube,dblink,dict_int,dict_xsyn,earthdistance,fuzzystrmatch,hstore,hypopg,intagg,intarray,isn,lo,ltree,' +
  'pageinspect,pg_buffercache,pg_cron,pg_diskann,pg_freespacemap,pg_hint_plan,pg_partman,pg_prewarm,pg_repack,' +
  'pg_squeeze,pg_stat_statements,pg_trgm,pg_visibility,pgaudit,pgcrypto,pglogical,pgrowlocks,pgstattuple,plpgsql,' +
  'plv8,postgis,postgis_raster,postgis_sfcgal,postgis_tiger_geocoder,postgis_topology,postgres_fdw,semver,sslinfo,' +
  'tablefunc,tsm_system_rows,tsm_system_time,unaccent,uuid-ossp,vector';
const PRELOADED =
  'auto_explain,azure_storage,pg_cron,pg_failover_slots,pg_hint_plan,pg_partman_bgw,pg_prewarm,pg_squeeze,' +
  'pg_stat_statements,pgaudit,pglogical,timescaledb,wal2json';
const BOOLEAN = 'on,off';
const MESSAGES = 'debug5,debug4,debug3,debug2,debug1,log,notice,warning,error';
const MILLISECONDS = '0-2147483647';

/** Static ones wait for a restart, those of a session reach the engine, fixed ones cannot be set. */
type Sort = 'static' | 'dynamic' | 'session' | 'fixed';
type Fallback = string | ((sku: string) => string);

/** Pages of 8 KiB, as a share of the memory; the smallest size gets half of that. */
const pagesOf = (share: number) => (sku: string) =>
  String(Math.floor(memoryGiBOf(sku) * 131_072 * (memoryGiBOf(sku) <= 2 ? share / 2 : share)));

/** 50 on the smallest size, else one per ten megabytes: https://learn.microsoft.com/azure/postgresql/configure-maintain/concepts-limits */
const connectionsOf = (sku: string): string =>
  memoryGiBOf(sku) <= 2 ? '50' : String(Math.min(5000, Math.round((memoryGiBOf(sku) * 2 ** 30) / 1e7)));

// biome-ignore format: a table
const TABLE: readonly (readonly [string, Sort, DataType, string, Fallback, string?])[] = [
  ['autovacuum', 'dynamic', 'Boolean', BOOLEAN, 'on'],
  ['autovacuum_naptime', 'dynamic', 'Integer', '1-2147483', '60', 's'],
  ['azure.accepted_password_auth_method', 'dynamic', 'Set', 'md5,scram-sha-256', 'scram-sha-256'],
  ['azure.extensions', 'dynamic', 'Set', EXTENSIONS, ''],
  ['bytea_output', 'session', 'Enumeration', 'escape,hex', 'hex'],
  ['checkpoint_timeout', 'dynamic', 'Integer', '30-86400', '600', 's'],
  ['client_min_messages', 'session', 'Enumeration', MESSAGES, 'notice'],
  ['data_directory', 'fixed', 'String', '.*', '/datadrive/pg/data'],
  ['deadlock_timeout', 'session', 'Integer', '1-2147483647', '1000', 'ms'],
  ['default_transaction_isolation', 'session', 'Enumeration', 'serializable,repeatable read,read committed,read uncommitted', 'read committed'],
  ['effective_cache_size', 'session', 'Integer', '1-2147483647', pagesOf(0.75), '8KB'],
  ['effective_io_concurrency', 'session', 'Integer', '0-1000', '1'],
  ['idle_in_transaction_session_timeout', 'session', 'Integer', MILLISECONDS, '0', 'ms'],
  ['idle_session_timeout', 'session', 'Integer', MILLISECONDS, '0', 'ms'],
  ['jit', 'session', 'Boolean', BOOLEAN, 'off'],
  ['lock_timeout', 'session', 'Integer', MILLISECONDS, '0', 'ms'],
  ['log_checkpoints', 'dynamic', 'Boolean', BOOLEAN, 'on'],
  ['log_connections', 'fixed', 'Boolean', BOOLEAN, 'on'],
  ['log_disconnections', 'fixed', 'Boolean', BOOLEAN, 'on'],
  ['log_line_prefix', 'dynamic', 'String', "[^']*", '%t-%c-'],
  ['log_lock_waits', 'dynamic', 'Boolean', BOOLEAN, 'off'],
  ['log_min_duration_statement', 'dynamic', 'Integer', '-1-2147483647', '-1', 'ms'],
  ['log_min_messages', 'dynamic', 'Enumeration', `${MESSAGES},info,fatal,panic`, 'warning'],
  ['log_statement', 'dynamic', 'Enumeration', 'none,ddl,mod,all', 'none'],
  ['maintenance_work_mem', 'session', 'Integer', '1024-2097151', '157286', 'KB'],
  ['max_connections', 'static', 'Integer', '25-5000', connectionsOf],
  ['max_locks_per_transaction', 'static', 'Integer', '10-8388608', '64'],
  ['max_parallel_workers', 'session', 'Integer', '0-1024', '8'],
  ['max_parallel_workers_per_gather', 'session', 'Integer', '0-1024', '2'],
  ['max_prepared_transactions', 'static', 'Integer', '0-262143', '0'],
  ['max_replication_slots', 'static', 'Integer', '2-262143', '10'],
  ['max_wal_senders', 'static', 'Integer', '5-100', '10'],
  ['max_wal_size', 'dynamic', 'Integer', '32-65536', '4096', 'MB'],
  ['max_worker_processes', 'static', 'Integer', '0-262143', '8'],
  ['min_wal_size', 'dynamic', 'Integer', '32-2147483647', '80', 'MB'],
  ['pg_qs.query_capture_mode', 'dynamic', 'Enumeration', 'top,all,none', 'none'],
  ['pg_stat_statements.max', 'static', 'Integer', '100-2147483647', '5000'],
  ['pg_stat_statements.save', 'dynamic', 'Boolean', BOOLEAN, 'on'],
  ['pg_stat_statements.track', 'session', 'Enumeration', 'top,all,none', 'none'],
  ['pg_stat_statements.track_utility', 'session', 'Boolean', BOOLEAN, 'on'],
  ['pgaudit.log', 'dynamic', 'Set', 'none,read,write,function,role,ddl,misc,all', 'none'],
  ['pgbouncer.enabled', 'dynamic', 'Boolean', 'true,false', 'false'],
  ['random_page_cost', 'session', 'Numeric', '0-1.79769e+308', '2'],
  ['require_secure_transport', 'dynamic', 'Boolean', BOOLEAN, 'on'],
  ['row_security', 'session', 'Boolean', BOOLEAN, 'on'],
  ['search_path', 'session', 'String', '[A-Za-z0-9_"$ ,]+', '"$user", public'],
  ['server_version', 'fixed', 'String', '.*', '18'],
  ['shared_buffers', 'static', 'Integer', '16-1073741823', pagesOf(0.25), '8KB'],
  ['shared_preload_libraries', 'static', 'Set', PRELOADED, 'pg_cron,pg_stat_statements'],
  ['ssl', 'fixed', 'Boolean', BOOLEAN, 'on'],
  ['ssl_min_protocol_version', 'dynamic', 'Enumeration', 'TLSv1.2,TLSv1.3', 'TLSv1.2'],
  ['statement_timeout', 'session', 'Integer', MILLISECONDS, '0', 'ms'],
  ['tcp_keepalives_idle', 'session', 'Integer', MILLISECONDS, '120', 's'],
  ['temp_buffers', 'session', 'Integer', '100-1073741823', '1024', '8KB'],
  ['timezone', 'session', 'String', '[A-Za-z0-9/+_-]+', 'UTC'],
  ['track_io_timing', 'session', 'Boolean', BOOLEAN, 'off'],
  ['wal_buffers', 'static', 'Integer', '-1-262143', '2048', '8KB'],
  ['wal_level', 'static', 'Enumeration', 'replica,logical', 'replica'],
  ['work_mem', 'session', 'Integer', '4096-2097151', '4096', 'KB'],
];

export const parameters: readonly Parameter[] = TABLE.map(
  ([name, sort, dataType, allowedValues, fallback, unit]) => ({
    name,
    dataType,
    allowedValues,
    isDynamic: sort !== 'static',
    isReadOnly: sort === 'fixed',
    isOfSession: sort === 'session',
    unit,
    defaultFor: typeof fallback === 'string' ? () => fallback : fallback,
  }),
);

export function findParameter(name: string): Parameter | undefined {
  return parameters.find((candidate) => candidate.name.toLowerCase() === name.toLowerCase());
}

/** Refuses (400 InvalidParameterValue) a value outside the allowed ones. */
export function requireValue(wanted: Parameter, value: string): void {
  if (isAllowed(wanted, value)) return;
  throw new Refusal(
    400,
    'InvalidParameterValue',
    `The value '${value}' for configuration '${wanted.name}' is not valid. The allowed values are ` +
      `'${wanted.allowedValues}'.`,
  );
}

function isAllowed({ dataType, allowedValues }: Parameter, value: string): boolean {
  const words = allowedValues.toLowerCase().split(',');
  switch (dataType) {
    case 'Boolean':
    case 'Enumeration':
      return words.includes(value.toLowerCase());
    case 'Set':
      return listed(value).every((word) => words.includes(word));
    case 'Integer':
    case 'Numeric': {
      const [, low = '', high = ''] = /^(-?[^-]+)-(.+)$/.exec(allowedValues) ?? [];
      const form = dataType === 'Integer' ? /^-?\d+$/ : /^-?\d+(\.\d+)?$/;
      return form.test(value) && Number(value) >= Number(low) && Number(value) <= Number(high);
    }
    case 'String':
      return new RegExp(`^(${allowedValues})$`).test(value);
  }
}

/** The members of a set, in lower case. */
export function listed(value: string): string[] {
  return value
    .toLowerCase()
    .split(',')
    .map((word) => word.trim())
    .filter(Boolean);
}
