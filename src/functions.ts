/** Every function of the app by its name; it is ready only when all of them are registered. */
import { app } from '@azure/functions';

export const expectedFunctions: readonly string[] = [
  'checkAll',
  'checkDeployment',
  'deleteDebugPod',
  'deleteModel',
  'deleteQuarantine',
  'deliverNotifications',
  'describeChecks',
  'describeStack',
  'getDeployment',
  'getDrift',
  'getEvents',
  'getFleetHealth',
  'getHealth',
  'getLive',
  'getLogs',
  'getDatabase',
  'getModels',
  'getOperation',
  'getOperations',
  'getReady',
  'getSchema',
  'getTimeline',
  'listDeployments',
  'nameActors',
  'openOperation',
  'patchConfig',
  'postAccept',
  'postCheck',
  'postDebugPods',
  'postModels',
  'postPause',
  'postRepair',
  'postResize',
  'postRestart',
  'postResume',
  'postRotate',
  'postScale',
  'postSync',
  'putDeployment',
  'receiveEvent',
  'reconcileDeployment',
  'reconcileResource',
  'recordHealth',
  'recordOutcome',
  'recordSteps',
  'runChecks',
  'sweep',
  'takeRequests',
  'wakeWaiting',
];

/** Durable functions are registered as `generic`. */
const doors = ['http', 'timer', 'eventGrid', 'generic'] as const;

/** Notes what is registered from now on. The library keeps no list that an app could read. */
export function noteRegistrations(): ReadonlySet<string> {
  const names = new Set<string>();
  for (const door of doors) {
    const register: (...given: never) => void = app[door];
    Object.assign(app, {
      [door]: (...given: [string, never]) => {
        register(...(given as never));
        names.add(given[0]);
      },
    });
  }
  return names;
}
