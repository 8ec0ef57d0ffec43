/**
 * The API server of one cluster without its HTTP: what a request means for the stored objects. Controllers and the
 * HTTP door use the same verbs, so defaults, validation, field ownership and finalizers hold for both. It is longer
 * than most files because the verbs share one path through which every write goes.
 */
import { randomUUID } from 'node:crypto';
import type { VirtualClock } from '../../../clock.ts';
import {
  at,
  type CustomResourceDefinition,
  copyOf,
  type Fields,
  isFields,
  isSame,
  type KubeObject,
  timestamp,
} from '../object.ts';
import { type AdmissionView, admit } from './admission.ts';
import { addDefaults } from './defaults.ts';
import {
  apiVersionOf,
  BUILT_IN_KINDS,
  CUSTOM_RESOURCE_DEFINITIONS,
  type Kind,
  kindsOf,
  NAMESPACES,
  PODS,
  resourceKey,
} from './kinds.ts';
import type { ObjectStore } from './object-store.ts';
import { applyJsonPatch, applyMergePatch, applyStrategicPatch } from './patches.ts';
import { accountForUpdate, applyTo } from './server-side-apply.ts';
import { checkShape, pruned } from './shape.ts';
import {
  alreadyExists,
  badRequest,
  conflict,
  forbidden,
  invalid,
  invalidValue,
  notFound,
  required,
  StatusError,
} from './status-error.ts';
import { validate } from './validation.ts';

export type FieldValidation = 'Strict' | 'Warn' | 'Ignore';

export interface WriteOptions {
  readonly manager?: string;
  readonly subresource?: 'status' | 'scale';
  readonly dryRun?: boolean;
  readonly fieldValidation?: FieldValidation;
  readonly warn?: (text: string) => void;
}

export interface PatchOptions extends WriteOptions {
  readonly type: 'json' | 'merge' | 'strategic' | 'apply';
  readonly force?: boolean;
}

export interface DeleteOptions {
  readonly gracePeriodSeconds?: number;
  readonly propagationPolicy?: 'Foreground' | 'Background' | 'Orphan';
  readonly preconditions?: { readonly uid?: string; readonly resourceVersion?: string };
  readonly dryRun?: boolean;
}

const CONTROLLER_MANAGER = 'kube-controller-manager';
/** Objects whose name was generated: five characters that spell no words (apimachinery/pkg/util/rand). */
const SUFFIX_CHARACTERS = 'bcdfghjklmnpqrstvwxz2456789';

export function randomSuffix(length = 5): string {
  return Array.from(
    { length },
    () => SUFFIX_CHARACTERS[Math.floor(Math.random() * SUFFIX_CHARACTERS.length)],
  ).join('');
}

export class ApiServer {
  readonly store: ObjectStore;
  readonly #clock: VirtualClock;
  #kinds: readonly Kind[] | undefined;

  constructor(store: ObjectStore, clock: VirtualClock) {
    this.store = store;
    this.#clock = clock;
    store.subscribe((change) => {
      if (change.resource === resourceKey(CUSTOM_RESOURCE_DEFINITIONS)) this.#kinds = undefined;
    });
  }

  now(): string {
    return timestamp(this.#clock.now());
  }

  /** Built-in kinds and those whose CRD is established. */
  kinds(): readonly Kind[] {
    this.#kinds ??= [
      ...BUILT_IN_KINDS,
      ...this.list<CustomResourceDefinition>(CUSTOM_RESOURCE_DEFINITIONS)
        .filter((definition) =>
          definition.status?.conditions?.some((one) => one.type === 'Established' && one.status === 'True'),
        )
        .flatMap(kindsOf),
    ];
    return this.#kinds;
  }

  kindOf(group: string, version: string, plural: string): Kind | undefined {
    return this.kinds().find(
      (kind) => kind.group === group && kind.version === version && kind.plural === plural,
    );
  }

  find<T extends KubeObject>(kind: Kind, namespace: string, name: string): T | undefined {
    return this.store.get(resourceKey(kind), kind.namespaced ? namespace : '', name) as T | undefined;
  }

  /** Throws 404. */
  get<T extends KubeObject>(kind: Kind, namespace: string, name: string): T {
    const object = this.find<T>(kind, namespace, name);
    if (!object) throw notFound(kind, name);
    return object;
  }

  list<T extends KubeObject>(kind: Kind, namespace?: string): T[] {
    return this.store.list(resourceKey(kind), kind.namespaced ? namespace : undefined) as T[];
  }

  create<T extends KubeObject>(kind: Kind, namespace: string, body: unknown, options: WriteOptions = {}): T {
    const candidate = this.#read(kind, namespace, undefined, body, options);
    const metadata = candidate['metadata'] as Fields;
    const generateName = metadata['generateName'];
    if (metadata['name'] === undefined && typeof generateName === 'string') {
      metadata['name'] = generateName + randomSuffix();
    }
    const name = String(metadata['name'] ?? '');
    if (metadata['resourceVersion'] !== undefined && metadata['resourceVersion'] !== '') {
      throw badRequest('resourceVersion should not be set on objects to be created');
    }
    if (this.find(kind, namespace, name)) throw alreadyExists(kind, name);
    return this.#write(kind, namespace, undefined, candidate, options) as T;
  }

  update<T extends KubeObject>(
    kind: Kind,
    namespace: string,
    name: string,
    body: unknown,
    options: WriteOptions = {},
  ): T {
    const before = this.get(kind, namespace, name);
    const candidate = this.#read(kind, namespace, name, body, options);
    this.#checkVersion(kind, before, candidate);
    if (kind.columns && at(candidate, 'metadata', 'resourceVersion') === undefined) {
      throw invalid(kind, name, [
        invalidValue('metadata.resourceVersion', 0, 'must be specified for an update'),
      ]);
    }
    return this.#write(kind, namespace, before, candidate, options) as T;
  }

  /** A controller's read-modify-write: `mutate` gets a copy. A change that changes nothing writes nothing. */
  change<T extends KubeObject>(
    kind: Kind,
    object: T,
    mutate: (draft: T) => void,
    options: WriteOptions = {},
  ): T {
    const { namespace = '', name } = object.metadata;
    const before = this.find<T>(kind, namespace, name);
    if (!before || before.metadata.uid !== object.metadata.uid) return object;
    const draft = copyOf(before);
    mutate(draft);
    if (isSame(before, draft)) return before;
    return this.#write(kind, namespace, before, draft as unknown as Fields, {
      manager: CONTROLLER_MANAGER,
      ...options,
    }) as T;
  }

  changeStatus<T extends KubeObject>(
    kind: Kind,
    object: T,
    mutate: (draft: T) => void,
    manager = CONTROLLER_MANAGER,
  ): T {
    return this.change(kind, object, mutate, { subresource: 'status', manager });
  }

  /** An apply creates what is not there; the other patches want it there. */
  patch(
    kind: Kind,
    namespace: string,
    name: string,
    body: unknown,
    options: PatchOptions,
  ): { readonly object: KubeObject; readonly created: boolean } {
    const before = this.find(kind, namespace, name);
    if (options.type === 'apply') return this.#apply(kind, namespace, name, before, body, options);
    if (!before) throw notFound(kind, name);
    if (options.force !== undefined) {
      throw new StatusError(
        422,
        'Invalid',
        'PatchOptions.meta.k8s.io "" is invalid: force: Forbidden: may not be specified for non-apply patch',
      );
    }
    if (options.type === 'strategic' && kind.columns) {
      throw new StatusError(
        415,
        'UnsupportedMediaType',
        'the body of the request was in an unknown format - accepted media types include: application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml',
      );
    }
    const patched =
      options.type === 'json'
        ? applyJsonPatch(before, body)
        : options.type === 'merge'
          ? applyMergePatch(before, body)
          : applyStrategicPatch(before, body, kind.schema);
    const candidate = this.#read(kind, namespace, name, patched, options);
    this.#checkVersion(kind, before, candidate);
    return { object: this.#write(kind, namespace, before, candidate, options), created: false };
  }

  /**
   * Deletes as the kind and its finalizers want it; the answer is the object while it still goes, undefined once gone.
   */
  delete(kind: Kind, namespace: string, name: string, options: DeleteOptions = {}): KubeObject | undefined {
    const object = this.get(kind, namespace, name);
    const wanted = options.preconditions;
    if (wanted?.uid !== undefined && wanted.uid !== object.metadata.uid) {
      throw conflict(
        kind,
        name,
        `Precondition failed: UID in precondition: ${wanted.uid}, UID in object meta: ${object.metadata.uid}`,
      );
    }
    if (wanted?.resourceVersion !== undefined && wanted.resourceVersion !== object.metadata.resourceVersion) {
      throw conflict(
        kind,
        name,
        `Precondition failed: ResourceVersion in precondition: ${wanted.resourceVersion}, ResourceVersion in object meta: ${object.metadata.resourceVersion}`,
      );
    }
    const grace = graceOf(kind, object, options);
    const policy = options.propagationPolicy;
    const finalizers = new Set(object.metadata.finalizers ?? []);
    if (policy === 'Foreground') finalizers.add('foregroundDeletion');
    if (policy === 'Orphan') finalizers.add('orphan');
    const mustWait = finalizers.size > 0 || kind.kind === 'Namespace' || grace > 0;
    if (options.dryRun) return object;
    if (!mustWait) {
      this.store.remove(resourceKey(kind), object);
      return undefined;
    }
    if (
      object.metadata.deletionTimestamp !== undefined &&
      grace >= (object.metadata.deletionGracePeriodSeconds ?? 0)
    ) {
      return object;
    }
    const going = structuredClone(object);
    going.metadata.deletionTimestamp ??= timestamp(this.#clock.now() + grace * 1000);
    going.metadata.deletionGracePeriodSeconds = grace;
    if (kind.hasGeneration && object.metadata.deletionTimestamp === undefined) {
      going.metadata.generation = (going.metadata.generation ?? 0) + 1;
    }
    if (finalizers.size > 0) going.metadata.finalizers = [...finalizers];
    if (kind.kind === 'Namespace') Object.assign(going, { status: { phase: 'Terminating' } });
    this.store.put(resourceKey(kind), going);
    return going;
  }

  /** Takes the object out whatever its finalizers say: the last step of a deletion. */
  removeNow(kind: Kind, object: KubeObject): void {
    this.store.remove(resourceKey(kind), object);
  }

  #apply(
    kind: Kind,
    namespace: string,
    name: string,
    before: KubeObject | undefined,
    body: unknown,
    options: PatchOptions,
  ): { readonly object: KubeObject; readonly created: boolean } {
    if (options.manager === undefined || options.manager === '') {
      throw new StatusError(
        422,
        'Invalid',
        'PatchOptions.meta.k8s.io "" is invalid: fieldManager: Required value: is required for apply patch',
        { causes: [required('fieldManager', 'is required for apply patch')] },
      );
    }
    if (
      at(body, 'metadata', 'managedFields') !== undefined &&
      at(body, 'metadata', 'managedFields') !== null
    ) {
      throw badRequest('metadata.managedFields must be nil');
    }
    if (!before && options.subresource !== undefined) throw notFound(kind, name);
    const what = `${namespace === '' ? '' : `${namespace}/`}${name}; ${apiVersionOf(kind)}, Kind=${kind.kind}`;
    const shape = checkShape(kind.schema, body);
    const untyped = [
      ...shape.unknown.map((path) => `.${path}: field not declared in schema`),
      ...shape.mistyped.map(({ path, expected, found }) => `.${path}: expected ${expected}, got ${found}`),
    ];
    if (untyped.length > 0) {
      throw new StatusError(500, '', `failed to create typed patch object (${what}): ${untyped.join('\n')}`);
    }
    const config = this.#read(kind, namespace, name, body, options);
    if (options.subresource === 'status') delete config['spec'];
    else if (kind.subresources.includes('status')) delete config['status'];
    if (before) this.#checkVersion(kind, before, config);
    else if (at(config, 'metadata', 'uid') !== undefined) {
      throw conflict(
        kind,
        name,
        `uid mismatch: the provided object specified uid ${String(at(config, 'metadata', 'uid'))}, and no existing object was found`,
      );
    }
    for (const field of ['resourceVersion', 'uid', 'creationTimestamp', 'generation', 'managedFields']) {
      delete (config['metadata'] as Fields)[field];
    }
    const manager = {
      name: options.manager,
      operation: 'Apply' as const,
      apiVersion: apiVersionOf(kind),
      subresource: options.subresource ?? '',
    };
    const applied = applyTo(before, config, kind.schema, manager, {
      force: options.force ?? false,
      now: this.now(),
    });
    const object = this.#write(kind, namespace, before, applied, { ...options, applied: true });
    return { object, created: before === undefined };
  }

  /** The body as an object of this kind, with its name and namespace made to agree with the path. */
  #read(
    kind: Kind,
    namespace: string,
    name: string | undefined,
    body: unknown,
    options: WriteOptions,
  ): Fields {
    if (!isFields(body)) throw badRequest('the object provided is unrecognized (must be of type object)');
    const expected = apiVersionOf(kind);
    const stated = body['apiVersion'] ?? expected;
    if (stated !== expected) {
      throw badRequest(
        `the API version in the data (${String(stated)}) does not match the expected API version (${expected})`,
      );
    }
    if ((body['kind'] ?? kind.kind) !== kind.kind) {
      throw badRequest(
        `the kind in the data (${String(body['kind'])}) does not match the expected kind (${kind.kind})`,
      );
    }
    this.#checkFields(kind, body, options);
    const candidate = structuredClone(pruned(kind.schema, body)) as Fields;
    candidate['apiVersion'] = expected;
    candidate['kind'] = kind.kind;
    const metadata: Fields = isFields(candidate['metadata']) ? candidate['metadata'] : {};
    candidate['metadata'] = metadata;
    if (name !== undefined) {
      metadata['name'] ??= name;
      if (metadata['name'] !== name) {
        throw badRequest(
          `the name of the object (${String(metadata['name'])}) does not match the name on the URL (${name})`,
        );
      }
    }
    if (kind.namespaced) {
      metadata['namespace'] ??= namespace;
      if (metadata['namespace'] !== namespace) {
        throw badRequest(
          'the namespace of the provided object does not match the namespace sent on the request',
        );
      }
    } else delete metadata['namespace'];
    if (kind.kind === 'Secret' && isFields(candidate['stringData'])) {
      const data: Fields = isFields(candidate['data']) ? candidate['data'] : {};
      for (const [key, value] of Object.entries(candidate['stringData'])) {
        data[key] = Buffer.from(String(value)).toString('base64');
      }
      candidate['data'] = data;
      delete candidate['stringData'];
    }
    return candidate;
  }

  #checkFields(kind: Kind, body: Fields, options: WriteOptions): void {
    const shape = checkShape(kind.schema, body);
    const wrong = shape.mistyped[0];
    if (wrong) {
      if (kind.columns) {
        throw invalid(
          kind,
          String(at(body, 'metadata', 'name') ?? ''),
          shape.mistyped.map(({ path, expected, found }) => ({
            reason: 'FieldValueTypeInvalid',
            message: `Invalid value: "${found}": ${path} in body must be of type ${expected}: "${found}"`,
            field: path,
          })),
        );
      }
      throw badRequest(
        `${kind.kind} in version "${kind.version}" cannot be handled as a ${kind.kind}: json: cannot unmarshal ${wrong.found} into Go struct field ${wrong.path} of type ${wrong.expected}`,
      );
    }
    const unknown = shape.unknown.map((path) => `unknown field "${path}"`);
    if (unknown.length === 0) return;
    if (options.fieldValidation === 'Strict') {
      throw badRequest(
        `${kind.kind} in version "${kind.version}" cannot be handled as a ${kind.kind}: strict decoding error: ${unknown.join(', ')}`,
      );
    }
    if (options.fieldValidation !== 'Ignore') for (const text of unknown) options.warn?.(text);
  }

  #checkVersion(kind: Kind, before: KubeObject, candidate: Fields): void {
    const { name, uid, resourceVersion } = before.metadata;
    const stated = at(candidate, 'metadata', 'resourceVersion');
    if (stated !== undefined && stated !== '' && stated !== resourceVersion) throw conflict(kind, name);
    const statedUid = at(candidate, 'metadata', 'uid');
    if (statedUid !== undefined && statedUid !== uid) {
      throw conflict(
        kind,
        name,
        `Precondition failed: UID in precondition: ${String(statedUid)}, UID in object meta: ${uid}`,
      );
    }
  }

  /** The one path of every write: system fields, defaults, admission, validation, ownership, storage. */
  #write(
    kind: Kind,
    namespace: string,
    before: KubeObject | undefined,
    candidate: Fields,
    options: WriteOptions & { readonly applied?: boolean },
  ): KubeObject {
    const next = this.#withSystemFields(kind, before, candidate, options);
    if (kind.namespaced && before === undefined) this.#checkNamespace(kind, namespace, next);
    const object = next as unknown as KubeObject;
    addDefaults(kind, next);
    admit(kind, object, before, this.#view);
    const causes = validate(kind, next, before as unknown as Fields | undefined);
    if (causes.length > 0) throw invalid(kind, object.metadata.name, causes);
    if (before && kind.hasGeneration && !isSame(withoutMetadata(before), withoutMetadata(object))) {
      object.metadata.generation = (before.metadata.generation ?? 0) + 1;
    }
    if (options.applied !== true) {
      object.metadata.managedFields = accountForUpdate(
        before,
        object,
        kind.schema,
        {
          name: options.manager ?? 'unknown',
          operation: 'Update',
          apiVersion: apiVersionOf(kind),
          subresource: options.subresource ?? '',
        },
        this.now(),
      );
      if (object.metadata.managedFields.length === 0) delete object.metadata.managedFields;
    }
    if (before && isSame(before, object)) return before;
    if (options.dryRun) {
      object.metadata.resourceVersion = before?.metadata.resourceVersion ?? '';
      return object;
    }
    const isDone =
      before !== undefined &&
      object.metadata.deletionTimestamp !== undefined &&
      (object.metadata.finalizers ?? []).length === 0 &&
      kind.kind !== 'Namespace' &&
      (kind.kind !== 'Pod' || object.metadata.deletionGracePeriodSeconds === 0);
    if (isDone && (before.metadata.finalizers ?? []).length > 0) {
      this.store.remove(resourceKey(kind), object);
      return object;
    }
    this.store.put(resourceKey(kind), object);
    return object;
  }

  /** What a writer cannot choose: identity, times, and the half of the object that is not this endpoint's. */
  #withSystemFields(
    kind: Kind,
    before: KubeObject | undefined,
    candidate: Fields,
    options: WriteOptions,
  ): Fields {
    const stated = candidate['metadata'] as Fields;
    const hasStatus = kind.subresources.includes('status');
    if (before === undefined) {
      const {
        resourceVersion: _,
        deletionTimestamp: __,
        deletionGracePeriodSeconds: ___,
        ...metadata
      } = stated;
      const { status: ____, ...rest } = candidate;
      return {
        ...(hasStatus ? rest : candidate),
        metadata: {
          ...metadata,
          uid: randomUUID(),
          creationTimestamp: this.now(),
          resourceVersion: '',
          ...(kind.hasGeneration ? { generation: 1 } : {}),
        },
      };
    }
    const kept = before.metadata;
    const metadata: Fields = {
      ...stated,
      name: kept.name,
      uid: kept.uid,
      creationTimestamp: kept.creationTimestamp,
      resourceVersion: kept.resourceVersion,
    };
    for (const field of [
      'namespace',
      'generation',
      'deletionTimestamp',
      'deletionGracePeriodSeconds',
      'generateName',
    ] as const) {
      if (kept[field] === undefined) delete metadata[field];
      else metadata[field] = kept[field];
    }
    if (kept.deletionTimestamp !== undefined && Array.isArray(metadata['finalizers'])) {
      const old = kept.finalizers ?? [];
      metadata['finalizers'] = metadata['finalizers'].filter((name) => old.includes(String(name)));
    }
    for (const field of ['labels', 'annotations', 'finalizers', 'ownerReferences']) {
      const value = metadata[field];
      if (value !== undefined && Object.keys(value as object).length === 0) delete metadata[field];
    }
    const old = before as unknown as Fields;
    if (options.subresource === 'status') {
      const managedFields = stated['managedFields'];
      return {
        ...structuredClone(old),
        status: candidate['status'] ?? {},
        metadata: {
          ...structuredClone(old['metadata'] as Fields),
          ...(managedFields === undefined ? {} : { managedFields }),
        },
      };
    }
    const next: Fields = { ...candidate, metadata };
    if (hasStatus) {
      if (old['status'] === undefined) delete next['status'];
      else next['status'] = structuredClone(old['status']);
    }
    return next;
  }

  #checkNamespace(kind: Kind, namespace: string, object: Fields): void {
    const home = this.find(NAMESPACES, '', namespace);
    if (!home) throw notFound(NAMESPACES, namespace);
    if (home.metadata.deletionTimestamp !== undefined) {
      throw forbidden(
        kind,
        String(at(object, 'metadata', 'name')),
        `unable to create new content in namespace ${namespace} because it is being terminated`,
      );
    }
  }

  readonly #view: AdmissionView = {
    find: (kind, namespace, name) => this.find(kind, namespace, name),
    list: (kind, namespace) => this.list(kind, namespace),
  };
}

function withoutMetadata(object: KubeObject): Fields {
  const { metadata: _, status: __, ...rest } = object as KubeObject & { status?: unknown };
  return rest;
}

function graceOf(kind: Kind, object: KubeObject, options: DeleteOptions): number {
  if (kind !== PODS) return 0;
  const phase = at(object, 'status', 'phase');
  if (at(object, 'spec', 'nodeName') === undefined || phase === 'Succeeded' || phase === 'Failed') return 0;
  return options.gracePeriodSeconds ?? Number(at(object, 'spec', 'terminationGracePeriodSeconds') ?? 30);
}
