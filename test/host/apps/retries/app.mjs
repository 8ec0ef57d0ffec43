// Retries of activities and sub-orchestrations, with back-off.
import * as df from 'durable-functions';

const attempts = {};

df.app.activity('flaky', {
  handler: ({ key, failures }) => {
    attempts[key] = (attempts[key] ?? 0) + 1;
    if (attempts[key] <= failures) throw new Error(`attempt ${attempts[key]} fails`);
    return attempts[key];
  },
});

function options(maximum) {
  const retry = new df.RetryOptions(30, maximum);
  retry.backoffCoefficient = 2;
  return retry;
}

df.app.orchestration('retry', function* (context) {
  const { failures, maximum } = context.df.getInput();
  const input = { key: context.df.instanceId, failures };
  const result = yield context.df.callActivityWithRetry('flaky', options(maximum), input);
  const after = yield context.df.callActivity('flaky', {
    key: `${context.df.instanceId}-after`,
    failures: 0,
  });
  return { result, after };
});

df.app.orchestration('child', function* (context) {
  return yield context.df.callActivity('flaky', context.df.getInput());
});

df.app.orchestration('retryChild', function* (context) {
  const input = { key: context.df.instanceId, failures: 1 };
  return yield context.df.callSubOrchestratorWithRetry('child', options(3), input);
});

// A task once yielded, put into a second compound, runs again (durable-js #574).
const runs = {};
df.app.activity('wait', {
  handler: async ({ key, milliseconds }) => {
    runs[key] = (runs[key] ?? 0) + 1;
    await new Promise((resolve) => setTimeout(resolve, milliseconds));
    return key;
  },
});
df.app.activity('runs', { handler: () => runs });
df.app.orchestration('reuse', function* (context) {
  const a = context.df.callActivity('wait', { key: 'a', milliseconds: 50 });
  const b = context.df.callActivity('wait', { key: 'b', milliseconds: 400 });
  const first = yield context.df.Task.any([a, b]);
  const d = context.df.callActivity('wait', { key: 'd', milliseconds: 50 });
  const second = yield context.df.Task.any([b, d]);
  return { first: first === a ? 'a' : 'b', second: second === b ? 'b' : 'd' };
});
