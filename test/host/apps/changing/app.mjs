// An orchestrator whose code changes under a running instance.
import * as df from 'durable-functions';

for (const name of ['one', 'two']) df.app.activity(name, { handler: () => name });

df.app.orchestration('changing', function* (context) {
  if (process.env.CODE === 'renamed') yield context.df.callActivity('two');
  else if (process.env.CODE === 'kind') yield context.df.createTimer(context.df.currentUtcDateTime);
  else if (process.env.CODE !== 'shorter') yield context.df.callActivity('one');
  yield context.df.waitForExternalEvent('go');
  return 'done';
});
