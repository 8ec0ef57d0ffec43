// Human interaction: a code is sent, and has to be entered within a time; three wrong ones are too many.
import * as df from 'durable-functions';

df.app.activity('sendCode', { handler: () => 1234 });

df.app.orchestration('verify', function* (context) {
  const { milliseconds } = context.df.getInput();
  const code = yield context.df.callActivity('sendCode');
  const expires = new Date(context.df.currentUtcDateTime.getTime() + milliseconds);
  const timeout = context.df.createTimer(expires);
  let authorized = false;
  for (let attempt = 0; attempt < 3 && !authorized; attempt++) {
    context.df.setCustomStatus({ attempt });
    const response = context.df.waitForExternalEvent('response');
    const winner = yield context.df.Task.any([response, timeout]);
    if (winner === timeout) break;
    authorized = response.result === code;
  }
  if (!timeout.isCompleted) timeout.cancel();
  return authorized;
});

df.app.orchestration('collect', function* (context) {
  const seen = [];
  for (let index = 0; index < 3; index++) seen.push(yield context.df.waitForExternalEvent('item'));
  return seen;
});

df.app.orchestration('stack', function* (context) {
  const older = context.df.waitForExternalEvent('item');
  const newer = context.df.waitForExternalEvent('item');
  const first = yield context.df.Task.any([older, newer]);
  const all = yield context.df.Task.all([context.df.waitForExternalEvent('end')]);
  return { firstWas: first === newer ? 'newer' : 'older', all };
});
