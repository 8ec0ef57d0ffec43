import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { HostProcess } from './host-process.ts';

/** A host for the tests of one describe block. */
function hostOf(app: string, options: { arguments?: string[] } = {}): () => HostProcess {
  let host: HostProcess | undefined;
  beforeAll(async () => {
    host = await HostProcess.start(app, options);
  });
  afterAll(async () => {
    await host?.end();
  });
  return () => {
    if (!host) throw new Error('the host did not start');
    return host;
  };
}

describe('function chaining', () => {
  const host = hostOf('function-chaining');

  test('greets the three cities in order', async () => {
    const status = await host().run('helloSequence');
    expect(status).toMatchObject({
      runtimeStatus: 'Completed',
      output: ['Hello, Tokyo', 'Hello, Seattle', 'Hello, Cairo'],
    });
  });

  test('hands one result to the next activity', async () => {
    expect((await host().run('chain', { city: 'Oslo' })).output).toBe('HELLO, OSLO!');
  });

  test('an unknown activity fails the orchestration where it is called', async () => {
    const id = await host().startInstance('unknownActivity');
    await host().finished(id);
    const status = await host().status(id, '?showHistory=true');
    expect(status.runtimeStatus).toBe('Failed');
    expect(status.output).toContain("The function 'helo' doesn't exist");
    expect(status.historyEvents?.filter((event) => event.EventType === 'TaskCompleted')).toHaveLength(1);
  });

  test('an unknown sub-orchestrator fails the orchestration where it is called', async () => {
    const status = await host().run('unknownChild');
    expect(status).toMatchObject({ runtimeStatus: 'Failed' });
    expect(status.output).toContain("The function 'nobody' doesn't exist");
  });

  test('a thrown error is the output of the failed instance, without the state behind it', async () => {
    expect(await host().run('throws')).toMatchObject({
      runtimeStatus: 'Failed',
      output: "Orchestrator function 'throws' failed: this orchestrator gives up",
    });
    expect(host().output).not.toContain('$OutOfProcData$');
  });

  test('custom status may have 16 KB of UTF-16 text, with its quotes, and no more', async () => {
    const fits = 8 * 1024 - 2;
    expect(await host().run('status', fits)).toMatchObject({
      runtimeStatus: 'Completed',
      customStatus: 'x'.repeat(fits),
    });
    const tooLong = await host().run('status', fits + 1);
    expect(tooLong.runtimeStatus).toBe('Failed');
    expect(tooLong.output).toContain('must not exceed 16 KB');
  });

  test('an instance stays open while a timer that nobody cancelled is open', async () => {
    const id = await host().startInstance('unawaitedTimer', 400);
    const started = performance.now();
    expect((await host().finished(id)).output).toBe('returned');
    expect(performance.now() - started).toBeGreaterThan(300);
  });
});

describe('fan-out/fan-in (a CommonJS bundle)', () => {
  const host = hostOf('fan-out-fan-in');

  test('adds up what ran in parallel', async () => {
    const started = performance.now();
    expect((await host().run('sumOfSquares', 20)).output).toBe(2870);
    // One after the other it would take 20 times 20 ms.
    expect(performance.now() - started).toBeLessThan(350);
  });

  test('the error of one task reaches the orchestrator with the function and the message', async () => {
    expect((await host().run('oneFails')).output).toBe("Activity function 'square' failed: -1 is negative ");
  });
});

describe('human interaction', () => {
  const host = hostOf('human-interaction');

  test('the right code in time authorizes, at the second attempt', async () => {
    const id = await host().startInstance('verify', { milliseconds: 60_000 });
    const attempt = (number: number) => async (): Promise<unknown> =>
      host().statusWhen(
        id,
        (status) => (status.customStatus as { attempt: number } | null)?.attempt === number,
      );
    await attempt(0)();
    expect(await host().raise(id, 'response', 1)).toBe(202);
    await attempt(1)();
    expect(await host().raise(id, 'Response', 1234)).toBe(202);
    // The library compares event names exactly, the host does not: nothing happens until the name is right.
    expect((await host().status(id)).runtimeStatus).toBe('Running');
    expect(await host().raise(id, 'response', 1234)).toBe(202);
    expect(await host().finished(id)).toMatchObject({ runtimeStatus: 'Completed', output: true });
  });

  test('without an answer the timer decides', async () => {
    expect((await host().run('verify', { milliseconds: 150 })).output).toBe(false);
  });

  test('events that come before anybody waits are kept in order', async () => {
    const id = await host().startInstance('collect');
    for (const value of [1, 2, 3]) expect(await host().raise(id, 'item', value)).toBe(202);
    expect((await host().finished(id)).output).toEqual([1, 2, 3]);
  });

  test('the newest waiter of a name gets the event', async () => {
    const id = await host().startInstance('stack');
    await host().raise(id, 'item', 'one');
    await host().raise(id, 'end', true);
    expect((await host().finished(id)).output).toMatchObject({ firstWas: 'newer' });
  });
});

describe('monitor', () => {
  const host = hostOf('monitor');

  test('continues as new until it has seen a clear sky', async () => {
    const status = await host().run('monitor', { place: 'Oslo', rounds: 0 });
    expect(status).toMatchObject({ runtimeStatus: 'Completed', output: { place: 'Oslo', rounds: 3 } });
    const { historyEvents } = await host().status(status.instanceId, '?showHistory=true');
    // Only the last execution's history is there.
    expect(historyEvents?.filter((event) => event.EventType === 'TaskCompleted')).toHaveLength(1);
  });

  test('keeps the events that came early, in order, from one execution to the next', async () => {
    const id = await host().startInstance('mailbox', []);
    for (const item of ['a', 'b', 'c', 'd', 'end']) expect(await host().raise(id, 'item', item)).toBe(202);
    expect((await host().finished(id)).output).toEqual(['a', 'b', 'c', 'd', 'end']);
  });
});

describe('retries', () => {
  const host = hostOf('retries');

  test('succeeds at the third attempt, and goes on with the right ids', async () => {
    const status = await host().run('retry', { failures: 2, maximum: 5 });
    expect(status).toMatchObject({ runtimeStatus: 'Completed', output: { result: 3, after: 1 } });
    const { historyEvents = [] } = await host().status(status.instanceId, '?showHistory=true');
    const [first, second] = historyEvents.filter((event) => event.EventType === 'TimerCreated');
    const wait = (event: Record<string, unknown> | undefined): number =>
      Date.parse(String(event?.['FireAt'])) - Date.parse(String(event?.['Timestamp']));
    expect(wait(first)).toBeGreaterThan(20);
    expect(wait(second)).toBeGreaterThan(wait(first));
  });

  test('gives up after the last attempt, and only after one more back-off', async () => {
    const status = await host().run('retry', { failures: 9, maximum: 2 });
    expect(status.runtimeStatus).toBe('Failed');
    expect(status.output).toContain("Activity function 'flaky' failed: attempt 2 fails");
    const { historyEvents = [] } = await host().status(status.instanceId, '?showHistory=true');
    const count = (type: string): number => historyEvents.filter((event) => event.EventType === type).length;
    expect([count('TaskFailed'), count('TimerFired')]).toEqual([2, 2]);
  });

  test('retries a sub-orchestration', async () => {
    expect(await host().run('retryChild')).toMatchObject({ runtimeStatus: 'Completed', output: 2 });
  });

  test('a task put into a second any runs again, and the ids shift (durable-js #574)', async () => {
    const status = await host().run('reuse');
    expect(status.output).toEqual({ first: 'a', second: 'b' });
    const { historyEvents = [] } = await host().status(
      status.instanceId,
      '?showHistory=true&showHistoryOutput=true',
    );
    const ran = historyEvents
      .filter((event) => event.EventType === 'TaskCompleted')
      .map((event) => event['Result']);
    expect(ran.sort()).toEqual(['a', 'b', 'b', 'd']);
  });
});

describe('sub-orchestrations', () => {
  const host = hostOf('sub-orchestrations');

  test('run in parallel under the ids they are given', async () => {
    const status = await host().run('provisionAll', ['x', 'y']);
    expect(status.output).toEqual(['x:package x:send x:wait', 'y:package y:send y:wait']);
    expect(await host().status(`${status.instanceId}:x`)).toMatchObject({
      name: 'provision',
      runtimeStatus: 'Completed',
      input: 'x',
    });
  });

  test("a child's failure is the parent's, and rewinding the parent mends both", async () => {
    await host().run('breakIt', 'z');
    const status = await host().run('parent', 'z');
    expect(status.runtimeStatus).toBe('Failed');
    expect(status.output).toContain(
      "Orchestrator function 'provision' failed: Activity function 'step' failed",
    );
    await host().run('mendIt', 'z');
    expect(await host().post(`instances/${status.instanceId}/rewind?reason=mended`)).toBe(202);
    expect(await host().finished(status.instanceId)).toMatchObject({
      runtimeStatus: 'Completed',
      output: 'z:package z:send z:wait',
    });
  });
});

describe('counter entity', () => {
  const host = hostOf('counter-entity', { arguments: ['--schema', '3'] });
  const entity = (key: string, init?: RequestInit, query = ''): Promise<Response> =>
    host().manage(`entities/Counter/${key}${query}`, init);
  const json = { 'content-type': 'application/json' };
  const add = (key: string, amount: number): Promise<Response> =>
    entity(key, { method: 'POST', headers: json, body: String(amount) }, '?op=add');

  async function valueWhen(key: string, wanted: number): Promise<void> {
    await expect
      .poll(async () => (await entity(key)).text(), { interval: 15, timeout: 5000 })
      .toBe(String(wanted));
  }

  test('an orchestration signals and calls it, in order', async () => {
    expect((await host().run('count', 'one')).output).toEqual({ before: 5, after: 7 });
  });

  test('is signalled and read from outside, listed and deleted', async () => {
    expect((await entity('two')).status).toBe(404);
    expect((await add('two', 3)).status).toBe(202);
    expect((await add('two', 4)).status).toBe(202);
    await valueWhen('two', 7);
    expect(await (await host().fetch('/api/counter/two')).json()).toEqual({
      entityExists: true,
      entityState: 7,
    });
    const list = (await (await host().manage('entities/counter?fetchState=true')).json()) as unknown[];
    expect(list).toContainEqual(
      expect.objectContaining({ entityId: { name: 'counter', key: 'two' }, state: 7 }),
    );
    expect((await entity('two', { method: 'DELETE' })).status).toBe(202);
    await expect.poll(async () => (await entity('two')).status, { interval: 15 }).toBe(404);
  });

  test('signals another entity', async () => {
    await add('from', 6);
    await entity('from', { method: 'POST', headers: json, body: '"towards"' }, '?op=tell');
    await valueWhen('towards', 6);
  });

  test('an error in an operation reaches the caller', async () => {
    expect((await host().run('failing')).output).toBe('caught: true');
  });

  test('an unknown entity is refused', async () => {
    expect((await host().manage('entities/Nobody/x?op=add', { method: 'POST' })).status).toBe(400);
  });

  test('transfers that lock both accounts never overdraw one, and never wait for each other for ever', async () => {
    await add('a', 10);
    await add('b', 10);
    await valueWhen('b', 10);
    const ids = await Promise.all([
      ...[1, 2, 3].map(() => host().startInstance('transfer', { from: 'a', to: 'b', amount: 6 })),
      ...[1, 2, 3].map(() => host().startInstance('transfer', { from: 'b', to: 'a', amount: 6 })),
    ]);
    const results = await Promise.all(ids.map((id) => host().finished(id)));
    expect(results.map((status) => status.runtimeStatus)).toEqual(ids.map(() => 'Completed'));
    const [a, b] = await Promise.all(['a', 'b'].map(async (key) => Number(await (await entity(key)).text())));
    expect(Number(a) + Number(b)).toBe(20);
    expect(Math.min(Number(a), Number(b))).toBeGreaterThanOrEqual(0);
  });
});
