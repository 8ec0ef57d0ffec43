// Everything an orchestration can wait for, and a record of each run of an activity that outlives the process.
import { appendFileSync } from 'node:fs';
import * as df from 'durable-functions';

df.app.activity('work', {
  handler: async (key) => {
    appendFileSync(process.env.RUNS_FILE, `${key}\n`);
    await new Promise((resolve) => setTimeout(resolve, 15));
    return key;
  },
});

df.app.orchestration('journey', function* (context) {
  const work = (step) => context.df.callActivity('work', `${context.df.instanceId} ${step}`);
  const done = [];
  for (const step of ['chain-1', 'chain-2', 'chain-3']) done.push(yield work(step));
  done.push(...(yield context.df.Task.all([1, 2, 3, 4, 5].map((index) => work(`fan-${index}`)))));
  yield context.df.createTimer(new Date(context.df.currentUtcDateTime.getTime() + 60));
  done.push(yield context.df.callSubOrchestrator('side', context.df.instanceId));
  context.df.setCustomStatus('waiting');
  done.push(yield context.df.waitForExternalEvent('go'));
  for (const step of ['last-1', 'last-2']) done.push(yield work(step));
  return done;
});

df.app.orchestration('side', function* (context) {
  yield context.df.callActivity('work', `${context.df.getInput()} side-1`);
  return yield context.df.callActivity('work', `${context.df.getInput()} side-2`);
});
