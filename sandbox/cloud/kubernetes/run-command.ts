/**
 * The command pod of AKS run command: `helm` for the two operators of this stack, and a few `kubectl` lines. Anything
 * else is not found, exit code 127, as in a shell.
 */
import type { VirtualClock } from '../../clock.ts';
import { NODES } from './api/kinds.ts';
import { StatusError } from './api/status-error.ts';
import type { KubernetesCluster } from './cluster.ts';
import { Helm } from './helm.ts';
import { kubectl } from './kubectl.ts';
import type { Node } from './object.ts';
import { parseShell } from './shell-line.ts';

export interface CommandResult {
  readonly exitCode: number;
  readonly logs: string;
}

export async function runCommand(
  cluster: KubernetesCluster,
  clock: VirtualClock,
  command: string,
): Promise<CommandResult> {
  if (!cluster.resource?.isRunning) return { exitCode: 1, logs: 'The cluster is stopped.' };
  if (!hasRoom(cluster)) {
    return {
      exitCode: 1,
      logs: 'Timed out waiting for the condition: the command pod could not be scheduled, 0 nodes are available.',
    };
  }
  const helm = new Helm(cluster, clock);
  let logs = '';
  let exitCode = 0;
  try {
    for (const { words, onlyAfterSuccess } of parseShell(command)) {
      if (onlyAfterSuccess && exitCode !== 0) continue;
      const result = await runOne(cluster, clock, helm, words);
      logs += result.logs;
      exitCode = result.exitCode;
    }
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    return { exitCode: 2, logs: `${logs}sh: ${error.message}\n` };
  }
  return { exitCode, logs };
}

/** The pod tolerates every taint of its own; it needs a node that takes pods. */
function hasRoom(cluster: KubernetesCluster): boolean {
  return cluster.api.list<Node>(NODES).some(({ spec }) => !spec.unschedulable);
}

async function runOne(
  cluster: KubernetesCluster,
  clock: VirtualClock,
  helm: Helm,
  words: readonly string[],
): Promise<CommandResult> {
  const [program = '', ...rest] = words;
  try {
    if (program === 'helm') return await helm.run(rest);
    if (program === 'kubectl') return await kubectl(cluster, clock, rest);
  } catch (error) {
    if (!(error instanceof StatusError)) throw error;
    return {
      exitCode: 1,
      logs: `Error from server${error.status.reason ? ` (${error.status.reason})` : ''}: ${error.message}\n`,
    };
  }
  return { exitCode: 127, logs: `sh: ${program}: command not found\n` };
}
