/**
 * pgvector in the database itself; that the server allows it is ARM's to tell. Open WebUI creates it when it starts, so
 * before it has made its first table nothing is missing.
 */
import type { Check, CheckFinding } from '../check.ts';
import { type DatabaseSnapshot, lookAtDatabase } from './snapshot.ts';

const NEEDED = 'vector';

export const databaseExtension: Check = {
  id: 'database-extension',
  system: 'database',
  title: 'The extension vector is there',
  run: async (scope) => judgeExtension(await lookAtDatabase(scope)),
};

/** A table that has lost its column of vectors is not mended by a restart: Open WebUI takes it as it is, and stops. */
export function judgeExtension({
  database,
  extensions,
  hasTables,
}: Pick<DatabaseSnapshot, 'database' | 'extensions' | 'hasTables'>): readonly CheckFinding[] {
  if (!hasTables || extensions.some(({ name }) => name === NEEDED)) return [];
  return [
    {
      id: 'extension-missing',
      resource: 'azure/postgres-database',
      severity: 'error',
      what: `The database ${database} lacks the extension ${NEEDED}.`,
      evidence: `pg_extension does not list ${NEEDED}, though there are tables.`,
      breaks: 'Documents are neither stored nor searched, and Open WebUI pods that start fail.',
      remedy: `CREATE EXTENSION ${NEEDED}. If it was dropped with CASCADE, the vectors of all documents went with it: restore the server to a moment before, or drop the table document_chunk, restart Open WebUI and have the documents indexed anew.`,
    },
  ];
}
