/** What only SQL tells about the database, in the order in which one would go through it. */
import type { Check } from '../check.ts';
import { databaseConnections } from './connections.ts';
import { databaseExtension } from './extension.ts';
import { databaseLocks } from './locks.ts';
import { databaseLogin } from './login.ts';
import { longStatements, openTransactions } from './sessions.ts';
import { databaseWrites } from './writes.ts';

export const databaseChecks: readonly Check[] = [
  databaseLogin,
  databaseWrites,
  databaseConnections,
  databaseLocks,
  longStatements,
  openTransactions,
  databaseExtension,
];
