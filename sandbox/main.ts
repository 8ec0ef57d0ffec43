/**
 * `npm start`: starts the sandbox, asks the control plane for the sample deployment through its HTTP door, shows how
 * it gets there, and stays up until Ctrl-C. With `--once` it ends by itself: 0 if the site answers, 1 if not.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { parseArgs } from 'node:util';
import { followClock } from './clock.ts';
import { ControlPlane, RefusedError } from './control-plane.ts';
import { watchReactions } from './reactions.ts';
import { type Sandbox, startSandbox } from './sandbox.ts';
import { lookAtSite } from './site.ts';
import { shortDuration } from './terminal/duration.ts';
import { createProgressView } from './terminal/progress.ts';
import { ReactionsView } from './terminal/reactions.ts';
import { summarise } from './terminal/summary.ts';

const root = join(import.meta.dirname, '..');

const usage = `npm start -- [options]
  --once          end by itself: exit code 0 if the site answers, 1 naming the broken link if not
  --speed N       virtual seconds per real second (default 60)
  --spec FILE     a deployment spec in YAML or JSON (default samples/open-webui.yaml)
  --name NAME     name of the deployment (default open-webui)
  --fresh         forget what earlier runs left in .sandbox
  --port N        port of the control plane's API (default: any free one)
  --directory DIR where the sandbox keeps its state (default .sandbox)`;

function readOptions() {
  const { values } = parseArgs({
    options: {
      once: { type: 'boolean', default: false },
      speed: { type: 'string', default: '60' },
      spec: { type: 'string', default: join(root, 'samples', 'open-webui.yaml') },
      name: { type: 'string', default: 'open-webui' },
      fresh: { type: 'boolean', default: false },
      port: { type: 'string', default: '0' },
      directory: { type: 'string', default: join(root, '.sandbox') },
      help: { type: 'boolean', default: false },
    },
  });
  const speed = Number(values.speed);
  if (!(speed >= 1 && speed <= 1000))
    throw new Error(`--speed must be a number from 1 to 1000, not ${values.speed}`);
  const port = Number(values.port);
  if (!(Number.isInteger(port) && port >= 0 && port < 65_536))
    throw new Error(`--port must be a port, not ${values.port}`);
  if (!existsSync(values.spec)) throw new Error(`--spec: there is no file ${values.spec}`);
  return { ...values, speed, port };
}

type Options = ReturnType<typeof readOptions>;

interface Ended {
  readonly code: number;
  /** The operation that was watched to its end. */
  readonly operation: string;
}

async function run(options: Options, sandbox: Sandbox, startedAt: number): Promise<Ended> {
  const { endpoints } = sandbox;
  const { clock, stop: stopClock } = await followClock(`${endpoints.sandbox}/clock`);
  try {
    console.log(
      `sandbox up in ${shortDuration(performance.now() - startedAt)}, at ${options.speed} times real speed`,
    );
    const controlPlane = new ControlPlane(endpoints);
    const askedAt = performance.now();
    const id = await controlPlane.put(options.name, readFileSync(options.spec, 'utf8'));
    console.log(`PUT /api/deployments/${options.name}: accepted as operation ${id}\n`);
    const view = createProgressView(process.stdout, () => clock.now());
    const operation = await controlPlane.watch(id, (seen) => view.show(seen));
    view.end();
    const site = await lookAtSite(endpoints.sandbox);
    console.log(`\n${summarise(operation, site, performance.now() - askedAt)}\n`);
    if (site.broken !== null) console.error(`the site does not answer; the broken link is: ${site.broken}`);
    return { code: operation.state === 'succeeded' && site.ok ? 0 : 1, operation: id };
  } finally {
    stopClock();
  }
}

/** Tells what the control plane does by itself, until the signal. */
async function showReactions(
  sandbox: Sandbox,
  name: string,
  seen: string,
  signal: AbortSignal,
): Promise<void> {
  const { clock, stop } = await followClock(`${sandbox.endpoints.sandbox}/clock`);
  try {
    const view = new ReactionsView(process.stdout, () => clock.state.speed);
    view.skip(seen);
    await watchReactions(new ControlPlane(sandbox.endpoints), name, view, signal);
  } finally {
    stop();
  }
}

/** For another terminal: the defaults need not be said. */
function tryCommand(what: string, { name, directory }: Options): string {
  const options = [
    ...(name === 'open-webui' ? [] : ['--name', name]),
    ...(directory === join(root, '.sandbox') ? [] : ['--directory', directory]),
  ];
  return `npm run try -- ${[what, ...options].join(' ')}`;
}

function whatNext(sandbox: Sandbox, options: Options): string {
  const { name } = options;
  const { endpoints } = sandbox;
  const file = relative(process.cwd(), join(sandbox.directory, 'endpoints.json'));
  const kubeconfig = relative(process.cwd(), endpoints.kubeconfig);
  return [
    'Try next, in another terminal, and see here what the control plane does about it:',
    `  ${tryCommand('rotate-secret', options)}`,
    `  ${tryCommand('add-node-pool', options)}`,
    `  ${tryCommand('push-image', options)}`,
    `  ${tryCommand('stop-database', options)}`,
    '',
    'Look around:',
    `  curl -s -H "x-functions-key: $(node -p "JSON.parse(fs.readFileSync('${file}')).functionsKey")" ${endpoints.functions}/api/deployments/${name}/health`,
    `  kubectl --kubeconfig ${kubeconfig} get pods,svc,pvc -n open-webui`,
    `  curl -s ${endpoints.sandbox}/site          # why the site answers, link by link`,
    `  curl -s ${endpoints.sandbox}/calls         # every call the clouds saw`,
    `  npm start                                    # after Ctrl-C: goes on where it was, with nothing to do`,
    '',
    'Ctrl-C ends it.',
  ].join('\n');
}

async function main(): Promise<number> {
  const startedAt = performance.now();
  const options = readOptions();
  if (options.help) {
    console.log(usage);
    return 0;
  }
  const asked = new Promise<number>((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => resolve(130));
  });
  console.log('starting the sandbox: simulated cloud, PostgreSQL, storage, functions host …');
  const sandbox = await startSandbox({
    directory: options.directory,
    app: root,
    speed: options.speed,
    fresh: options.fresh,
    ports: { functions: options.port },
  });
  const lost = new Promise<number>((resolve) => {
    sandbox.onLoss((name, how) => {
      const restartable = name === 'functions host';
      console.error(
        `\nthe ${name} ended (${how}); see ${relative(process.cwd(), join(sandbox.directory, 'logs'))}`,
      );
      if (!restartable) return resolve(1);
      console.error('starting it again: every orchestration goes on where it was');
      sandbox.startHost().catch((error: unknown) => {
        console.error(error instanceof Error ? error.message : error);
        resolve(1);
      });
    });
  });
  const watching = new AbortController();
  try {
    const done = await Promise.race([run(options, sandbox, startedAt), asked, lost]);
    const code = typeof done === 'number' ? done : done.code;
    if (options.once || typeof done === 'number') return code;
    console.log(`${whatNext(sandbox, options)}\n`);
    const reactions = showReactions(sandbox, options.name, done.operation, watching.signal);
    // It ends by the signal only; a clock that cannot be followed is told of and stops nothing else.
    reactions.catch((error: unknown) => console.error('reactions are not shown:', error));
    return await Promise.race([asked.then(() => 0), lost]);
  } finally {
    watching.abort();
    await sandbox.stop();
  }
}

try {
  process.exitCode = await main();
} catch (error) {
  if (error instanceof RefusedError) console.error(`the control plane refused the request: ${error.message}`);
  else console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
