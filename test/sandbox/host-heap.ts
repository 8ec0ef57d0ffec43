/** The memory of the functions host of a sandbox, as it writes it down itself (heap-log.ts). */
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect } from 'vitest';
import { makeDirectory } from '../a-directory.ts';
import { root, type Sample } from './sample.ts';

/** Bytes: what the heap holds, and what the process takes. */
export interface Memory {
  readonly heap: number;
  readonly process: number;
}

export class HostHeap {
  readonly #file = join(makeDirectory('heap-log-'), 'heap');

  /** For `startSample`. */
  readonly settings = {
    NODE_OPTIONS: `--import ${join(root, 'test', 'sandbox', 'heap-log.ts')}`,
    HEAP_LOG: this.#file,
  };

  /** In order of time. */
  all(): readonly Memory[] {
    return this.#lines('used');
  }

  /** What is still used once all garbage has been collected. */
  async live({ sandbox }: Sample): Promise<Memory> {
    const before = this.#lines('live').length;
    sandbox.host().process.kill('SIGUSR2');
    await expect.poll(() => this.#lines('live').length, { timeout: 10_000 }).toBeGreaterThan(before);
    return this.#lines('live').at(-1) ?? { heap: Number.NaN, process: Number.NaN };
  }

  dispose(): void {
    rmSync(dirname(this.#file), { recursive: true, force: true });
  }

  #lines(what: 'used' | 'live'): readonly Memory[] {
    if (!existsSync(this.#file)) return [];
    return readFileSync(this.#file, 'utf8')
      .trimEnd()
      .split('\n')
      .map((line) => line.split(' '))
      .filter(([kind]) => kind === what)
      .map(([, heap, rss]) => ({ heap: Number(heap), process: Number(rss) }));
  }
}
