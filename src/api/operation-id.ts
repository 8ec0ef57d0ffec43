import { randomBytes } from 'node:crypto';
import { operationId } from '../graph/operation-id.ts';

/** One that cannot be guessed from the time. */
export const newOperationId = (now: Date): string =>
  operationId(now.toISOString(), randomBytes(4).toString('hex'));

export const isOperationId = (text: string): boolean => /^\d{8}T\d{6}-[a-f\d]{8}$/.test(text);
