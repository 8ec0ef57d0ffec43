/** The composition root: puts clock, store, keys, worker, durable engine and doors together, and takes them apart again. */
import { mkdirSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { followClock, VirtualClock } from '../clock.ts';
import { serveAdmin } from './admin.ts';
import { durableFunctions } from './app-functions.ts';
import { type AppSettings, applyLocalSettings, findEntryPoints, readHostJson } from './app-settings.ts';
import { clientBindingValue, managementPath, rpcPath } from './durable/client-binding.ts';
import { manage } from './durable/management.ts';
import { Store } from './durable/store.ts';
import { TaskHub } from './durable/task-hub.ts';
import { eventGridPath, serveEventGrid } from './event-grid-trigger.ts';
import { emptyResponse, errorResponse, type HostRequest, type HostResponse } from './http-messages.ts';
import { listen } from './http-server.ts';
import { type HttpFunction, httpFunctions, serveHttpTrigger } from './http-trigger.ts';
import { Invocations } from './invocations.ts';
import { type Keys, openKeys, type SystemKeyName } from './keys.ts';
import { consoleLog, type Log } from './log.ts';
import { TimerTriggers } from './timer-trigger.ts';
import { useVirtualDate } from './virtual-date.ts';
import { Worker } from './worker.ts';

export interface HostOptions {
  readonly appFolder: string;
  /** 0 lets the system choose. */
  readonly port: number;
  /** SQLite file; default `.sandbox/host.sqlite` in the app's folder. `:memory:` forgets. */
  readonly dataFile?: string;
  /** Default: beside the data file, `keys.json`. */
  readonly keysFile?: string;
  /** The sandbox's clock to follow (`GET` of it); without, time is real. */
  readonly clockUrl?: string;
  /** Default 127.0.0.1. */
  readonly hostname?: string;
  /** `upperSchemaVersionNew`: 2 (default) or 3, which `context.df.lock` needs. */
  readonly upperSchemaVersion?: 2 | 3;
  readonly log?: Log;
}

export interface Host {
  readonly port: number;
  readonly keys: Keys;
  readonly httpFunctions: readonly HttpFunction[];
  readonly settings: AppSettings;
  readonly worker: Worker;
  /** Takes no new work, lets what runs end for up to five seconds, runs the appTerminate hooks, closes the store. */
  stop(): Promise<void>;
}

const shutdownGrace = 5_000;

/** One app per process: the app finds the host through a global. Rejects when the app cannot be loaded. */
export async function startHost(options: HostOptions): Promise<Host> {
  const appFolder = resolve(options.appFolder);
  applyLocalSettings(appFolder, process.env);
  const settings = readHostJson(appFolder, process.env);
  const entryPoints = findEntryPoints(appFolder);
  const dataFile = options.dataFile ?? join(appFolder, '.sandbox', 'host.sqlite');
  if (dataFile !== ':memory:') mkdirSync(dirname(resolve(dataFile)), { recursive: true });
  const keysFile =
    options.keysFile ?? (dataFile === ':memory:' ? undefined : join(dirname(dataFile), 'keys.json'));
  const followed = options.clockUrl ? await followClock(options.clockUrl) : undefined;
  const clock = followed?.clock ?? new VirtualClock();
  const log = options.log ?? consoleLog(settings.logLevels, () => clock.now());
  const keys = openKeys(keysFile);
  const store = new Store(dataFile);
  const worker = new Worker(log);
  const onError = (what: string) => (error: unknown) =>
    log.write('error', 'Host', `${what}: ${error instanceof Error ? (error.stack ?? error.message) : error}`);

  let serve = async (_request: HostRequest): Promise<HostResponse> => emptyResponse(503);
  const hostname = options.hostname ?? '127.0.0.1';
  const server = await listen({ hostname, port: options.port, onError: onError('request') }, (request) =>
    serve(request),
  );
  const origin = `http://localhost:${server.port}`;

  prepareEnvironment(appFolder, server.port);
  const realDate = followed ? useVirtualDate(() => clock.now()) : undefined;
  const durable = { ...settings.durable, upperSchemaVersion: options.upperSchemaVersion ?? 2 };
  const invocations = new Invocations({
    worker,
    log,
    timeout: settings.functionTimeout,
    now: () => clock.now(),
    clientBinding: () =>
      clientBindingValue({
        origin,
        rpcOrigin: `http://127.0.0.1:${server.port}`,
        hubName: durable.hubName,
        systemKey: keys.system.durabletask_extension,
      }),
  });
  try {
    await worker.start(entryPoints);
  } catch (error) {
    await server.close();
    followed?.stop();
    realDate?.();
    store.close();
    throw error;
  }
  const functions = httpFunctions(worker);
  const hub = new TaskHub({
    store,
    clock,
    functions: durableFunctions(worker, invocations),
    settings: durable,
    onError: (what, error) => onError(what)(error),
  });
  const timers = new TimerTriggers({ worker, invocations, store, clock, log, environment: process.env });
  const http = { functions, routePrefix: settings.routePrefix, keys, invocations, worker };
  serve = (request) =>
    route(request, {
      durable: (path) => manage({ hub, systemKey: keys.system.durabletask_extension }, request, path),
      eventGrid: () => serveEventGrid({ worker, invocations }, request),
      admin: () => serveAdmin({ worker, invocations, keys, routePrefix: settings.routePrefix }, request),
      http: () => serveHttpTrigger(http, request),
      keys,
    });
  hub.start();
  timers.start();

  let stopping: Promise<void> | undefined;
  const stop = async (): Promise<void> => {
    // Functions that are still running may go on talking to the hub.
    const serveAll = serve;
    serve = async (request) =>
      request.isLoopback && request.path.startsWith(`${rpcPath}/`) ? serveAll(request) : emptyResponse(503);
    timers.stop();
    const grace = AbortSignal.timeout(shutdownGrace);
    const late = new Promise<void>((done) => grace.addEventListener('abort', () => done()));
    await Promise.race([Promise.all([hub.stop(), invocations.idle()]), late]);
    await worker.terminate().catch(onError('appTerminate'));
    await server.close();
    followed?.stop();
    realDate?.();
    store.close();
  };
  return {
    port: server.port,
    keys,
    httpFunctions: functions,
    settings,
    worker,
    stop: () => {
      stopping ??= stop();
      return stopping;
    },
  };
}

/** What Core Tools tell an app about where it runs. */
function prepareEnvironment(appFolder: string, port: number): void {
  process.env['FUNCTIONS_WORKER_RUNTIME'] ??= 'node';
  process.env['AZURE_FUNCTIONS_ENVIRONMENT'] ??= 'Development';
  process.env['AzureWebJobsScriptRoot'] ??= appFolder;
  process.env['WEBSITE_HOSTNAME'] ??= `localhost:${port}`;
}

interface Doors {
  durable(path: string): Promise<HostResponse>;
  eventGrid(): Promise<HostResponse>;
  admin(): Promise<HostResponse>;
  http(): Promise<HostResponse | undefined>;
  readonly keys: Keys;
}

async function route(request: HostRequest, doors: Doors): Promise<HostResponse> {
  const path = request.path.toLowerCase();
  const below = (mount: string): string | undefined =>
    path === mount || path.startsWith(`${mount}/`) ? request.path.slice(mount.length + 1) : undefined;
  const hasSystemKey = (name: SystemKeyName): boolean =>
    doors.keys.opensExtension(name, request.query.get('code') ?? request.headers['x-functions-key'] ?? '');

  if (path === '/' && request.method === 'GET') return (await doors.http()) ?? homePage();
  const managed = below(managementPath);
  if (managed !== undefined) {
    return hasSystemKey('durabletask_extension') ? doors.durable(managed) : emptyResponse(401);
  }
  const called = below(rpcPath);
  if (called !== undefined) return request.isLoopback ? doors.durable(called) : emptyResponse(404);
  if (below(eventGridPath) !== undefined) {
    return hasSystemKey('eventgrid_extension') ? doors.eventGrid() : emptyResponse(401);
  }
  if (below('/admin') !== undefined) return doors.admin();
  if (below('/runtime') !== undefined) return errorResponse(404, 'There is no such webhook.');
  return (await doors.http()) ?? emptyResponse(404);
}

function homePage(): HostResponse {
  return {
    status: 200,
    headers: { 'content-type': 'text/html; charset=utf-8' },
    body: '<!doctype html><title>Functions host</title><h1>Your functions host is up and running</h1><p>This is a development tool.</p>\n',
  };
}
