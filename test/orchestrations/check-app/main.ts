/**
 * The checking half of the app on a real host, with checks that a test steers from outside by the files of a folder:
 * `stopped` is something to find, `slow` keeps one from answering for as long as it is there.
 */
import { existsSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import * as df from 'durable-functions';
import { describeChecks } from '../../../src/activities/describe-checks.ts';
import { recordHealth } from '../../../src/activities/record-health.ts';
import { runChecks } from '../../../src/activities/run-checks.ts';
import { staleAfter } from '../../../src/api/deployment-health.ts';
import { registerHealth } from '../../../src/api/register-health.ts';
import type { Check } from '../../../src/checks/check.ts';
import type { Clients } from '../../../src/clients/clients.ts';
import { checkDeployment } from '../../../src/orchestrations/check-deployment.ts';
import { startCheck, startCheckAt } from '../../../src/reactions/start-check.ts';
import { createTableStore } from '../../../src/store/table-store.ts';
import { registerChecks } from '../../../src/timers/register-timers.ts';

const connectionString = process.env['AzureWebJobsStorage'] ?? '';
const steering = process.env['STEERING'] ?? '';
const NEVER = '0 0 0 1 1 *';

const store = createTableStore(
  { kind: 'connection-string', connectionString },
  { getToken: () => Promise.reject(new Error('a connection string carries its own key')) },
);
const is = (file: string): boolean => existsSync(`${steering}/${file}`);
const checks: readonly Check[] = [
  {
    id: 'server-runs',
    system: 'database',
    title: 'The server runs',
    run: async () =>
      is('stopped')
        ? [
            {
              id: 'stopped',
              resource: 'azure/postgres-server',
              severity: 'error',
              what: 'The server is stopped.',
              evidence: 'state Stopped',
              breaks: 'Nobody can sign in.',
              remedy: 'Start it.',
            },
          ]
        : [],
  },
  {
    id: 'site-answers',
    system: 'site',
    title: 'The site answers',
    run: async () => {
      while (is('slow')) await setTimeout(10);
      throw new Error('no answer');
    },
  },
];

const activities = {
  describeChecks: describeChecks(store, checks),
  runChecks: runChecks(store, () => ({}) as Clients, checks),
  recordHealth: recordHealth(store),
};
df.app.activity('describeChecks', { handler: activities.describeChecks });
df.app.activity('runChecks', { handler: activities.runChecks });
df.app.activity('recordHealth', { handler: activities.recordHealth });
df.app.orchestration('checkDeployment', checkDeployment);
registerHealth(
  {
    store,
    staleAfterMilliseconds: staleAfter(NEVER),
    startCheck: (context, deployment) => startCheck(df.getClient(context), deployment, new Date()),
  },
  { conditions: {}, missingFunctions: () => [] },
);
registerChecks(
  store,
  (context, deployment, at) => startCheckAt(df.getClient(context), deployment, at),
  NEVER,
);
