import type { Clients } from '../clients/clients.ts';
import type { Dependencies, Outputs, Resource } from '../graph/resource.ts';
import type { Names } from '../naming.ts';
import type { DeploymentSpec } from '../spec/spec.ts';

/** What can be given a new value, as `POST /api/deployments/{name}/rotate` names it. */
export const rotations = [
  'client-secret',
  'postgres-password',
  'storage-key',
  'tunnel-token',
  'webui-secret-key',
] as const;
export type Rotation = (typeof rotations)[number];

/** An image that failed here: it is not deployed again, under whatever tag, until a person lifts that. */
export interface QuarantinedImage {
  /** `sha256:…` */
  readonly digest: string;
  readonly repository: string;
  /** One sentence: what it did. */
  readonly reason: string;
  /** ISO 8601. */
  readonly since: string;
}

export interface Quarantine {
  has(digest: string): boolean;
  /** Those of a repository, oldest first. */
  of(repository: string): readonly Omit<QuarantinedImage, 'since'>[];
  /** The same digest twice is one entry, as it was first entered. Throws when the store does not answer. */
  add(image: Omit<QuarantinedImage, 'since'>): Promise<void>;
}

/** What surrounds every resource of a deployment while one activity runs. */
export interface Scope {
  readonly spec: DeploymentSpec;
  readonly names: Names;
  readonly clients: Clients;
  /** The orchestration's time, so that whoever computes an expiry twice computes the same one. */
  readonly now: Date;
  /** Since when a person wants another value: one made before that is replaced. */
  readonly rotateAfter: Readonly<Partial<Record<Rotation, Date>>>;
  readonly quarantine: Quarantine;
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
