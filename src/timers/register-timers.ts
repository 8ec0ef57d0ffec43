import { app } from '@azure/functions';
import { input } from 'durable-functions';
import type { Waker } from '../reactions/waker.ts';
import type { Store } from '../store/store.ts';
import { sweep, wakeWaiting } from './sweep.ts';

export function registerTimers(store: Store, wake: Waker, sweepSchedule: string): void {
  app.timer('sweep', {
    schedule: sweepSchedule,
    extraInputs: [input.durableClient()],
    handler: sweep(store, wake),
  });
  app.timer('wakeWaiting', {
    schedule: '30 * * * * *',
    extraInputs: [input.durableClient()],
    handler: wakeWaiting(store, wake),
  });
}
