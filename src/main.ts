/** The composition root: reads the settings, builds what everything stands on, registers every function. */
import { app } from '@azure/functions';
import * as df from 'durable-functions';
import { registerActivities } from './activities/register-activities.ts';
import { registerApi } from './api/register-api.ts';
import type { Clients } from './clients/clients.ts';
import { createClients } from './clients/create-clients.ts';
import { createCredential } from './clients/credential.ts';
import { readConfig } from './config.ts';
import { reconcileDeployment } from './orchestrations/reconcile-deployment.ts';
import { receiveEvent } from './reactions/receive-event.ts';
import { wake as wakeRun } from './reactions/wake.ts';
import { createWaker } from './reactions/waker.ts';
import { createTableStore } from './store/table-store.ts';
import { registerTimers } from './timers/register-timers.ts';

app.setup({ enableHttpStream: true });

const config = readConfig(process.env);
const credential = createCredential(config);
const store = createTableStore(config.store, credential);

const clients = new Map<string, Clients>();
const clientsFor = (subscriptionId: string): Clients => {
  const known = clients.get(subscriptionId) ?? createClients(config, credential, subscriptionId);
  clients.set(subscriptionId, known);
  return known;
};

const wake = createWaker((context, deployment) => wakeRun(df.getClient(context), deployment));

registerApi({ store, wake, clientsFor });
app.eventGrid('receiveEvent', {
  extraInputs: [df.input.durableClient()],
  handler: receiveEvent(store, wake),
});
registerTimers(store, wake, config.sweepSchedule);
registerActivities(store, clientsFor);
df.app.orchestration('reconcileDeployment', reconcileDeployment);
