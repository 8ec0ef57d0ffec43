import * as df from 'durable-functions';
import { checks } from '../checks/index.ts';
import type { Clients } from '../clients/clients.ts';
import type { Activities } from '../orchestrations/activities.ts';
import type { Store } from '../store/store.ts';
import { describeChecks } from './describe-checks.ts';
import { describeStack } from './describe-stack.ts';
import type { Implementation } from './implementation.ts';
import { nameActors } from './name-actors.ts';
import { openOperation } from './open-operation.ts';
import { reconcileResource } from './reconcile-resource.ts';
import { recordHealth } from './record-health.ts';
import { recordOutcome } from './record-outcome.ts';
import { recordSteps } from './record-steps.ts';
import { runChecks } from './run-checks.ts';
import { takeRequests } from './take-requests.ts';

/** Every activity by its name: the table of contents. */
export function registerActivities(store: Store, clientsFor: (subscriptionId: string) => Clients): void {
  const implementations: { [Name in keyof Activities]: Implementation<Activities[Name]> } = {
    takeRequests: takeRequests(store),
    describeStack: describeStack(store),
    openOperation: openOperation(store),
    reconcileResource: reconcileResource(store, clientsFor),
    recordSteps: recordSteps(store),
    recordOutcome: recordOutcome(store),
    describeChecks: describeChecks(store, checks),
    runChecks: runChecks(store, clientsFor, checks),
    recordHealth: recordHealth(store),
    nameActors: nameActors(store, clientsFor),
  };
  for (const [name, handler] of Object.entries(implementations)) df.app.activity(name, { handler });
}
