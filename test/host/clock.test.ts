import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { VirtualClock } from '../../sandbox/clock.ts';
import { HostProcess } from './host-process.ts';

/** The clock's owner, as the sandbox's cloud publishes it. */
const clock = new VirtualClock({ now: Date.parse('2030-01-01T00:30:00Z'), speed: 1 });
const server: Server = createServer((request, response) => {
  const after = Number(new URL(request.url ?? '/', 'http://localhost').searchParams.get('after'));
  const answer = (): void => {
    response.end(JSON.stringify(clock.state));
  };
  if (clock.state.version > after) return answer();
  const stop = clock.onChange(() => {
    stop();
    answer();
  });
  response.once('close', stop);
});
let clockUrl: string;
let host: HostProcess;

beforeAll(async () => {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  clockUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}/clock`;
  host = await HostProcess.start('clock', { arguments: ['--clock', clockUrl] });
});
afterAll(async () => {
  await host.end();
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

interface Tick {
  readonly at: number;
  readonly isPastDue: boolean;
  readonly next: string;
}

const hour = 3_600_000;
const timersOf = (events: readonly { EventType: string }[] | undefined): number =>
  (events ?? []).filter((event) => event.EventType === 'TimerFired').length;

describe('on a virtual clock', () => {
  test("the app's Date reads it", async () => {
    const seen = (await (await host.fetch('/api/now')).json()) as Record<string, unknown>;
    expect(Math.abs(Number(seen['now']) - clock.now())).toBeLessThan(5000);
    expect(Math.abs(Number(seen['made']) - Number(seen['now']))).toBeLessThan(1000);
    expect(seen).toMatchObject({ isDate: true, text: true });
  });

  test('a timer of three days fires in a second, in one piece', async () => {
    clock.change({ speed: 250_000 });
    const status = await host.run('days', 3);
    clock.change({ speed: 1 });
    expect(status.runtimeStatus).toBe('Completed');
    expect(status.output).toBeGreaterThanOrEqual(3);
    expect(status.output).toBeLessThan(3.5);
    const { historyEvents } = await host.status(status.instanceId, '?showHistory=true');
    expect(timersOf(historyEvents)).toBe(1);
  });

  test('a timer beyond six days is split into pieces of three', async () => {
    clock.change({ speed: 250_000 });
    const status = await host.run('days', 8);
    clock.change({ speed: 1 });
    expect(status.output).toBeGreaterThanOrEqual(8);
    const { historyEvents } = await host.status(status.instanceId, '?showHistory=true');
    expect(timersOf(historyEvents)).toBe(3);
  });

  test('a long timer that is cancelled does not keep the instance open', async () => {
    clock.change({ speed: 20_000 });
    const status = await host.run('cancelLong');
    clock.change({ speed: 1 });
    expect(status).toMatchObject({ runtimeStatus: 'Completed', output: true });
  });

  test('a held clock lets nothing fire, and a jump lets everything fire that was due', async () => {
    clock.change({ held: true });
    const id = await host.startInstance('days', 2);
    await host.statusWhen(id, (status) => status.runtimeStatus === 'Running');
    clock.change({ now: clock.now() + 47 * hour });
    const other = await host.startInstance('days', 0);
    await host.finished(other);
    expect((await host.status(id)).runtimeStatus).toBe('Running');
    // The host learns of the hold a moment after it: the instance may have begun that much later.
    clock.change({ now: clock.now() + hour + 1000 });
    expect((await host.finished(id)).output).toBeCloseTo(2, 3);
    clock.change({ held: false });
  });

  test('a timer trigger fires on the hour, and once for what was missed while the host was down', async () => {
    const ticks = async (): Promise<Tick[]> => (await (await host.fetch('/api/ticks')).json()) as Tick[];
    const before = (await ticks()).length;
    clock.change({ speed: 36_000 });
    await expect
      .poll(async () => (await ticks()).length, { timeout: 5000, interval: 20 })
      .toBeGreaterThan(before + 3);
    clock.change({ speed: 1 });
    for (const { at, isPastDue, next } of (await ticks()).slice(-3)) {
      expect(isPastDue).toBe(false);
      // At this speed a real millisecond is 36 virtual seconds; the event loop may be a few late.
      expect(at % hour).toBeLessThan(hour / 2);
      expect(Date.parse(next) % hour).toBe(0);
    }
    const { folder } = host;
    await host.end();
    clock.change({ now: clock.now() + 5.5 * hour });
    host = await HostProcess.start('clock', { folder, arguments: ['--clock', clockUrl] });
    await expect.poll(async () => (await ticks()).length, { interval: 20 }).toBe(1);
    expect((await ticks()).map((tick) => tick.isPastDue)).toEqual([true]);
  });
});
