// Monitor: an eternal orchestration that looks, waits, and continues as new until it has seen what it waits for.
import * as df from 'durable-functions';

const looks = {};

df.app.activity('look', {
  handler: (place) => {
    looks[place] = (looks[place] ?? 0) + 1;
    return looks[place] >= 3 ? 'clear' : 'cloudy';
  },
});

df.app.orchestration('monitor', function* (context) {
  const { place, rounds } = context.df.getInput();
  const weather = yield context.df.callActivity('look', place);
  if (weather === 'clear') return { place, rounds: rounds + 1 };
  yield context.df.createTimer(new Date(context.df.currentUtcDateTime.getTime() + 40));
  context.df.continueAsNew({ place, rounds: rounds + 1 });
});

// Takes one event for each execution: those that come early must survive the change of execution, in order.
df.app.orchestration('mailbox', function* (context) {
  const seen = context.df.getInput() ?? [];
  const item = yield context.df.waitForExternalEvent('item');
  seen.push(item);
  if (item === 'end') return seen;
  context.df.continueAsNew(seen);
});
