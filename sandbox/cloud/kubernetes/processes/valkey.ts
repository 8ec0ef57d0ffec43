/** Valkey (or Redis): answers on 6379 and nothing else; what it holds nobody asks for. */
import { START } from '../durations.ts';
import type { Process, ProcessContext } from './process.ts';

const PORT = 6379;

export function startValkey(context: ProcessContext): Process {
  let isUp = context.isResumed;
  if (!isUp) {
    context.log('oO0OoO0OoO0Oo Valkey is starting oO0OoO0OoO0Oo');
    context.after(START.valkey, () => {
      isUp = true;
      context.log('Ready to accept connections tcp');
      context.changed();
    });
  }
  return {
    status: () => undefined,
    listens: (port) => isUp && port === PORT,
    exec: (command) => (/(valkey|redis)-cli.*ping/i.test(command.join(' ')) && isUp ? 0 : 1),
    stop: () => context.log('User requested shutdown...'),
  };
}
