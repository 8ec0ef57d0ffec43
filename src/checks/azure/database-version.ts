/** How long Azure still supports the server's major version. */
import type { Check } from '../check.ts';
import { neededServer } from './parts.ts';

/**
 * Last days of Azure's standard support; ARM does not tell them. Newer versions than these end later.
 * https://learn.microsoft.com/azure/postgresql/flexible-server/concepts-version-policy (as of November 2026)
 */
const supportEnds: Readonly<Record<string, string>> = {
  '11': '2026-03-31',
  '12': '2026-03-31',
  '13': '2026-03-31',
  '14': '2026-11-12',
  '15': '2027-11-11',
  '16': '2028-11-09',
  '17': '2029-11-08',
  '18': '2030-11-14',
};
const NOTICE_DAYS = 180;
const DAY = 86_400_000;

export const databaseVersion: Check = {
  id: 'database-version-supported',
  system: 'database',
  title: 'The PostgreSQL version is supported',

  async run(scope) {
    const { version = '' } = await neededServer(scope);
    const { postgresServer: server } = scope.names;
    const end = supportEnds[version];
    if (end === undefined) return [];
    const left = Date.parse(end) + DAY - scope.now.getTime();
    if (left > NOTICE_DAYS * DAY) return [];
    const isOver = left <= 0;
    return [
      {
        id: isOver ? 'database-version-support-ended' : 'database-version-support-ending',
        resource: 'azure/postgres-server',
        // Azure goes on running it, at a price: https://learn.microsoft.com/azure/postgresql/configure-maintain/extended-support
        severity: 'warning',
        what: isOver
          ? `Azure's standard support of PostgreSQL ${version}, which the server ${server} runs, has ended.`
          : `Azure's standard support of PostgreSQL ${version}, which the server ${server} runs, ends soon.`,
        evidence: `properties.version is ${version}; its support ends on ${end}.`,
        breaks: isOver
          ? 'Nothing at once; the community fixes nothing in it any more, and Azure charges for extended support.'
          : 'Nothing yet; after that day the community fixes nothing in it any more, and Azure charges for extended support.',
        remedy:
          'Upgrade it at a quiet hour, after a backup: set postgres.version to a newer major version. The server is down for some minutes.',
      },
    ];
  },
};
