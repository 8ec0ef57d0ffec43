/**
 * Runs Azurite's table service, the storage of the control plane's own records, as a process that ends with its
 * parent. Arguments after `--parent PID` are Azurite's own.
 */
import { createRequire } from 'node:module';
import { endWithParent } from './parent-watch.ts';

const at = process.argv.indexOf('--parent');
const [, parent] = at < 0 ? [] : process.argv.splice(at, 2);
if (parent !== undefined) endWithParent(Number(parent), () => process.exit(0));

createRequire(import.meta.url)('azurite/dist/src/table/main.js');
