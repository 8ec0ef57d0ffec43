/**
 * Open WebUI's start-up migrations on a real PostgreSQL: a few of its tables, the vector extension of Azure's allow-list,
 * and its weakness: two processes that find the database empty both create the schema, and one of them falls over
 * (which is why a deployment starts with one replica).
 */
import type { Client } from 'pg';

/** Any number that all Open WebUI processes share; the lock belongs to the session and goes with it. */
const MIGRATION_LOCK = 7_214_001;
/** So that processes do not make the vector store at the same time. */
const VECTOR_LOCK = 7_214_002;
const HEAD = '3ab32c4b8f59';

const TABLES = [
  'CREATE TABLE "user" (id text PRIMARY KEY, name text, email text UNIQUE, role text, oauth_sub text UNIQUE, created_at bigint)',
  'CREATE TABLE auth (id text PRIMARY KEY REFERENCES "user" (id), email text, password text, active boolean)',
  'CREATE TABLE chat (id text PRIMARY KEY, user_id text, title text, chat json, created_at bigint, updated_at bigint)',
  'CREATE TABLE config (id serial PRIMARY KEY, data json NOT NULL, version integer NOT NULL, created_at timestamp DEFAULT now())',
];

/** What the vector store makes on each start, if it is not there. */
const VECTOR_STORE = [
  'CREATE EXTENSION IF NOT EXISTS vector',
  'CREATE TABLE IF NOT EXISTS document_chunk (id text PRIMARY KEY, vector vector, collection_name text NOT NULL, text text, vmetadata jsonb)',
  'CREATE INDEX IF NOT EXISTS idx_document_chunk_collection_name ON document_chunk (collection_name)',
];

/** A failure in the words of the real program; nothing of the connection string is in it. */
export class SchemaError extends Error {}

export async function migrate(
  client: Client,
  options: {
    readonly needsVector: boolean;
    readonly allowedExtensions: readonly string[];
    readonly log: (line: string) => void;
    /** What creating the schema takes. */
    readonly pause: () => Promise<void>;
  },
): Promise<void> {
  if (await isMigrated(client)) {
    await openVectorStore(client, options);
    return;
  }
  const { rows } = await client.query<{ locked: boolean }>('SELECT pg_try_advisory_lock($1) AS locked', [
    MIGRATION_LOCK,
  ]);
  if (rows[0]?.locked !== true) {
    throw new SchemaError(
      'sqlalchemy.exc.IntegrityError: (psycopg2.errors.UniqueViolation) duplicate key value violates unique constraint "pg_type_typname_nsp_index"',
    );
  }
  try {
    options.log('INFO  [alembic.runtime.migration] Running upgrade  -> 7e5b5dc7342b, init');
    await options.pause();
    if (!(await isMigrated(client))) await createSchema(client);
    await openVectorStore(client, options);
    options.log(`INFO  [alembic.runtime.migration] Running upgrade 7e5b5dc7342b -> ${HEAD}`);
  } finally {
    await client.query('SELECT pg_advisory_unlock($1)', [MIGRATION_LOCK]).catch(() => undefined);
  }
}

/** `CREATE EXTENSION vector` as Azure answers it when azure.extensions does not list it. */
async function openVectorStore(
  client: Client,
  options: { readonly needsVector: boolean; readonly allowedExtensions: readonly string[] },
): Promise<void> {
  if (!options.needsVector) return;
  if (!options.allowedExtensions.some((name) => name.toUpperCase() === 'VECTOR')) {
    throw new SchemaError(
      'sqlalchemy.exc.NotSupportedError: (psycopg2.errors.FeatureNotSupported) extension "vector" is not allow-listed for users in Azure Database for PostgreSQL',
    );
  }
  await inTransaction(client, [`SELECT pg_advisory_xact_lock(${VECTOR_LOCK})`, ...VECTOR_STORE]);
  const { rowCount } = await client.query(
    "SELECT FROM pg_attribute WHERE attrelid = 'document_chunk'::regclass AND attname = 'vector' AND NOT attisdropped",
  );
  // It goes with an extension that is dropped with CASCADE, and a table that is there is taken as it is.
  if (rowCount === 0) {
    throw new SchemaError("Exception: The 'vector' column does not exist in the 'document_chunk' table.");
  }
}

async function isMigrated(client: Client): Promise<boolean> {
  const { rows } = await client.query<{ found: string | null }>(
    "SELECT to_regclass('public.alembic_version')::text AS found",
  );
  return rows[0]?.found != null;
}

const createSchema = (client: Client): Promise<void> =>
  inTransaction(client, [
    ...TABLES,
    'CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY)',
    `INSERT INTO alembic_version VALUES ('${HEAD}')`,
  ]);

async function inTransaction(client: Client, statements: readonly string[]): Promise<void> {
  await client.query('BEGIN');
  try {
    for (const statement of statements) await client.query(statement);
    await client.query('COMMIT');
  } catch (error) {
    await client.query('ROLLBACK').catch(() => undefined);
    throw error;
  }
}
