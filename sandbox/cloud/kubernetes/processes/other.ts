/** Containers the sandbox knows nothing of: they run what their command says as far as time is concerned. */
import type { Process, ProcessContext } from './process.ts';

/** `sleep 600`, `sleep infinity`, `while true; do …`; a command that is none of these ends at once and well. */
export function startOther(context: ProcessContext): Process {
  const command = [...(context.container.command ?? []), ...(context.container.args ?? [])].join(' ');
  const seconds = /\bsleep\s+(\d+)/.exec(command)?.[1];
  const runsOn = command === '' || /sleep\s+(infinity|inf)\b|while\s+(true|:)|tail\s+-f/.test(command);
  if (!runsOn) context.after(seconds === undefined ? 1000 : Number(seconds) * 1000, () => context.exit(0));
  return {
    status: () => undefined,
    listens: () => false,
    exec: () => 0,
    stop: () => undefined,
  };
}
