import { orAbsent } from '../../clients/cloud-failure.ts';
import { differences, sameIgnoringCaseAndBlanks } from '../../graph/differences.ts';
import { isRemovable, missing, refuseToReplace, submitFor } from '../kinds/arm-resource.ts';
import { defineResource } from '../scope.ts';
import { postgresParameters } from './postgres-parameters.ts';
import { postgresServer } from './postgres-server.ts';

const key = 'azure/postgres-database';
const wanted = { charset: 'UTF8', collation: 'en_US.utf8' };

/** After the parameters, for a server that is busy with one refuses a database. */
export const postgresDatabase = defineResource<
  { readonly server: typeof postgresServer; readonly parameters: typeof postgresParameters },
  { readonly name: string; readonly server: string }
>({
  key,
  title: 'PostgreSQL database',
  dependsOn: { server: postgresServer, parameters: postgresParameters },

  async observe(scope, deps) {
    const { database: name } = scope.spec.postgres;
    const { databases } = scope.clients.postgres();
    const found = await orAbsent(databases.get(scope.names.resourceGroup, deps.server.name, name));
    if (!found) return missing(scope, key, 5);
    const outputs = { name, server: deps.server.name };
    const wrong = differences(wanted, found, (_path, left, right) => sameIgnoringCaseAndBlanks(left, right));
    return wrong.length > 0 ? { state: 'drifted', outputs, differences: wrong } : { state: 'ready', outputs };
  },

  async ensure(scope, deps, seen) {
    const { database: name } = scope.spec.postgres;
    refuseToReplace(`the database ${name}`, seen, ['charset', 'collation']);
    const { databases } = scope.clients.postgres();
    await submitFor(
      scope,
      key,
      databases.beginCreate(scope.names.resourceGroup, deps.server.name, name, wanted),
    );
  },

  /** It goes with the server: deleting it by itself is refused while anybody is connected. */
  async remove(scope, deps, seen) {
    if (!isRemovable(seen) || !deps.server) return;
    const { databases } = scope.clients.postgres();
    await orAbsent(
      submitFor(
        scope,
        key,
        databases.beginDelete(scope.names.resourceGroup, deps.server.name, scope.spec.postgres.database),
      ),
    );
  },
});
