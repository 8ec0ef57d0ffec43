/**
 * A resource made of Kubernetes objects: one manifest is enough to say what is wished, and everything else follows.
 * Objects are applied server-side, so only the fields written here are ours: what the API server fills in, what Reloader
 * adds to a pod template and what an autoscaler sets stay untouched. They are looked at with plain GETs, so that a stack
 * that is as asked makes no writes at all, not even dry ones. Longer than other files: looking, comparing and applying have to
 * read one and the same manifest.
 */
import { createHash } from 'node:crypto';
import { isNotFound } from '../../clients/cloud-failure.ts';
import type { KubernetesApi, KubernetesObject, ObjectReference } from '../../clients/kubernetes-api.ts';
import { KubernetesError } from '../../clients/kubernetes-api.ts';
import { differences } from '../../graph/differences.ts';
import type {
  Dependencies,
  DependencyOutputs,
  Difference,
  Observed,
  Outputs,
  Resource,
  ResourceKey,
} from '../../graph/resource.ts';
import { managedBy } from '../../naming.ts';
import { shownDifference } from '../../spec/hidden-value.ts';
import type { Scope } from '../scope.ts';
import { defineResource } from '../scope.ts';
import { writerOf } from './field-writer.ts';
import { rekey } from './list-keys.ts';
import { sameQuantity } from './quantity.ts';

/** Without wishes for whoever wants to see the manifests only. */
type SpecAndNames = Pick<Scope, 'spec' | 'names'> & Partial<Pick<Scope, 'wishes'>>;

/** One object as it is wished; namespace, common labels and our marks are added. */
export interface Manifest<Deps extends Dependencies> {
  readonly apiVersion: string;
  readonly kind: string;
  readonly name: string;
  readonly isClusterScoped?: true;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  /**
   * Everything below `spec`, `data` and the like; `annotations` here join those above. `found` is the object as it is,
   * for the rare wish that depends on how far things have got.
   */
  body(
    deps: DependencyOutputs<Deps>,
    found: KubernetesObject | undefined,
  ): Readonly<Record<string, unknown>> & { readonly annotations?: Readonly<Record<string, string>> };
  /** Without what somebody else rightly has now. It stays part of the wish: yielding it is nothing to be written. */
  yielded?(object: KubernetesObject, found: KubernetesObject | undefined): KubernetesObject;
  readonly once?: Once;
}

/**
 * Something that somebody wants to happen once, after a moment. The moment is part of the wish; how the object tells that
 * it has happened is not, since others have the same done by themselves.
 */
export interface Once {
  /** ISO 8601. */
  readonly after: string;
  /** The object with what makes it happen, or with what shows that it has. */
  ask(object: KubernetesObject, found: KubernetesObject | undefined): KubernetesObject;
}

/** An object as it is wished beside the object as it is. */
export interface Look {
  readonly wanted: KubernetesObject;
  readonly found: KubernetesObject | undefined;
}

/** What the objects' own status says: `undefined` when they do their work. */
export type Unready =
  | { readonly state: 'changing'; readonly reason: string; readonly retryAfterSeconds?: number }
  | { readonly state: 'failed'; readonly code: string; readonly message: string }
  | undefined;

type Ready<Out extends Outputs> = Extract<Observed<Out>, { readonly state: 'ready' }>;

export interface KubernetesObjects<Deps extends Dependencies, Out extends Outputs> {
  readonly key: ResourceKey;
  readonly title: string;
  readonly dependsOn: Deps;
  readonly patienceSeconds?: number;
  isWanted?(scope: SpecAndNames): boolean;
  /** `known` may lack dependencies when things are removed; an object's kind and name must not need them. */
  objects(scope: SpecAndNames, known: Partial<DependencyOutputs<Deps>>): readonly Manifest<Deps>[];
  /** Asked before objects that are there are changed: why that should wait a moment. */
  hold?(look: {
    readonly scope: Scope;
    readonly deps: DependencyOutputs<Deps>;
    readonly looks: readonly Look[];
  }): Promise<Unready> | Unready;
  /**
   * Called once every object is as wished, with the objects in the order of `objects`. Who learns outputs while looking
   * answers `ready` with them instead of `undefined`.
   */
  readiness?(look: {
    readonly scope: Scope;
    readonly api: KubernetesApi;
    readonly deps: DependencyOutputs<Deps>;
    readonly found: readonly KubernetesObject[];
  }): Promise<Unready | Ready<Out>> | Unready | Ready<Out>;
  /** What follows from the dependencies alone. */
  outputs?(scope: Scope, deps: DependencyOutputs<Deps>): Out;
}

/** Says whose an object is; `app.kubernetes.io/managed-by` says by what. */
const deploymentAnnotation = `${managedBy}/deployment`;
/** Of the wish last applied: a field that is wished no longer shows only here, and goes away by applying without it. */
const wishAnnotation = `${managedBy}/wish`;

export const kubernetesObjects = <
  const Deps extends Dependencies,
  Out extends Outputs = Record<never, never>,
>(
  resource: KubernetesObjects<Deps, Out>,
): Resource<Scope, Deps, Out> & Pick<KubernetesObjects<Deps, Out>, 'objects'> => ({
  /** For whoever wants to see the manifests without a cluster. */
  objects: resource.objects,
  ...defineResource<Deps, Out>({
    key: resource.key,
    title: resource.title,
    dependsOn: resource.dependsOn,
    ...(resource.patienceSeconds === undefined ? {} : { patienceSeconds: resource.patienceSeconds }),
    ...(resource.isWanted === undefined ? {} : { isWanted: resource.isWanted }),

    async observe(scope, deps): Promise<Observed<Out>> {
      const api = await connect(scope);
      if (!api) return { state: 'absent' };
      const looks = await look(api, scope, resource, deps);
      const existing = looks.flatMap(({ found }) => (found ? [found] : []));
      if (existing.length === 0) return { state: 'absent' };
      const stranger = existing.find((object) => !isOurs(object, scope));
      if (stranger) return { state: 'foreign', reason: foreignReason(stranger) };
      const leaving = existing.find(({ metadata }) => metadata.deletionTimestamp !== undefined);
      if (leaving) return { state: 'changing', reason: `${describe(leaving)} is being deleted` };

      const outputs = resource.outputs?.(scope, deps) ?? ({} as Out);
      const wrong = looks.flatMap(({ wanted, found }) => differencesOf(wanted, found));
      if (wrong.length > 0) {
        const held = await resource.hold?.({ scope, deps, looks });
        return held ?? { state: 'drifted', outputs, differences: wrong };
      }
      const learned = await resource.readiness?.({ scope, api, deps, found: existing });
      return learned ?? { state: 'ready', outputs };
    },

    async ensure(scope, deps) {
      const api = await connect(scope);
      if (!api) throw new KubernetesError(404, 'ClusterNotFound', 'the cluster does not exist');
      for (const { wanted, found } of await look(api, scope, resource, deps)) {
        if (differencesOf(wanted, found).length === 0) continue;
        const keys = rekey(wanted, found);
        if (found && keys !== undefined) {
          const { resourceVersion } = found.metadata;
          await api.mergePatch({ ...wanted.metadata, ...wanted }, { ...keys, metadata: { resourceVersion } });
        }
        await api.apply(wanted);
      }
    },

    async remove(scope, deps) {
      const api = await connect(scope);
      if (!api) return;
      for (const manifest of resource.objects(scope, deps).toReversed()) {
        const reference = referenceOf(manifest, scope);
        const found = await findServed(api, reference);
        if (found && isOurs(found, scope)) await api.remove(reference);
      }
    },
  }),
});

/** The manifest with everything that goes on the wire. */
export function manifestOf<Deps extends Dependencies>(
  manifest: Manifest<Deps>,
  { names }: SpecAndNames,
  deps: DependencyOutputs<Deps>,
  found?: KubernetesObject,
): KubernetesObject {
  const { annotations, ...body } = manifest.body(deps, found);
  const marks = marksOf(manifest.name, { names });
  const bare = {
    ...body,
    apiVersion: manifest.apiVersion,
    kind: manifest.kind,
    metadata: {
      name: manifest.name,
      ...(manifest.isClusterScoped ? {} : { namespace: names.namespace }),
      labels: { ...marks.labels, ...manifest.labels },
      annotations: { ...manifest.annotations, ...annotations, ...marks.annotations },
    },
  };
  const { once } = manifest;
  const wished = JSON.stringify(once ? { ...bare, once: once.after } : bare);
  const wish = createHash('sha256').update(wished).digest('hex').slice(0, 16);
  const marked = {
    ...bare,
    metadata: { ...bare.metadata, annotations: { ...bare.metadata.annotations, [wishAnnotation]: wish } },
  };
  const ours = manifest.yielded?.(marked, found) ?? marked;
  return once ? once.ask(ours, found) : ours;
}

/** https://kubernetes.io/docs/concepts/overview/working-with-objects/common-labels/ */
export const commonLabels = (name: string): Readonly<Record<string, string>> => ({
  'app.kubernetes.io/name': name,
  'app.kubernetes.io/part-of': 'open-webui',
  'app.kubernetes.io/managed-by': managedBy,
});

/** What `isOurs` knows an object by. */
export const marksOf = (name: string, { names }: Pick<SpecAndNames, 'names'>) => ({
  labels: commonLabels(name),
  annotations: { [deploymentAnnotation]: names.deployment },
});

/** Reloader leaves a Secret or ConfigMap with this alone, whoever uses it: docs/decisions/0008-one-rollout.md */
export const ignoredByReloader: Readonly<Record<string, string>> = {
  'reloader.stakater.com/ignore': 'true',
};

/**
 * What of the wanted fields is not as wished, without what may be a secret. An object that is not there is one difference,
 * not one per field.
 */
export function differencesOf(wanted: KubernetesObject, found: KubernetesObject | undefined): Difference[] {
  const subject = describe(wanted);
  if (!found) return [{ path: subject, wanted: 'present', found: null }];
  return differences(byName(wanted), byName(found), sameToKubernetes).map((difference) => {
    const { path } = difference;
    const by = difference.found === null ? undefined : writerOf(found, path);
    return {
      ...shownDifference(difference),
      path: `${subject}: ${path}`,
      ...(by ? { by } : {}),
    };
  });
}

/** Whether a difference tells that another wish was applied last: then what differs is ours to apply. */
export const isWishMark = (path: string): boolean =>
  path.endsWith(`: metadata.annotations.${wishAnnotation}`);

const isQuantity = /(^|\.)(requests|limits|capacity)\.[^.]+$/;

function sameToKubernetes(path: string, wanted: unknown, found: unknown): boolean {
  // The API server leaves empty lists out of its answers.
  if (Array.isArray(wanted) && wanted.length === 0 && found === undefined) return true;
  return isQuantity.test(path) && sameQuantity(wanted, found);
}

/**
 * Lists whose items have names (containers, env, volumes, ports) are compared name by name: others may add items to
 * them, as Reloader does with its environment variable, and the API server merges them by name too.
 */
function byName(value: unknown): unknown {
  if (Array.isArray(value)) {
    const names = value.map((item) =>
      isRecord(item) && typeof item['name'] === 'string' ? item['name'] : undefined,
    );
    const areKeys = names.length > 0 && !names.includes(undefined) && new Set(names).size === names.length;
    return areKeys
      ? Object.fromEntries(value.map((item, index) => [names[index], byName(item)]))
      : value.map(byName);
  }
  if (!isRecord(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, byName(item)]));
}

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** `undefined` when there is no such cluster: then there is nothing in it either. */
export async function connect({ clients, names }: Scope): Promise<KubernetesApi | undefined> {
  try {
    return await clients.kubernetes(names.resourceGroup, names.cluster);
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw error;
  }
}

function look<Deps extends Dependencies>(
  api: KubernetesApi,
  scope: Scope,
  { objects }: Pick<KubernetesObjects<Deps, Outputs>, 'objects'>,
  deps: DependencyOutputs<Deps>,
): Promise<Look[]> {
  return Promise.all(
    objects(scope, deps).map(async (manifest) => {
      const found = await findServed(api, referenceOf(manifest, scope));
      return { wanted: manifestOf(manifest, scope, deps, found), found };
    }),
  );
}

/** Without the kind there is no object of it: its CRD has gone with all of them. */
export async function findServed(
  api: KubernetesApi,
  reference: ObjectReference,
): Promise<KubernetesObject | undefined> {
  try {
    return await api.find(reference);
  } catch (error) {
    if (error instanceof KubernetesError && error.reason === 'KindNotServed') return undefined;
    throw error;
  }
}

const referenceOf = <Deps extends Dependencies>(
  { apiVersion, kind, name, isClusterScoped }: Manifest<Deps>,
  { names }: SpecAndNames,
): ObjectReference => ({
  apiVersion,
  kind,
  name,
  ...(isClusterScoped ? {} : { namespace: names.namespace }),
});

export const describe = ({ kind, metadata }: KubernetesObject): string => `${kind} ${metadata.name}`;

export const isOurs = ({ metadata }: KubernetesObject, { names }: SpecAndNames): boolean =>
  metadata.labels?.['app.kubernetes.io/managed-by'] === managedBy &&
  metadata.annotations?.[deploymentAnnotation] === names.deployment;

export function foreignReason(object: KubernetesObject): string {
  const owner = object.metadata.annotations?.[deploymentAnnotation];
  return owner === undefined
    ? `${describe(object)} is in the cluster already and was not made by this control plane`
    : `${describe(object)} belongs to the deployment ${owner}`;
}
