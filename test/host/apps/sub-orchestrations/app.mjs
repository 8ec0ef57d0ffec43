// Sub-orchestrations: devices are provisioned each by its own orchestration, in parallel.
import * as df from 'durable-functions';

const broken = new Set();

df.app.activity('step', {
  handler: ({ device, step }) => {
    if (broken.has(device)) throw new Error(`${device} is broken`);
    return `${device}:${step}`;
  },
});
df.app.activity('break', { handler: (device) => void broken.add(device) });
df.app.activity('mend', { handler: (device) => broken.delete(device) });

df.app.orchestration('provision', function* (context) {
  const device = context.df.getInput();
  const steps = [];
  for (const step of ['package', 'send', 'wait'])
    steps.push(yield context.df.callActivity('step', { device, step }));
  return steps.join(' ');
});

df.app.orchestration('provisionAll', function* (context) {
  const devices = context.df.getInput();
  return yield context.df.Task.all(
    devices.map((device) =>
      context.df.callSubOrchestrator('provision', device, `${context.df.instanceId}:${device}`),
    ),
  );
});

df.app.orchestration('parent', function* (context) {
  return yield context.df.callSubOrchestrator('provision', context.df.getInput());
});

df.app.orchestration('breakIt', function* (context) {
  return yield context.df.callActivity('break', context.df.getInput());
});
df.app.orchestration('mendIt', function* (context) {
  return yield context.df.callActivity('mend', context.df.getInput());
});

df.app.orchestration('waits', function* (context) {
  return yield context.df.waitForExternalEvent('go');
});
