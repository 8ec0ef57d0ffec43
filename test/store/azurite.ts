/** Azurite's table service as a process of its own, on a port the system chose, kept in memory or in a folder. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TokenCredential } from '@azure/identity';
import type { Store } from '../../src/store/store.ts';
import { createTableStore } from '../../src/store/table-store.ts';

const main = createRequire(import.meta.url).resolve('azurite/dist/src/table/main.js');
/** Azurite's published account and key, the same everywhere. */
const account =
  'AccountName=devstoreaccount1;AccountKey=Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==';

/** A connection string carries its own key. */
const noCredential: TokenCredential = {
  getToken: () => Promise.reject(new Error('no credential is needed')),
};

export class Azurite {
  readonly connectionString: string;
  readonly #port: number;
  readonly #folder: string;
  readonly #isKept: boolean;
  #child: ChildProcess | undefined;

  private constructor(port: number, isKept: boolean) {
    this.#port = port;
    this.#isKept = isKept;
    this.#folder = mkdtempSync(join(tmpdir(), 'azurite-'));
    this.connectionString = `DefaultEndpointsProtocol=http;${account};TableEndpoint=http://127.0.0.1:${port}/devstoreaccount1`;
  }

  /** `isKept`: what is stored outlives a stop. */
  static async start({ isKept = false } = {}): Promise<Azurite> {
    const azurite = new Azurite(await freePort(), isKept);
    await azurite.start();
    return azurite;
  }

  /** Resolves when it answers. */
  async start(): Promise<void> {
    const child = spawn(
      process.execPath,
      [
        main,
        ...(this.#isKept ? ['--location', this.#folder] : ['--inMemoryPersistence']),
        ...['--tableHost', '127.0.0.1', '--tablePort', String(this.#port)],
        ...['--skipApiVersionCheck', '--disableTelemetry', '--silent'],
      ],
      { cwd: this.#folder, stdio: ['ignore', 'pipe', 'inherit'] },
    );
    this.#child = child;
    await new Promise<void>((resolve, reject) => {
      // Reads on after the start, too: Azurite ends in an error when nobody takes what it says.
      child.stdout.on('data', (text: Buffer) => {
        if (text.includes('successfully started')) resolve();
      });
      child.once('exit', () => reject(new Error('Azurite ended before it had started')));
    });
  }

  /** As it ends when asked to: what it keeps is written first. */
  async stop(): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (!child || child.exitCode !== null) return;
    const ended = once(child, 'exit');
    child.kill('SIGINT');
    await ended;
  }

  async dispose(): Promise<void> {
    await this.stop();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  /** A store that knows nothing of others on the same tables, as after a restart of the app. */
  openStore(): Store {
    return createTableStore(
      { kind: 'connection-string', connectionString: this.connectionString },
      noCredential,
    );
  }
}

async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (typeof address !== 'object' || address === null) throw new Error('the system gave no port');
  return address.port;
}
