/**
 * The contract of a resource: one thing the control plane keeps in existence, in any cloud. Three verbs and no more;
 * the engine alone decides which is called when. Nothing here branches on create versus update: a resource looks,
 * pushes once towards what is wished, and is looked at again.
 */

import type { Notice } from './finding.ts';

export type CloudName = 'azure' | 'entra' | 'cloudflare' | 'kubernetes';
/** Equal to the path of the resource's file below `resources/`. It is persisted: renaming one is a migration. */
export type ResourceKey = `${CloudName}/${string}`;

export type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json };

/** What dependents may know: ids, names, hosts, secret references. Never a secret's value; small, for it is persisted. */
export type Outputs = Readonly<Record<string, Json>>;

/** One field that is not as asked. Values of secrets are never put here. */
export interface Difference {
  /** Dotted path in the cloud's own naming, `properties.storage.storageSizeGB`. */
  readonly path: string;
  readonly wanted: Json;
  readonly found: Json;
  /** Who made it so, where the cloud tells while it is looked at; `at` in ISO 8601. */
  readonly by?: { readonly name: string; readonly at?: string };
  /** Made by time or by our own work, such as a secret that nears its end: nobody has changed anything. */
  readonly isDue?: true;
}

export type Observed<Out extends Outputs> =
  | { readonly state: 'absent' }
  /** Exists and moves by itself; look again, do not push. */
  | { readonly state: 'changing'; readonly reason: string; readonly retryAfterSeconds?: number }
  | { readonly state: 'drifted'; readonly outputs: Out; readonly differences: readonly Difference[] }
  /** As asked; `notices` tell what should be known all the same. */
  | { readonly state: 'ready'; readonly outputs: Out; readonly notices?: readonly Notice[] }
  /** The cloud itself says the last attempt failed; `ensure` is called again. */
  | { readonly state: 'failed'; readonly outputs?: Out; readonly code: string; readonly message: string }
  /** Exists without our mark and adoption was not asked for. */
  | { readonly state: 'foreign'; readonly reason: string };

/** Named dependencies of a resource, in the order a reader should think of them. */
// biome-ignore lint/suspicious/noExplicitAny: a heterogeneous record of resources has no common type argument but any
export type Dependencies = Readonly<Record<string, Resource<any, any, any>>>;

// biome-ignore lint/suspicious/noExplicitAny: infers the outputs whatever the other type arguments are
export type OutputsOf<R> = R extends Resource<any, any, infer Out> ? Out : never;

export type DependencyOutputs<Deps extends Dependencies> = {
  readonly [Name in keyof Deps]: OutputsOf<Deps[Name]>;
};

/** `Scope` is what surrounds every resource of a stack: the spec, its names, the clients, the time. */
export interface Resource<Scope, Deps extends Dependencies, Out extends Outputs> {
  readonly key: ResourceKey;
  /** Shown to people: `Key Vault`. */
  readonly title: string;
  /** Only wanted dependencies are waited for; an unwanted one has no outputs, so `optional` ones are declared there. */
  readonly dependsOn: Deps;
  /** How long, in seconds, this may stay unready before the operation gives it up; 1,800 unless said. */
  readonly patienceSeconds?: number;
  /** `ensure` pushes those differences that it is shown and no others: one that is left alone holds up none of the rest. */
  readonly pushesApart?: true;
  /** Whether a difference is about a part that came after a look told `told`: nobody has changed it. */
  isOfNewPart?(path: string, told: Outputs | undefined): boolean;
  /** Whether this spec asks for it at all; pure. */
  isWanted?(scope: Pick<Scope, Extract<keyof Scope, 'spec' | 'names'>>): boolean;
  /** Looks, never writes. Throws on 403, 429 and 5xx: not being allowed to look is not absence. */
  observe(scope: Scope, deps: DependencyOutputs<Deps>): Promise<Observed<Out>>;
  /**
   * Pushes once towards the wish and returns without waiting; called only when `seen` is absent, drifted or failed.
   * May be called again at any time, also after a crash in its middle.
   */
  ensure(scope: Scope, deps: DependencyOutputs<Deps>, seen: Observed<Out>): Promise<void>;
  /** Removes what is ours; already gone is success; what is not ours stays. Returns without waiting. */
  remove(scope: Scope, deps: Partial<DependencyOutputs<Deps>>, seen: Observed<Out>): Promise<void>;
}
