/** A sandbox of its own with the sample deployment asked for, for the suites that need a whole stack. */

import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { ControlPlane, type Operation } from '../../sandbox/control-plane.ts';
import { type Sandbox, startSandbox } from '../../sandbox/sandbox.ts';
import { makeDirectory } from '../a-directory.ts';
import { CloudApi } from './cloud-api.ts';

export const root = join(import.meta.dirname, '..', '..');
export const sampleSpec = readFileSync(join(root, 'samples', 'open-webui.yaml'), 'utf8');
export const sampleName = 'open-webui';

export interface Answer {
  readonly status: number;
  // biome-ignore lint/suspicious/noExplicitAny: looked into by the tests, which say what they expect
  readonly body: any;
}

export interface Sample {
  readonly sandbox: Sandbox;
  readonly api: ControlPlane;
  readonly clouds: CloudApi;
  /** Asks for the sample and waits until the operation has ended. */
  ask(spec?: string): Promise<Operation>;
  /** Calls the API with the function key; a path that begins with `/` is not one of the sample deployment. */
  call(method: string, path: string, body?: unknown): Promise<Answer>;
  stop(): Promise<void>;
}

/**
 * At three hundred times real speed a sweep would come every two seconds, and do what a test has just asked for. Suites
 * that want sweeps ask for them.
 */
const NO_SWEEP = { SWEEP_SCHEDULE: '0 0 0 1 1 *', CHECK_SCHEDULE: '0 0 0 1 1 *' };

export async function startSample(options: {
  speed: number;
  directory?: string;
  settings?: Readonly<Record<string, string>>;
}): Promise<Sample> {
  const directory = options.directory ?? makeDirectory('open-webui-sandbox-');
  const { speed, settings = {} } = options;
  const sandbox = await startSandbox({
    directory,
    app: root,
    speed,
    settings: { ...NO_SWEEP, ...settings },
  });
  const api = new ControlPlane(sandbox.endpoints);
  return {
    sandbox,
    api,
    clouds: new CloudApi(sandbox.endpoints),
    ask: async (spec = sampleSpec) => api.watch(await api.put(sampleName, spec), () => {}, 100),
    call: async (method, path, body) => {
      const { functions, functionsKey } = sandbox.endpoints;
      const url = `${functions}/api${path.startsWith('/') ? path : `/deployments/${sampleName}/${path}`}`;
      const answer = await fetch(url, {
        method,
        headers: { 'x-functions-key': functionsKey, 'content-type': 'application/json' },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      return { status: answer.status, body: await answer.json() };
    },
    stop: async () => {
      await sandbox.stop();
      if (options.directory === undefined) rmSync(directory, { recursive: true, force: true });
    },
  };
}

export interface RecordedCall {
  readonly time: string;
  readonly service: string;
  readonly method: string;
  readonly host: string;
  readonly path: string;
  readonly status: number;
  readonly caller: string;
}

/** Calls the clouds saw since a position; `next` is the position after them. */
export async function callsSince(
  sample: Sample,
  position: number,
): Promise<{ calls: readonly RecordedCall[]; next: number }> {
  const answer = await fetch(`${sample.sandbox.endpoints.sandbox}/calls?since=${position}`);
  if (!answer.ok) throw new Error(`/calls answered ${answer.status}`);
  return (await answer.json()) as { calls: readonly RecordedCall[]; next: number };
}

/** POSTs that only read: ARM's actions for keys, credentials and names, a model's answer, and whatever only gives a token. */
const readingPost =
  /\/(listKeys|listClusterUserCredential|checkNameAvailability)(\?|$)|\/services\/ollama:11434\/proxy\/api\/generate$|\/oauth2\/(exchange|token|v2\.0\/token)(\?|$)/i;

/** What people do on the site is their own business; of a session of a database only that it was opened is known. */
export const isMutation = ({ service, method, path }: RecordedCall): boolean =>
  !['site', 'postgresql'].includes(service) &&
  !['GET', 'HEAD', 'OPTIONS'].includes(method) &&
  !(method === 'POST' && readingPost.test(path));
