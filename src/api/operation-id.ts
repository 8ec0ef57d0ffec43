import { randomBytes } from 'node:crypto';

/** `20261123T184501-7f3a9c21`: sorts by time, is safe in URLs and table keys, and cannot be guessed from the time. */
export function newOperationId(now: Date): string {
  const time = now.toISOString().replace(/[-:]/g, '').slice(0, 15);
  return `${time}-${randomBytes(4).toString('hex')}`;
}

export const isOperationId = (text: string): boolean => /^\d{8}T\d{6}-[a-f\d]{8}$/.test(text);
