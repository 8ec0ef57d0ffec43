import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { dataFolder, HostProcess, type InstanceStatus } from './host-process.ts';

/** What a journey returns: each activity's key in order, and the event's value. */
function everything(id: string): string[] {
  const steps = ['chain-1', 'chain-2', 'chain-3', 'fan-1', 'fan-2', 'fan-3', 'fan-4', 'fan-5', 'side-2'];
  return [...steps.map((step) => `${id} ${step}`), 'event', `${id} last-1`, `${id} last-2`];
}

class Journey {
  readonly folder = dataFolder();
  readonly runsFile = join(this.folder, 'runs.txt');
  /** How often an activity had run when its result was first seen in the history. */
  readonly #runsWhenReported = new Map<string, number>();

  start(): Promise<HostProcess> {
    return HostProcess.start('crash', { folder: this.folder, environment: { RUNS_FILE: this.runsFile } });
  }

  runs(): Map<string, number> {
    const counts = new Map<string, number>();
    if (!existsSync(this.runsFile)) return counts;
    for (const key of readFileSync(this.runsFile, 'utf8').trim().split('\n')) {
      counts.set(key, (counts.get(key) ?? 0) + 1);
    }
    return counts;
  }

  note(status: InstanceStatus): void {
    const runs = this.runs();
    for (const event of status.historyEvents ?? []) {
      const key = String(event['Result']);
      if (event.EventType === 'TaskCompleted' && !this.#runsWhenReported.has(key)) {
        this.#runsWhenReported.set(key, runs.get(key) ?? 0);
      }
    }
  }

  ranAgainAfterReporting(): string[] {
    const runs = this.runs();
    return [...this.#runsWhenReported].filter(([key, count]) => runs.get(key) !== count).map(([key]) => key);
  }
}

const full = '?showHistory=true&showHistoryOutput=true';

describe('kill -9', () => {
  test('at many moments of many journeys loses nothing and repeats nothing that had reported', async () => {
    const journey = new Journey();
    let host = await journey.start();
    const ids: string[] = [];
    for (let kill = 0; kill < 14; kill++) {
      // A start that was acknowledged must survive: each life of the host takes up one more.
      if (kill < 8) ids.push(await host.startInstance('journey', undefined, `journey-${kill}`));
      await new Promise((resolve) => setTimeout(resolve, (kill * 11) % 50));
      await host.end('SIGKILL');
      host = await journey.start();
      for (const id of ids) journey.note(await host.status(id, full));
    }
    for (const id of ids) {
      await host.statusWhen(id, (status) => status.customStatus === 'waiting');
      expect(await host.raise(id, 'go', 'event')).toBe(202);
    }
    // So must the events.
    await host.end('SIGKILL');
    host = await journey.start();
    for (const id of ids) {
      expect(await host.finished(id)).toMatchObject({ runtimeStatus: 'Completed', output: everything(id) });
      journey.note(await host.status(id, full));
    }
    expect(journey.ranAgainAfterReporting()).toEqual([]);
    // The kills did hit: some activities were cut off and had to run again.
    expect([...journey.runs().values()].filter((count) => count > 1).length).toBeGreaterThan(5);
    expect(await host.end()).toBe(0);
  }, 60_000);

  test('a second host on the same data file is refused', async () => {
    const journey = new Journey();
    const host = await journey.start();
    await expect(journey.start()).rejects.toThrow('in use by another host');
    await host.end();
  });
});

describe('SIGTERM', () => {
  test('lets what is running finish, and the instance goes on at the next start', async () => {
    const journey = new Journey();
    let host = await journey.start();
    const id = await host.startInstance('journey');
    expect(await host.end('SIGTERM')).toBe(0);
    host = await journey.start();
    await host.statusWhen(id, (status) => status.customStatus === 'waiting');
    await host.raise(id, 'go', 'event');
    expect((await host.finished(id)).output).toEqual(everything(id));
    // Nothing was cut off, so nothing ran twice.
    expect([...journey.runs().values()].every((count) => count === 1)).toBe(true);
    expect(await host.end('SIGINT')).toBe(0);
  });
});

describe('changed code under a running instance', () => {
  test.each([
    { code: 'renamed', tells: "named 'one'|name 'one'" },
    { code: 'kind', tells: 'CreateTimerOrchestratorAction' },
    { code: 'shorter', tells: "hasn't \\(yet\\?\\) scheduled this task" },
  ])('$code: the orchestration fails and says why', async ({ code, tells }) => {
    let host = await HostProcess.start('changing');
    const { folder } = host;
    const id = await host.startInstance('changing');
    await host.statusWhen(id, (status) => status.runtimeStatus === 'Running');
    await expect
      .poll(async () => (await host.status(id, full)).historyEvents?.map((event) => event.EventType))
      .toContain('TaskCompleted');
    await host.end();
    host = await HostProcess.start('changing', { folder, environment: { CODE: code } });
    await host.raise(id, 'go', 1);
    const status = await host.finished(id);
    expect(status.runtimeStatus).toBe('Failed');
    expect(status.output).toMatch(/^Non-Deterministic workflow detected: /);
    expect(status.output).toMatch(new RegExp(tells));
    await host.end();
  });
});
