/**
 * Loaded into the functions host by `--import`: writes down what its heap holds and how much memory it takes, four times a
 * second; and once more, after garbage has been collected, each time that it is asked by SIGUSR2.
 */
import { appendFileSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

const file = process.env['HEAP_LOG'];
if (file !== undefined) {
  const write = (what: string): void => {
    const { heapUsed, rss } = process.memoryUsage();
    appendFileSync(file, `${what} ${heapUsed} ${rss}\n`);
  };
  setInterval(() => write('used'), 250).unref();
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  process.on('SIGUSR2', () => {
    collect();
    write('live');
  });
}
