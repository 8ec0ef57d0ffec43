/** How sessions are named in findings: who it is, what it does, since when; never what stands in its statement. */
import type { DatabaseSession } from './snapshot.ts';

/** More of them say nothing new, and a text has an end. */
const MOST_NAMED = 3;

export const who = ({ application, user }: Pick<DatabaseSession, 'application' | 'user'>): string =>
  `${application === '' ? 'a program without a name' : `"${application}"`}${user === '' ? '' : ` as ${user}`}`;

/** `"psql" as webuiadmin (pid 4711, UPDATE on chat)`. */
export function described(session: DatabaseSession): string {
  const on = session.relations.length === 0 ? '' : ` on ${session.relations.slice(0, MOST_NAMED).join(', ')}`;
  return `${who(session)} (pid ${session.pid}, ${session.statement}${on})`;
}

export const listed = (texts: readonly string[]): string =>
  texts.length <= MOST_NAMED ? texts.join('; ') : `${texts.slice(0, MOST_NAMED).join('; ')}; and others`;
