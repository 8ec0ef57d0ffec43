import { app } from '@azure/functions';
import { input } from 'durable-functions';
import type { Channel } from '../notifications/change.ts';
import type { Teller } from '../notifications/deliver.ts';
import type { Waker } from '../reactions/waker.ts';
import type { Store } from '../store/store.ts';
import { checkAll, type StartCheckAt } from './check-all.ts';
import { deliverNotifications } from './deliver-notifications.ts';
import { sweep, sweepTurns, wakeWaiting } from './sweep.ts';

export function registerTimers(store: Store, wake: Waker, sweepSchedule: string): void {
  app.timer('sweep', {
    schedule: sweepSchedule,
    extraInputs: [input.durableClient()],
    handler: sweep(store, wake, sweepTurns(sweepSchedule)),
  });
  app.timer('wakeWaiting', {
    schedule: '30 * * * * *',
    extraInputs: [input.durableClient()],
    handler: wakeWaiting(store, wake),
  });
}

export function registerChecks(store: Store, startCheck: StartCheckAt, checkSchedule: string): void {
  app.timer('checkAll', {
    schedule: checkSchedule,
    extraInputs: [input.durableClient()],
    handler: checkAll(store, startCheck),
  });
}

export function registerNotifications(
  store: Store,
  tellers: Readonly<Partial<Record<Channel, Teller>>>,
): void {
  app.timer('deliverNotifications', {
    schedule: '15 * * * * *',
    handler: deliverNotifications(store.health, tellers),
  });
}
