/** The few `kubectl` lines that are worth running through AKS run command. */
import type { VirtualClock } from '../../clock.ts';
import type { Kind } from './api/kinds.ts';
import { parseLabelSelector } from './api/selectors.ts';
import { printTable } from './api/table.ts';
import type { KubernetesCluster } from './cluster.ts';
import { at, type Condition, type KubeObject } from './object.ts';
import { parseDuration } from './processes/external-secrets.ts';
import { parseFlags } from './program-flags.ts';
import type { CommandResult } from './run-command.ts';

export async function kubectl(
  cluster: KubernetesCluster,
  clock: VirtualClock,
  words: readonly string[],
): Promise<CommandResult> {
  const { positional, flags } = parseFlags(words, ['A', 'all-namespaces', 'all', 'no-headers']);
  const [verb, ...rest] = positional;
  const flag = (...names: string[]): string | undefined =>
    names.map((name) => flags.get(name)?.at(-1)).find((value) => value !== undefined);
  const everywhere = flag('A', 'all-namespaces') === 'true';
  const namespace = everywhere ? undefined : (flag('n', 'namespace') ?? 'default');
  if (verb === 'version')
    return { exitCode: 0, logs: `Server Version: v${cluster.resource?.kubernetesVersion}\n` };
  if (verb === 'get')
    return get(cluster, clock, rest, namespace, flag('o', 'output') ?? '', flag('l', 'selector') ?? '');
  if (verb === 'wait')
    return wait(cluster, clock, rest, namespace ?? 'default', flag('for') ?? '', flag('timeout') ?? '30s');
  return { exitCode: 127, logs: `error: the sandbox's command pod does not know "kubectl ${verb ?? ''}"\n` };
}

function findKind(cluster: KubernetesCluster, name: string): Kind | undefined {
  const [plural = '', ...group] = name.toLowerCase().split('.');
  return cluster.api
    .kinds()
    .find(
      (kind) =>
        (kind.plural === plural || kind.singular === plural || kind.shortNames.includes(plural)) &&
        (group.length === 0 || kind.group === group.join('.')),
    );
}

function unknownKind(name: string): CommandResult {
  return { exitCode: 1, logs: `error: the server doesn't have a resource type "${name}"\n` };
}

function get(
  cluster: KubernetesCluster,
  clock: VirtualClock,
  rest: readonly string[],
  namespace: string | undefined,
  output: string,
  selector: string,
): CommandResult {
  const [typed = '', ...names] = rest.flatMap((word) => word.split('/'));
  const kind = findKind(cluster, typed);
  if (!kind) return unknownKind(typed);
  const objects: KubeObject[] =
    names.length > 0
      ? names.map((name) => cluster.api.get(kind, namespace ?? '', name))
      : cluster.api
          .list(kind, namespace)
          .filter(({ metadata }) => parseLabelSelector(selector)(metadata.labels));
  if (output === 'json') {
    const body =
      names.length === 1
        ? objects[0]
        : { apiVersion: 'v1', kind: 'List', metadata: { resourceVersion: '' }, items: objects };
    return { exitCode: 0, logs: `${JSON.stringify(body, null, 4)}\n` };
  }
  if (output === 'name') {
    const prefix = kind.group === '' ? kind.singular : `${kind.singular}.${kind.group}`;
    return { exitCode: 0, logs: objects.map(({ metadata }) => `${prefix}/${metadata.name}\n`).join('') };
  }
  if (output !== '' && output !== 'wide') {
    return {
      exitCode: 1,
      logs: `error: unable to match a printer suitable for the output format "${output}"\n`,
    };
  }
  if (objects.length === 0) {
    return {
      exitCode: 0,
      logs:
        namespace === undefined ? 'No resources found\n' : `No resources found in ${namespace} namespace.\n`,
    };
  }
  const options = { wide: output === 'wide', withNamespace: namespace === undefined && kind.namespaced };
  return { exitCode: 0, logs: printTable(kind, objects, clock.now(), options) };
}

/** `kubectl wait --for=condition=X[=value] type/name…` */
async function wait(
  cluster: KubernetesCluster,
  clock: VirtualClock,
  rest: readonly string[],
  namespace: string,
  goal: string,
  timeout: string,
): Promise<CommandResult> {
  const [, type, wanted = 'true'] = /^condition=([^=]+)(?:=(.+))?$/i.exec(goal) ?? [];
  if (type === undefined) return { exitCode: 1, logs: `error: unrecognized condition: "${goal}"\n` };
  const until = clock.now() + parseDuration(timeout);
  let logs = '';
  for (const word of rest) {
    const [typed = '', name = ''] = word.split('/');
    const kind = findKind(cluster, typed);
    if (!kind) return unknownKind(typed);
    const meets = (): boolean => {
      const conditions = at(cluster.api.get(kind, namespace, name), 'status', 'conditions');
      return (Array.isArray(conditions) ? (conditions as Condition[]) : []).some(
        (one) =>
          one.type.toLowerCase() === type.toLowerCase() && one.status.toLowerCase() === wanted.toLowerCase(),
      );
    };
    while (!meets()) {
      if (clock.now() >= until) {
        return {
          exitCode: 1,
          logs: `${logs}error: timed out waiting for the condition on ${kind.plural}/${name}\n`,
        };
      }
      await clock.wait(1000);
    }
    logs += `${kind.singular}${kind.group === '' ? '' : `.${kind.group}`}/${name} condition met\n`;
  }
  return { exitCode: 0, logs };
}
