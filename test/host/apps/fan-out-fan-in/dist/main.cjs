// Fan-out/fan-in as a CommonJS bundle: list, process each in parallel, add up.
const df = require('durable-functions');

df.app.activity('list', { handler: (count) => Array.from({ length: count }, (_, index) => index + 1) });
df.app.activity('square', {
  handler: async (number) => {
    await new Promise((resolve) => setTimeout(resolve, 20));
    if (number < 0) throw new Error(`${number} is negative`);
    return number * number;
  },
});

df.app.orchestration('sumOfSquares', function* (context) {
  const numbers = yield context.df.callActivity('list', context.df.getInput());
  const squares = yield context.df.Task.all(
    numbers.map((number) => context.df.callActivity('square', number)),
  );
  return squares.reduce((sum, square) => sum + square, 0);
});

df.app.orchestration('oneFails', function* (context) {
  try {
    yield context.df.Task.all([-1, 2].map((number) => context.df.callActivity('square', number)));
  } catch (error) {
    return error.message.split('\n')[0];
  }
});
