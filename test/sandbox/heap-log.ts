/** Loaded into the functions host by `--import`: writes down what its heap holds, four times a second. */
import { appendFileSync } from 'node:fs';

const file = process.env['HEAP_LOG'];
if (file !== undefined) {
  setInterval(() => {
    const { heapUsed, rss } = process.memoryUsage();
    appendFileSync(file, `${heapUsed} ${rss}\n`);
  }, 250).unref();
}
