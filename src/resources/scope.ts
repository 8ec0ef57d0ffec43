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

/** Workloads that can be started anew, as `POST /api/deployments/{name}/restart` names them. */
export const workloads = ['open-webui', 'ollama', 'cloudflared', 'redis'] as const;
export type Workload = (typeof workloads)[number];

/** Pods for looking into things by hand. */
export const debugPodKinds = ['netshoot', 'psql'] as const;
export type DebugPodKind = (typeof debugPodKinds)[number];

/** What people asked for that is no part of the spec, since it is about a moment and not about how things should be. */
export interface Wishes {
  /** Pods older than this are replaced; ISO 8601, as are all times here. */
  readonly restartAfter: Readonly<Partial<Record<Workload, string>>>;
  /** Secrets are to be read from the vault once more after this. */
  readonly syncAfter?: string;
  /** Models that are to be gone. */
  readonly unwantedModels: readonly string[];
  /** At most one of a kind, gone after `until`. */
  readonly debugPods: readonly { readonly kind: DebugPodKind; readonly until: string }[];
}
export const noWishes: Wishes = { restartAfter: {}, unwantedModels: [], debugPods: [] };

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
  readonly wishes: Wishes;
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
