/** Runs the host as its own process, as a user does: one app per process, ended with a signal. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';

const main = new URL('../../sandbox/host/main.ts', import.meta.url).pathname;
const apps = new URL('./apps/', import.meta.url).pathname;

interface Ready {
  readonly port: number;
  readonly pid: number;
  readonly functionsKey: string;
  readonly masterKey: string;
  readonly systemKeys: { readonly durabletask_extension: string; readonly eventgrid_extension: string };
}

export interface InstanceStatus {
  readonly name: string;
  readonly instanceId: string;
  readonly runtimeStatus: string;
  readonly input: unknown;
  readonly customStatus: unknown;
  readonly output: unknown;
  readonly createdTime: string;
  readonly historyEvents?: readonly { readonly EventType: string; readonly [field: string]: unknown }[];
}

/** Data folders made here; they go when the tests have. */
const folders: string[] = [];
afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

/** A new folder for a host's data, removed at the end. */
export function dataFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'host-'));
  folders.push(folder);
  return folder;
}

const finished = ['Completed', 'Failed', 'Terminated', 'Canceled'];

export class HostProcess {
  readonly #child: ChildProcess;
  readonly ready: Ready;
  readonly folder: string;
  readonly #output: { text: string };

  private constructor(child: ChildProcess, ready: Ready, folder: string, output: { text: string }) {
    this.#child = child;
    this.ready = ready;
    this.folder = folder;
    this.#output = output;
  }

  /** `folder` holds data and keys; one from before is taken up again. Rejects with the output when it cannot start. */
  static async start(
    app: string,
    options: { folder?: string; arguments?: string[]; environment?: Record<string, string> } = {},
  ): Promise<HostProcess> {
    const folder = options.folder ?? dataFolder();
    const readyFile = join(folder, 'ready.json');
    rmSync(readyFile, { force: true });
    const appFolder = app.startsWith('/') ? app : join(apps, app);
    const child = spawn(
      process.execPath,
      [
        main,
        ...['--app', appFolder, '--port', '0'],
        ...['--data', join(folder, 'host.sqlite'), '--ready-file', readyFile],
        ...(options.arguments ?? []),
      ],
      {
        stdio: ['ignore', 'pipe', 'pipe'],
        env: { ...process.env, WEBSITE_HOSTNAME: undefined, ...options.environment },
      },
    );
    const output = { text: '' };
    await new Promise<void>((resolve, reject) => {
      const read = (chunk: Buffer): void => {
        output.text += chunk.toString();
        if (output.text.includes('Host started')) resolve();
      };
      child.stdout.on('data', read);
      child.stderr.on('data', read);
      child.once('exit', (code) => reject(new Error(`the host ended with ${code}:\n${output.text}`)));
      child.once('error', reject);
    });
    const ready = JSON.parse(readFileSync(readyFile, 'utf8')) as Ready;
    return new HostProcess(child, ready, folder, output);
  }

  get origin(): string {
    return `http://127.0.0.1:${this.ready.port}`;
  }

  get output(): string {
    return this.#output.text;
  }

  /** Sends a signal and resolves with the exit code once the process is gone. */
  end(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> {
    return new Promise((resolve) => {
      if (this.#child.exitCode !== null || this.#child.signalCode !== null)
        return resolve(this.#child.exitCode);
      this.#child.once('exit', (code) => resolve(code));
      this.#child.kill(signal);
    });
  }

  fetch(path: string, init?: RequestInit): Promise<Response> {
    return fetch(`${this.origin}${path}`, init);
  }

  /** The management API, with the system key. */
  manage(path: string, init?: RequestInit): Promise<Response> {
    const url = new URL(`${this.origin}/runtime/webhooks/durabletask/${path}`);
    url.searchParams.set('code', this.ready.systemKeys.durabletask_extension);
    return fetch(url, init);
  }

  async startInstance(name: string, input?: unknown, id = ''): Promise<string> {
    const answer = await this.manage(`orchestrators/${name}/${id}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      ...(input === undefined ? {} : { body: JSON.stringify(input) }),
    });
    if (answer.status !== 202) throw new Error(`start of ${name}: ${answer.status} ${await answer.text()}`);
    return ((await answer.json()) as { id: string }).id;
  }

  async raise(id: string, event: string, value: unknown): Promise<number> {
    const answer = await this.manage(`instances/${id}/raiseEvent/${event}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(value),
    });
    return answer.status;
  }

  async post(path: string): Promise<number> {
    return (await this.manage(path, { method: 'POST' })).status;
  }

  async status(id: string, query = ''): Promise<InstanceStatus> {
    const answer = await this.manage(`instances/${id}${query}`);
    if (answer.status === 404) throw new Error(`there is no instance ${id}`);
    return (await answer.json()) as InstanceStatus;
  }

  /** Looks at the instance until it is as wanted. */
  async statusWhen(
    id: string,
    isWanted: (status: InstanceStatus) => boolean,
    within = 15_000,
  ): Promise<InstanceStatus> {
    const deadline = performance.now() + within;
    for (;;) {
      const status = await this.status(id);
      if (isWanted(status)) return status;
      if (performance.now() > deadline)
        throw new Error(`${id} is still ${JSON.stringify(status)}\n${this.output.slice(-2000)}`);
      await new Promise((resolve) => setTimeout(resolve, 15));
    }
  }

  finished(id: string, within?: number): Promise<InstanceStatus> {
    return this.statusWhen(id, (status) => finished.includes(status.runtimeStatus), within);
  }

  /** Starts, waits for the end, and gives the status. */
  async run(name: string, input?: unknown): Promise<InstanceStatus> {
    return this.finished(await this.startInstance(name, input));
  }
}
