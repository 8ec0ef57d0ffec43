/** What two deployments cannot both have: the second would fight the first for it for ever. */
import { type Names, namesOf } from '../naming.ts';
import { type Problem, problem } from './problem.ts';
import type { DeploymentSpec } from './spec.ts';

export interface NamedSpec {
  readonly name: string;
  readonly spec: DeploymentSpec;
}

/** What must be different, by the field that decides it; compared without case, as Azure and DNS do. */
function claims(spec: DeploymentSpec, names: Names): Readonly<Record<string, string>> {
  return {
    resourceGroup: `${spec.subscriptionId}/${names.resourceGroup}`,
    'vault.name': names.vault,
    'storage.account': names.storageAccount,
    'postgres.server': names.postgresServer,
    'tunnel.hostName': spec.tunnel.hostName,
    'tunnel.name': `${spec.tunnel.accountId}/${names.tunnel}`,
  };
}

export function clashes(own: NamedSpec, others: readonly NamedSpec[]): readonly Problem[] {
  const ours = claims(own.spec, namesOf(own.name, own.spec));
  return others
    .filter(({ name }) => name !== own.name)
    .flatMap(({ name, spec }) => {
      const theirs = claims(spec, namesOf(name, spec));
      return Object.entries(ours)
        .filter(([field, claim]) => claim.toLowerCase() === theirs[field]?.toLowerCase())
        .map(([field]) => problem(field, `is taken by the deployment ${name}`));
    });
}
