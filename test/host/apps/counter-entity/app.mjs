// A counter as an entity: signalled, called, read, deleted; and transfers that lock two accounts.
import { app } from '@azure/functions';
import * as df from 'durable-functions';

df.app.entity('Counter', (context) => {
  const value = context.df.getState(() => 0);
  switch (context.df.operationName) {
    case 'add':
      context.df.setState(value + context.df.getInput());
      break;
    case 'reset':
      context.df.setState(0);
      break;
    case 'get':
      context.df.return(value);
      break;
    case 'fail':
      throw new Error('the counter is stuck');
    case 'delete':
      context.df.destructOnExit();
      break;
    case 'tell':
      context.df.signalEntity(new df.EntityId('Counter', context.df.getInput()), 'add', value);
      break;
  }
});

df.app.orchestration('count', function* (context) {
  const id = new df.EntityId('Counter', context.df.getInput());
  context.df.signalEntity(id, 'add', 5);
  const before = yield context.df.callEntity(id, 'get');
  yield context.df.callEntity(id, 'add', 2);
  const after = yield context.df.callEntity(id, 'get');
  return { before, after };
});

df.app.orchestration('failing', function* (context) {
  try {
    yield context.df.callEntity(new df.EntityId('Counter', 'stuck'), 'fail');
  } catch (error) {
    return `caught: ${error instanceof Error}`;
  }
});

// Reads, waits, writes: without the lock another transfer would come between.
df.app.activity('pause', { handler: () => new Promise((resolve) => setTimeout(resolve, 20, null)) });
df.app.orchestration('transfer', function* (context) {
  const { from, to, amount } = context.df.getInput();
  const [source, target] = [from, to].map((key) => new df.EntityId('Counter', key));
  const lock = yield context.df.lock(source, target);
  const balance = yield context.df.callEntity(source, 'get');
  yield context.df.callActivity('pause');
  if (balance >= amount) {
    yield context.df.callEntity(source, 'add', -amount);
    yield context.df.callEntity(target, 'add', amount);
  }
  lock.release();
  return balance >= amount;
});

app.http('readCounter', {
  route: 'counter/{key}',
  methods: ['GET'],
  extraInputs: [df.input.durableClient()],
  handler: async (request, context) => {
    const state = await df.getClient(context).readEntityState(new df.EntityId('Counter', request.params.key));
    return { jsonBody: state };
  },
});
