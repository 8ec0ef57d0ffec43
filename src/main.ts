/** The composition root: reads the settings, builds what everything stands on, registers every function. */
import { app, type InvocationContext } from '@azure/functions';
import * as df from 'durable-functions';
import { registerActivities } from './activities/register-activities.ts';
import { staleAfter } from './api/deployment-health.ts';
import { registerApi } from './api/register-api.ts';
import { registerHealth } from './api/register-health.ts';
import type { Clients } from './clients/clients.ts';
import { createClients } from './clients/create-clients.ts';
import { createCredential } from './clients/credential.ts';
import { notificationTargets } from './clients/notification-targets.ts';
import { createSharedLimits } from './clients/shared-limits.ts';
import { readConfig } from './config.ts';
import { expectedFunctions, noteRegistrations } from './functions.ts';
import { checkDeployment } from './orchestrations/check-deployment.ts';
import { reconcileDeployment } from './orchestrations/reconcile-deployment.ts';
import { receiveEvent } from './reactions/receive-event.ts';
import { type StartedCheck, startCheck, startCheckAt } from './reactions/start-check.ts';
import { wake as wakeRun } from './reactions/wake.ts';
import { createWaker } from './reactions/waker.ts';
import { createTableStore } from './store/table-store.ts';
import { registerChecks, registerNotifications, registerTimers } from './timers/register-timers.ts';

app.setup({ enableHttpStream: true });

const registered = noteRegistrations();
const config = readConfig(process.env);
const credential = createCredential(config);
const store = createTableStore(config.store, credential);

const limits = createSharedLimits();
const clients = new Map<string, Clients>();
const clientsFor = (subscriptionId: string): Clients => {
  const known = clients.get(subscriptionId) ?? createClients(config, credential, subscriptionId, limits);
  clients.set(subscriptionId, known);
  return known;
};

const wake = createWaker((context, deployment) => wakeRun(df.getClient(context), deployment));

const staleAfterMilliseconds = staleAfter(config.checkSchedule);
registerApi({ store, wake, clientsFor, staleAfterMilliseconds });
app.eventGrid('receiveEvent', {
  extraInputs: [df.input.durableClient()],
  handler: receiveEvent(store, wake),
});
const check = (context: InvocationContext, deployment: string): Promise<StartedCheck> =>
  startCheck(df.getClient(context), deployment, new Date());
registerHealth(
  { store, startCheck: check, staleAfterMilliseconds },
  {
    conditions: {
      store: () => store.check(),
      credential: () => credential.getToken(`${config.cloud.resourceManagerAudience}/.default`),
    },
    missingFunctions: () => expectedFunctions.filter((name) => !registered.has(name)),
  },
);
registerChecks(
  store,
  (context, deployment, at) => startCheckAt(df.getClient(context), deployment, at),
  config.checkSchedule,
);
registerTimers(store, wake, config.sweepSchedule);
registerNotifications(store, notificationTargets(config, credential));
registerActivities(store, clientsFor);
df.app.orchestration('reconcileDeployment', reconcileDeployment);
df.app.orchestration('checkDeployment', checkDeployment);
