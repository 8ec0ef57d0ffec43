// Function chaining: each activity's result is the next one's input.
import * as df from 'durable-functions';

const hello = df.app.activity('hello', { handler: (city) => `Hello, ${city}` });
const shout = df.app.activity('shout', { handler: (text) => `${text.toUpperCase()}!` });

df.app.orchestration('helloSequence', function* () {
  const greetings = [];
  for (const city of ['Tokyo', 'Seattle', 'Cairo']) greetings.push(yield hello(city));
  return greetings;
});

df.app.orchestration('chain', function* (context) {
  const greeting = yield hello(context.df.getInput().city);
  return yield shout(greeting);
});

df.app.orchestration('unknownActivity', function* (context) {
  yield hello('first');
  return yield context.df.callActivity('helo', 'second');
});

df.app.orchestration('unknownChild', function* (context) {
  return yield context.df.callSubOrchestrator('nobody');
});

df.app.orchestration('throws', function* () {
  yield hello('you');
  throw new Error('this orchestrator gives up');
});

df.app.orchestration('status', function* (context) {
  context.df.setCustomStatus('x'.repeat(context.df.getInput()));
  yield hello('you');
  return 'done';
});

df.app.orchestration('unawaitedTimer', function* (context) {
  const late = context.df.createTimer(
    new Date(context.df.currentUtcDateTime.getTime() + context.df.getInput()),
  );
  yield context.df.Task.any([hello('you'), late]);
  return 'returned';
});
