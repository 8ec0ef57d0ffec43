/**
 * What people want to know of a database that is not wrong: what takes up its room, and which statements take up its time.
 * Statements are told as pg_stat_statements keeps them, with $1 for each constant; it does not do so in everything
 * (ALTER ROLE … PASSWORD), so only statements on rows are shown in full.
 */
import { z } from 'zod';
import { hasCode } from '../../clients/cloud-failure.ts';
import { type Query, STATEMENT_MARK } from '../../clients/database.ts';
import { type DatabaseSnapshot, readSnapshot } from './snapshot.ts';

const MOST_ROWS = 10;
const LONGEST_STATEMENT = 300;

const sizeSchema = z.object({ bytes: z.number() });
const tableSchema = z.object({
  schema: z.string(),
  name: z.string(),
  /** With its indexes and what is stored out of line. */
  bytes: z.number(),
  /** As the last ANALYZE estimated it. */
  rows: z.number(),
});
const statementSchema = z.object({
  statement: z.string().transform(harmless),
  calls: z.number(),
  totalMilliseconds: z.number(),
  meanMilliseconds: z.number(),
  rows: z.number(),
});

/** What could be read, or why not. */
export type Readable<T> = { readonly known: T } | { readonly why: string };

export interface DatabaseFacts {
  readonly snapshot: DatabaseSnapshot;
  readonly bytes: number;
  readonly largestTables: Readable<readonly z.output<typeof tableSchema>[]>;
  /** Those that took the most time altogether, since the statistics were last reset. */
  readonly slowStatements: Readable<readonly z.output<typeof statementSchema>[]>;
}

export async function readFacts(query: Query): Promise<DatabaseFacts> {
  const snapshot = await readSnapshot(query);
  const [{ bytes }] = z
    .tuple([sizeSchema])
    .parse(await query('SELECT pg_database_size(current_database())::float8 AS bytes'));
  return {
    snapshot,
    bytes,
    largestTables: await readTables(query),
    slowStatements: await readStatements(query, snapshot),
  };
}

async function readTables(query: Query): Promise<DatabaseFacts['largestTables']> {
  try {
    return { known: z.array(tableSchema).parse(await query(TABLES)) };
  } catch (error) {
    if (!hasCode(error, 'DatabaseLocked')) throw error;
    return { why: 'a table is locked: its size cannot be read before it is given free' };
  }
}

async function readStatements(
  query: Query,
  { extensions }: DatabaseSnapshot,
): Promise<DatabaseFacts['slowStatements']> {
  const extension = extensions.find(({ name }) => name === 'pg_stat_statements');
  if (!extension) {
    return {
      why: 'the extension pg_stat_statements is not in this database: allow it in azure.extensions, then CREATE EXTENSION pg_stat_statements',
    };
  }
  try {
    return { known: z.array(statementSchema).parse(await query(statementsIn(extension.schema))) };
  } catch (error) {
    // 55000: it is there, and not in shared_preload_libraries.
    if (!hasCode(error, 'DatabaseError', 'DatabaseForbids')) throw error;
    return { why: 'pg_stat_statements cannot be read: see whether shared_preload_libraries lists it' };
  }
}

/** Sizes are of files, not estimates; to look at one takes a lock that only DDL and LOCK TABLE keep away. */
const TABLES = `
  SELECT nspname::text AS schema, relname::text AS name, pg_total_relation_size(c.oid)::float8 AS bytes,
    greatest(reltuples, 0)::float8 AS rows
  FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
  WHERE relkind IN ('r', 'm') AND nspname !~ '^(pg_|information_schema$)'
  ORDER BY bytes DESC, 1, 2 LIMIT ${MOST_ROWS}`;

const statementsIn = (schema: string): string => `
  SELECT query AS statement, calls::float8 AS calls, total_exec_time AS "totalMilliseconds",
    mean_exec_time AS "meanMilliseconds", rows::float8 AS rows
  FROM "${schema.replaceAll('"', '""')}".pg_stat_statements
  WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND strpos(query, '${STATEMENT_MARK}') = 0
  ORDER BY total_exec_time DESC, queryid LIMIT ${MOST_ROWS}`;

/** One line without comments and literals; of anything but a statement on rows only its first word. */
function harmless(text: string): string {
  const bare = text
    .replaceAll(/\/\*[\s\S]*?(\*\/|$)/g, ' ')
    .replaceAll(/--[^\n]*/g, ' ')
    .replaceAll(/\s+/g, ' ')
    .trim();
  const [word = ''] = /^[A-Za-z]+/.exec(bare) ?? [];
  if (!/^(select|insert|update|delete|merge|with|values)$/i.test(word)) {
    return word === '' ? '(hidden)' : `${word.toUpperCase()} …`;
  }
  const shown = bare
    .replaceAll(/'(?:[^']|'')*('|$)/g, "'?'")
    .replaceAll(/\$(\w*)\$[\s\S]*?(\$\1\$|$)/g, "'?'");
  return shown.length <= LONGEST_STATEMENT ? shown : `${shown.slice(0, LONGEST_STATEMENT - 1)}…`;
}
