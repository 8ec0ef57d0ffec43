/**
 * Starts the whole sandbox: the simulated cloud, the storage for the app's records, and the functions host with the
 * bundle that also runs on Azure. The app gets the settings it would have on Azure, plus a proxy and a certificate
 * authority, as behind any company's proxy.
 */
import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { appEnvironment } from './app-environment.ts';
import { type Child, type ChildOptions, startAndWait, startChild, waitUntil } from './child.ts';
import { freePort } from './free-port.ts';

export interface SandboxOptions {
  /** Where everything of this sandbox is kept between runs. */
  readonly directory: string;
  /** Folder of the function app. */
  readonly app: string;
  /** Virtual seconds per real second. */
  readonly speed: number;
  /** Forget the kept state first. */
  readonly fresh?: boolean;
  readonly ports?: { readonly functions?: number };
  /** Settings of the app beyond those it has by default. */
  readonly settings?: Readonly<Record<string, string>>;
}

/** What `.sandbox/endpoints.json` says; see the README. */
export interface Endpoints {
  readonly functions: string;
  readonly functionsKey: string;
  readonly proxy: string;
  readonly ca: string;
  readonly identity: { readonly endpoint: string; readonly header: string };
  readonly kubeconfig: string;
  readonly postgres: string;
  readonly storage: string;
  readonly sandbox: string;
}

export interface Sandbox {
  readonly endpoints: Endpoints;
  readonly directory: string;
  /** The functions host as it runs now; it is another process after a restart. */
  host(): Child;
  /** Ends the host without warning, as a crash would. */
  killHost(): Promise<void>;
  startHost(): Promise<void>;
  /** Called when a process ends that nobody asked to end. */
  onLoss(listener: (name: string, how: string) => void): void;
  stop(): Promise<void>;
}

interface CloudReady {
  readonly proxy: string;
  readonly ca: string;
  readonly identity: { readonly endpoint: string; readonly header: string };
  readonly sandbox: string;
  readonly postgres?: string;
}

interface HostReady {
  readonly port: number;
  readonly functionsKey: string;
  readonly masterKey: string;
  readonly systemKeys: Readonly<Record<string, string>>;
}

const here = import.meta.dirname;

/** Throws when a part does not start, with the end of its log, or when another sandbox uses the directory. */
export async function startSandbox(options: SandboxOptions): Promise<Sandbox> {
  const directory = resolve(options.directory);
  const unlock = lock(directory, options.fresh ?? false);
  const logs = join(directory, 'logs');
  mkdirSync(logs, { recursive: true });
  const children: Child[] = [];
  const listeners: ((name: string, how: string) => void)[] = [];
  let stopping = false;
  const adopt = (child: Child): Child => {
    children.push(child);
    void child.ended.then((how) => {
      children.splice(children.indexOf(child), 1);
      if (!stopping) for (const listener of listeners) listener(child.name, how);
    });
    return child;
  };
  const stop = async (): Promise<void> => {
    stopping = true;
    // The host first: it talks to the others until it has ended.
    for (const child of [...children].reverse()) await child.stop();
    unlock();
  };

  try {
    const [cloud, storage] = await Promise.all([
      startCloudProcess(directory, logs, options.speed),
      startStorage(directory, logs),
    ]);
    adopt(cloud.child);
    adopt(storage.child);
    const startHost = async (port?: number): Promise<{ child: Child; ready: HostReady }> => {
      const started = await startHostProcess(
        directory,
        logs,
        resolve(options.app),
        options.settings ?? {},
        cloud.ready,
        storage.connection,
        port,
      );
      adopt(started.child);
      await announceApp(cloud.ready.sandbox, started.ready);
      return started;
    };
    let host = await startHost(options.ports?.functions);
    const { port } = host.ready;
    const endpoints: Endpoints = {
      functions: `http://127.0.0.1:${port}`,
      functionsKey: host.ready.functionsKey,
      proxy: cloud.ready.proxy,
      ca: cloud.ready.ca,
      identity: cloud.ready.identity,
      kubeconfig: join(directory, 'kubeconfig'),
      postgres: cloud.ready.postgres ?? '',
      storage: storage.connection,
      sandbox: cloud.ready.sandbox,
    };
    writeFileSync(join(directory, 'endpoints.json'), `${JSON.stringify(endpoints, null, 2)}\n`, {
      mode: 0o600,
    });
    return {
      endpoints,
      directory,
      host: () => host.child,
      killHost: async () => {
        host.child.process.kill('SIGKILL');
        await host.child.ended;
      },
      startHost: async () => {
        host = await startHost(port);
      },
      onLoss: (listener) => void listeners.push(listener),
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** What a deployment tells Azure: which functions the app has. Event Grid delivers to no others. */
async function announceApp(door: string, { port, masterKey, systemKeys }: HostReady): Promise<void> {
  const baseUrl = `http://127.0.0.1:${port}`;
  const list = await fetch(`${baseUrl}/admin/functions`, { headers: { 'x-functions-key': masterKey } });
  if (!list.ok) throw new Error(`the functions host's list of functions answered ${list.status}`);
  const functions = ((await list.json()) as { name: string }[]).map(({ name }) => name);
  const answer = await fetch(`${door}/function-app`, {
    method: 'PUT',
    body: JSON.stringify({ baseUrl, functions, eventGridKey: systemKeys['eventgrid_extension'] ?? '' }),
    headers: { 'content-type': 'application/json' },
  });
  if (!answer.ok) throw new Error(`the sandbox does not take the function app: ${await answer.text()}`);
}

/** What every child gets of our own environment: enough to run, nothing that could send it elsewhere. */
function plainEnvironment(): Record<string, string> {
  const kept = ['PATH', 'HOME', 'TMPDIR', 'TEMP', 'TMP', 'LANG', 'SystemRoot', 'USERPROFILE'];
  return Object.fromEntries(kept.flatMap((name) => (process.env[name] ? [[name, process.env[name]]] : [])));
}

function startCloudProcess(directory: string, logs: string, speed: number) {
  const readyFile = join(directory, 'cloud.ready.json');
  const options: ChildOptions = {
    name: 'simulated cloud',
    args: [
      join(here, 'cloud', 'main.ts'),
      '--directory',
      join(directory, 'cloud'),
      '--speed',
      String(speed),
      '--ready-file',
      readyFile,
      '--kubeconfig',
      join(directory, 'kubeconfig'),
      '--parent',
      String(process.pid),
    ],
    env: plainEnvironment(),
    logFile: join(logs, 'cloud.log'),
  };
  return startAndWait<CloudReady>(options, readyFile);
}

async function startStorage(directory: string, logs: string): Promise<{ child: Child; connection: string }> {
  const port = await freePort();
  const location = join(directory, 'storage');
  mkdirSync(location, { recursive: true });
  const key = randomBytes(64).toString('base64');
  const options: ChildOptions = {
    name: 'storage',
    args: [
      join(here, 'storage.ts'),
      '--parent',
      String(process.pid),
      '--location',
      location,
      '--tablePort',
      String(port),
      '--silent',
      '--disableTelemetry',
      '--skipApiVersionCheck',
    ],
    env: { ...plainEnvironment(), AZURITE_ACCOUNTS: `openwebuictl:${key}` },
    logFile: join(logs, 'storage.log'),
  };
  const child = startChild(options);
  await waitUntil(child, options, async () => {
    const answer = await fetch(`http://127.0.0.1:${port}/`).catch(() => undefined);
    await answer?.body?.cancel();
    return answer ? true : undefined;
  });
  const endpoint = `http://127.0.0.1:${port}/openwebuictl`;
  const connection = `DefaultEndpointsProtocol=http;AccountName=openwebuictl;AccountKey=${key};TableEndpoint=${endpoint};`;
  return { child, connection };
}

function startHostProcess(
  directory: string,
  logs: string,
  app: string,
  settings: Readonly<Record<string, string>>,
  cloud: CloudReady,
  storage: string,
  port = 0,
) {
  const readyFile = join(directory, 'host.ready.json');
  const options: ChildOptions = {
    name: 'functions host',
    args: [
      '--disable-warning=ExperimentalWarning',
      join(here, 'host', 'main.ts'),
      '--app',
      app,
      '--port',
      String(port),
      '--data',
      join(directory, 'host.sqlite'),
      '--keys',
      join(directory, 'keys.json'),
      '--clock',
      `${cloud.sandbox}/clock`,
      '--ready-file',
      readyFile,
      '--parent',
      String(process.pid),
    ],
    env: {
      ...plainEnvironment(),
      ...appEnvironment(cloud, storage),
      ...settings,
    },
    logFile: join(logs, 'host.log'),
  };
  return startAndWait<HostReady>(options, readyFile);
}

/** One sandbox per directory: two would write the same files. Throws naming the process that holds it. */
function lock(directory: string, fresh: boolean): () => void {
  const file = join(directory, 'lock');
  const holder = readHolder(file);
  if (holder !== undefined) throw new Error(`process ${holder} is already running a sandbox in ${directory}`);
  if (fresh) rmSync(directory, { recursive: true, force: true });
  mkdirSync(directory, { recursive: true });
  writeFileSync(file, String(process.pid));
  return () => rmSync(file, { force: true });
}

function readHolder(file: string): number | undefined {
  try {
    const pid = Number(readFileSync(file, 'utf8'));
    process.kill(pid, 0);
    return pid === process.pid ? undefined : pid;
  } catch {
    return undefined;
  }
}
