/** The command line: `node sandbox/host/main.ts --app DIR --port 7071`. */
import { renameSync, rmSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { endWithParent } from '../parent-watch.ts';
import { type Host, startHost } from './host.ts';
import { triggerOf, triggerType } from './invocations.ts';

const usage = `usage: main.ts --app DIR [--port 7071] [--data FILE.sqlite] [--keys FILE.json] [--clock URL]
               [--ready-file FILE] [--hostname 127.0.0.1] [--schema 2|3] [--parent PID]`;

const { values } = parseArgs({
  options: {
    app: { type: 'string' },
    port: { type: 'string', default: '7071' },
    data: { type: 'string' },
    keys: { type: 'string' },
    clock: { type: 'string' },
    hostname: { type: 'string' },
    schema: { type: 'string', default: '2' },
    'ready-file': { type: 'string' },
    parent: { type: 'string' },
    help: { type: 'boolean' },
  },
});

/** Core Tools' table: HTTP functions with methods and URL, then the others with their triggers. */
function functionsTable(host: Host): string {
  const lines = ['', 'Functions:', ''];
  for (const { registered, route, methods } of host.httpFunctions) {
    const path = [host.settings.routePrefix, route.text].filter((part) => part !== '').join('/');
    const verbs = methods.length > 0 ? `[${methods.join(',')}] ` : '';
    lines.push(`\t${registered.name}: ${verbs}http://localhost:${host.port}/${path}`, '');
  }
  for (const registered of host.worker.functions) {
    if (triggerType(registered) === 'httptrigger') continue;
    lines.push(`\t${registered.name}: ${triggerOf(registered).binding.type}`, '');
  }
  return lines.join('\n');
}

/** Whoever waits for the file finds it whole. */
function writeReadyFile(file: string, host: Host): void {
  const ready = {
    port: host.port,
    pid: process.pid,
    functionsKey: host.keys.functionDefault,
    masterKey: host.keys.master,
    systemKeys: host.keys.system,
  };
  writeFileSync(`${file}.new`, JSON.stringify(ready), { mode: 0o600 });
  renameSync(`${file}.new`, file);
}

async function run(): Promise<void> {
  const port = Number(values.port);
  const schema = Number(values.schema);
  if (values.help || !values.app || !(port >= 0 && port < 65_536) || (schema !== 2 && schema !== 3)) {
    process.stderr.write(`${usage}\n`);
    process.exit(values.help ? 0 : 2);
  }
  const appFolder = resolve(values.app);
  const readyFile = values['ready-file'] ?? process.env['FUNCTIONS_HOST_READY_FILE'];
  const file = (name: 'data' | 'keys'): string | undefined => values[name] && resolve(values[name]);
  const [dataFile, keysFile, readyPath] = [file('data'), file('keys'), readyFile && resolve(readyFile)];
  if (readyPath) rmSync(readyPath, { force: true });
  process.stdout.write(`Functions host for development (Node.js ${process.version}). Not for production.\n`);
  // The worker runs the app from its own folder.
  process.chdir(appFolder);
  const host = await startHost({
    appFolder,
    port,
    upperSchemaVersion: schema,
    ...(dataFile ? { dataFile } : {}),
    ...(keysFile ? { keysFile } : {}),
    ...(values.clock ? { clockUrl: values.clock } : {}),
    ...(values.hostname ? { hostname: values.hostname } : {}),
  });
  const stop = (): void => {
    void host.stop().then(() => process.exit(0));
  };
  process.once('SIGTERM', stop);
  process.once('SIGINT', stop);
  if (values.parent) endWithParent(Number(values.parent), stop);
  process.stdout.write(`${functionsTable(host)}\n`);
  if (readyPath) writeReadyFile(readyPath, host);
  process.stdout.write(`Host started, listening on http://localhost:${host.port}\n`);
}

try {
  await run();
} catch (error) {
  process.stderr.write(
    `The host could not start: ${error instanceof Error ? (error.stack ?? error.message) : error}\n`,
  );
  process.exit(1);
}
