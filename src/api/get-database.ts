/**
 * GET /api/deployments/{name}/database: what the database is busy with, asked of itself at this moment and kept nowhere.
 * What is wrong with it is in `GET …/health`; here is what a person looks up next.
 */
import type { HttpHandler } from '@azure/functions';
import { nearestLimit } from '../checks/database/connections.ts';
import { type DatabaseFacts, type Readable, readFacts } from '../checks/database/facts.ts';
import { inSession, loginOf } from '../checks/database/session.ts';
import type { DatabaseSession } from '../checks/database/snapshot.ts';
import { atCloud, liveStack } from './live-stack.ts';
import { onDeployment } from './on-deployment.ts';
import { type CloudDependencies, respond } from './respond.ts';

/** A statement that is over in a moment tells nobody anything. */
const WORTH_SHOWING_SECONDS = 1;

export const getDatabase = (dependencies: CloudDependencies): HttpHandler =>
  onDeployment(dependencies.store, (record, request, context) =>
    atCloud(request, context, async () => {
      const scope = { ...liveStack(dependencies, record), now: new Date(), known: {} };
      const { host, database } = await loginOf(scope);
      const facts = await inSession(scope, readFacts);
      return respond(200, { server: host, database, ...bodyOf(facts) });
    }),
  );

function bodyOf({ snapshot, bytes, largestTables, slowStatements }: DatabaseFacts): object {
  const limit = nearestLimit(snapshot);
  return {
    version: snapshot.version,
    bytes,
    extensions: snapshot.extensions.map(({ name, version }) => ({ name, version })),
    connections: {
      ...(limit && { used: limit.used, limit: limit.most, limitOf: limit.of }),
      holders: snapshot.holders,
    },
    sessions: snapshot.sessions
      .filter(({ wait, seconds }) => wait !== null || seconds >= WORTH_SHOWING_SECONDS)
      .map(sessionOf),
    largestTables: orWhy(largestTables),
    slowStatements: orWhy(slowStatements),
  };
}

const sessionOf = ({ wait, ...session }: DatabaseSession): object => ({
  ...session,
  ...(wait && {
    waitsFor: { relation: wait.relation, mode: wait.mode, since: wait.since, of: wait.blockers },
  }),
});

const orWhy = <T>(read: Readable<T>): T | { readonly unknown: string } =>
  'known' in read ? read.known : { unknown: read.why };
