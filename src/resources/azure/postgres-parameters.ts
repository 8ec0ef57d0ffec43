/**
 * The server's parameters. Azure takes one change at a time (ServerIsBusy otherwise), so each look pushes the first that
 * differs; those that need a restart say so themselves (isConfigPendingRestart), and get one when all are written.
 */
import type { Configuration } from '@azure/arm-postgresql-flexible';
import { fatal } from '../../graph/failure.ts';
import type { Difference } from '../../graph/resource.ts';
import { isMoving, submitFor } from '../kinds/arm-resource.ts';
import { defineResource } from '../scope.ts';
import { postgresServer } from './postgres-server.ts';

const key = 'azure/postgres-parameters';
const LOOK_AGAIN_SECONDS = 5;
const RESTART = 'restart';

const listed = (value: string): string[] =>
  value
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '');

/**
 * The value to write for a parameter, given the one that is there; the same one when nothing is to be written.
 * `azure.extensions` is a list that others may have added to: it is extended, never replaced. Numbers and extension
 * names are compared as what they mean.
 */
export function valueToWrite(name: string, wanted: string, found: string): string {
  if (name === 'azure.extensions') {
    const present = listed(found);
    const lacking = listed(wanted).filter(
      (item) => !present.some((extension) => extension.toLowerCase() === item.toLowerCase()),
    );
    return lacking.length === 0 ? found : [...present, ...lacking].join(',');
  }
  const bothNumbers = [wanted, found].every((value) => /^-?\d+(\.\d+)?$/.test(value));
  const isSame = bothNumbers
    ? Number(wanted) === Number(found)
    : wanted.toLowerCase() === found.toLowerCase();
  return isSame ? found : wanted;
}

/** Parameters to write, then, only when none is left, the restart that some of ours wait for. */
export function parameterDifferences(
  wanted: Readonly<Record<string, string>>,
  configurations: readonly Configuration[],
): Difference[] {
  const ours = Object.entries(wanted).map(([name, value]) => {
    const configuration = configurations.find((candidate) => candidate.name?.toLowerCase() === name);
    if (!configuration) {
      throw fatal('UnknownParameter', `this version of PostgreSQL on Azure has no parameter ${name}`);
    }
    return {
      name,
      configuration,
      found: configuration.value ?? '',
      wanted: valueToWrite(name, value, configuration.value ?? ''),
    };
  });
  const differing = ours.filter(({ found, wanted: value }) => found !== value);
  const fixed = differing.find(({ configuration }) => configuration.isReadOnly);
  if (fixed) throw fatal('ReadOnlyParameter', `Azure does not let the parameter ${fixed.name} be changed`);
  if (differing.length > 0) {
    return differing.map(({ name, found, wanted: value }) => ({ path: name, wanted: value, found }));
  }
  const pending = ours
    .filter(({ configuration }) => configuration.isConfigPendingRestart)
    .map(({ name }) => name);
  return pending.length > 0
    ? [{ path: RESTART, wanted: 'in effect', found: `waiting for a restart: ${pending.join(', ')}` }]
    : [];
}

export const postgresParameters = defineResource<
  { readonly server: typeof postgresServer },
  Record<string, never>
>({
  key,
  title: 'PostgreSQL parameters',
  dependsOn: { server: postgresServer },

  async observe(scope, deps) {
    const { resourceGroup } = scope.names;
    const { servers, configurations } = scope.clients.postgres();
    if (await isMoving(scope, key)) {
      return { state: 'changing', reason: 'a parameter is being set', retryAfterSeconds: LOOK_AGAIN_SECONDS };
    }
    const { state } = await servers.get(resourceGroup, deps.server.name);
    if (state !== 'Ready') {
      return { state: 'changing', reason: `the server is ${state}`, retryAfterSeconds: LOOK_AGAIN_SECONDS };
    }
    const found: Configuration[] = [];
    for await (const configuration of configurations.listByServer(resourceGroup, deps.server.name))
      found.push(configuration);
    const differences = parameterDifferences(scope.spec.postgres.parameters, found);
    return differences.length > 0
      ? { state: 'drifted', outputs: {}, differences }
      : { state: 'ready', outputs: {} };
  },

  async ensure(scope, deps, seen) {
    const first = seen.state === 'drifted' ? seen.differences[0] : undefined;
    if (!first) return;
    const { resourceGroup } = scope.names;
    const { servers, configurations } = scope.clients.postgres();
    await submitFor(
      scope,
      key,
      first.path === RESTART
        ? servers.beginRestart(resourceGroup, deps.server.name)
        : configurations.beginUpdate(resourceGroup, deps.server.name, first.path, {
            value: String(first.wanted),
            source: 'user-override',
          }),
    );
  },

  /** They go with the server. */
  async remove() {},
});
