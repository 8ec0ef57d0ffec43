/** A process of the sandbox: started with a log file, known by the file it writes once it serves, ended for good. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, openSync, readFileSync, rmSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';

export interface ChildOptions {
  readonly name: string;
  /** Arguments to this same Node. */
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly logFile: string;
  /** Real milliseconds. */
  readonly startWithin?: number;
}

export interface Child {
  readonly name: string;
  readonly process: ChildProcess;
  /** Resolves with the exit code or signal once it has ended. */
  readonly ended: Promise<string>;
  /** Asks it to end, and makes it after five seconds. */
  stop(): Promise<void>;
}

const END_WITHIN = 5_000;

export function startChild(options: ChildOptions): Child {
  const log = openSync(options.logFile, 'a');
  const child = spawn(process.execPath, options.args, {
    env: { ...options.env },
    stdio: ['ignore', log, log],
  });
  closeSync(log);
  const ended = once(child, 'exit').then(([code, signal]) => String(code ?? signal));
  const stop = async (): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGTERM');
    const late = new AbortController();
    await Promise.race([ended, pause(END_WITHIN, undefined, { signal: late.signal }).catch(() => undefined)]);
    late.abort();
    if (child.exitCode === null && child.signalCode === null) {
      child.kill('SIGKILL');
      await ended;
    }
  };
  return { name: options.name, process: child, ended, stop };
}

/** Throws, with the end of the log, when the child ends or stays silent for too long. */
export async function startAndWait<T>(
  options: ChildOptions,
  readyFile: string,
): Promise<{ child: Child; ready: T }> {
  rmSync(readyFile, { force: true });
  const child = startChild(options);
  const ready = await waitUntil(child, options, () =>
    existsSync(readyFile) ? parseWhole<T>(readFileSync(readyFile, 'utf8')) : undefined,
  );
  return { child, ready };
}

/** Waits until `look` finds something, as long as the child lives and there is time. */
export async function waitUntil<T>(
  child: Child,
  options: ChildOptions,
  look: () => T | undefined | Promise<T | undefined>,
): Promise<T> {
  const deadline = Date.now() + (options.startWithin ?? 30_000);
  for (;;) {
    const found = await look();
    if (found !== undefined) return found;
    const over = child.process.exitCode !== null || child.process.signalCode !== null;
    if (over || Date.now() > deadline) {
      await child.stop();
      const log = readFileSync(options.logFile, 'utf8').trimEnd().split('\n').slice(-15).join('\n');
      throw new Error(`the ${options.name} did not start (log: ${options.logFile})\n${log}`);
    }
    await pause(25);
  }
}

/** A file may be seen half written. */
function parseWhole<T>(text: string): T | undefined {
  try {
    return JSON.parse(text) as T;
  } catch {
    return undefined;
  }
}
