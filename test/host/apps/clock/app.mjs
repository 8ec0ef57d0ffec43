// What runs on the host's clock: durable timers, timer triggers, and the app's own Date.
import { app } from '@azure/functions';
import * as df from 'durable-functions';

const day = 86_400_000;

df.app.orchestration('days', function* (context) {
  const started = context.df.currentUtcDateTime.getTime();
  yield context.df.createTimer(new Date(started + context.df.getInput() * day));
  return (context.df.currentUtcDateTime.getTime() - started) / day;
});

df.app.orchestration('cancelLong', function* (context) {
  const long = context.df.createTimer(new Date(context.df.currentUtcDateTime.getTime() + 10 * day));
  const short = context.df.createTimer(new Date(context.df.currentUtcDateTime.getTime() + day / 24));
  const winner = yield context.df.Task.any([long, short]);
  long.cancel();
  return winner === short;
});

app.get('now', {
  handler: () => {
    const made = new Date();
    return {
      jsonBody: {
        now: Date.now(),
        made: made.getTime(),
        isDate: made instanceof Date,
        text: Date().length > 0,
      },
    };
  },
});

const ticks = [];
app.timer('hourly', {
  schedule: '%HOURLY%',
  handler: (timer) => {
    ticks.push({ at: Date.now(), isPastDue: timer.isPastDue, next: timer.scheduleStatus?.next });
  },
});
app.get('ticks', { handler: () => ({ jsonBody: ticks }) });
