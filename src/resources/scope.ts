import type { Clients } from '../clients/clients.ts';
import type { Dependencies, Outputs, Resource } from '../graph/resource.ts';
import type { Names } from '../naming.ts';
import type { DeploymentSpec } from '../spec/spec.ts';

/** What surrounds every resource of a deployment while one activity runs. */
export interface Scope {
  readonly spec: DeploymentSpec;
  readonly names: Names;
  readonly clients: Clients;
  /** The orchestration's time, so that whoever computes an expiry twice computes the same one. */
  readonly now: Date;
}

/** Declares a resource; only infers types, so that `deps` and outputs are known without being written twice. */
export const defineResource = <const Deps extends Dependencies, Out extends Outputs>(
  resource: Resource<Scope, Deps, Out>,
): Resource<Scope, Deps, Out> => resource;

/** A reference to a secret in a vault: what may travel where its value may not. */
export type SecretReference = {
  readonly vaultUrl: string;
  readonly name: string;
  readonly version: string;
};
