/**
 * The simulated cloud as a process of its own, so that the functions host can die without taking the clouds along.
 *
 *     node sandbox/cloud/main.ts --directory DIR [--speed N] [--held] [--proxy-port P] [--control-port P]
 *                                [--ready-file FILE] [--kubeconfig FILE] [--parent PID]
 *
 * Once it serves it writes its endpoints as JSON to the ready file and to standard output.
 */
import { renameSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { endWithParent } from '../parent-watch.ts';
import { composeAzure } from './azure.ts';
import { startCloud } from './cloud.ts';

const { values } = parseArgs({
  options: {
    directory: { type: 'string' },
    speed: { type: 'string' },
    held: { type: 'boolean' },
    'proxy-port': { type: 'string' },
    'control-port': { type: 'string' },
    'ready-file': { type: 'string' },
    kubeconfig: { type: 'string' },
    parent: { type: 'string' },
  },
});

function numberOf(option: 'speed' | 'proxy-port' | 'control-port' | 'parent'): number | undefined {
  const text = values[option];
  if (text === undefined) return undefined;
  const value = Number(text);
  if (!Number.isFinite(value)) throw new Error(`--${option} must be a number, not ${text}`);
  return value;
}

if (values.directory === undefined) throw new Error('--directory is missing');
const [speed, proxyPort, controlPort] = [numberOf('speed'), numberOf('proxy-port'), numberOf('control-port')];
const cloud = await startCloud(
  {
    directory: values.directory,
    ...(speed === undefined ? {} : { speed }),
    ...(values.held === undefined ? {} : { held: values.held }),
    ...(proxyPort === undefined ? {} : { proxyPort }),
    ...(controlPort === undefined ? {} : { controlPort }),
    ...(values.kubeconfig === undefined ? {} : { kubeconfig: values.kubeconfig }),
  },
  composeAzure,
);

let isStopping = false;
const stop = async (): Promise<void> => {
  if (isStopping) return;
  isStopping = true;
  await cloud.stop();
  process.exit(0);
};
process.on('SIGTERM', () => void stop());
process.on('SIGINT', () => void stop());

const parent = numberOf('parent');
if (parent !== undefined) {
  endWithParent(parent, () => void stop());
}

const ready = JSON.stringify(cloud.endpoints, null, 2);
if (values['ready-file'] !== undefined) {
  // Whoever waits for the file must never read half of it.
  writeFileSync(`${values['ready-file']}.new`, ready, { mode: 0o600 });
  renameSync(`${values['ready-file']}.new`, values['ready-file']);
}
console.log(ready);
