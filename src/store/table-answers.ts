/** What refusals of the table service mean to whoever reads a row, or writes it as it was read. */
import { hasStatus } from './tables.ts';

/** Each try that loses was beaten by another writer, so somebody gets on. */
export const TRIES = 10;

/** Nothing when it is not there; what else goes wrong is thrown. */
export async function orNothing<T>(answer: Promise<T>): Promise<T | undefined> {
  try {
    return await answer;
  } catch (error) {
    if (hasStatus(error, 404)) return undefined;
    throw error;
  }
}

/** False when another writer was first: made it (409), changed it (412) or removed it (404). */
export async function unlessBeaten(write: Promise<unknown>): Promise<boolean> {
  try {
    await write;
    return true;
  } catch (error) {
    if (hasStatus(error, 404, 409, 412)) return false;
    throw error;
  }
}
