/**
 * The etcd of one cluster: objects by kind and name, one growing resource version, and the recent changes that watches
 * read. Objects live in a table of the world; the history of changes does not, so a watch from before a restart is
 * told 410, as after a compaction.
 */
import type { Table, World } from '../../world.ts';
import type { KubeObject } from '../object.ts';
import { expired } from './status-error.ts';

export interface Change {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED';
  readonly version: number;
  readonly resource: string;
  readonly object: KubeObject;
  readonly previous?: KubeObject;
}

/** Names a kind in storage whatever its version: `deployments.apps`. */
export type ResourceKey = string;

const KEPT_CHANGES = 5000;

export class ObjectStore {
  readonly #table: Table<KubeObject>;
  readonly #versions: Table<number>;
  readonly #clusterId: string;
  readonly #byResource = new Map<ResourceKey, Map<string, KubeObject>>();
  readonly #listeners = new Set<(change: Change) => void>();
  #history: Change[] = [];
  #oldest: number;

  constructor(world: World, clusterId: string) {
    this.#clusterId = clusterId;
    this.#table = world.table<KubeObject>('kubernetes/objects');
    this.#versions = world.table<number>('kubernetes/versions');
    if (!this.#versions.has(clusterId)) this.#versions.set(clusterId, 1000);
    this.#oldest = this.version;
    const prefix = `${clusterId}\n`;
    for (const [key, object] of this.#table.entries()) {
      if (!key.startsWith(prefix)) continue;
      const [resource = '', name = ''] = key.slice(prefix.length).split('\n');
      this.#of(resource).set(name, object);
    }
  }

  get version(): number {
    return this.#versions.get(this.#clusterId) ?? 0;
  }

  get isEmpty(): boolean {
    return this.#byResource.size === 0;
  }

  get(resource: ResourceKey, namespace: string, name: string): KubeObject | undefined {
    return this.#of(resource).get(`${namespace}/${name}`);
  }

  /** Sorted by namespace and name, as etcd's keys are. */
  list(resource: ResourceKey, namespace?: string): KubeObject[] {
    const prefix = `${namespace ?? ''}/`;
    return [...this.#of(resource)]
      .filter(([key]) => namespace === undefined || key.startsWith(prefix))
      .sort(([left], [right]) => (left < right ? -1 : 1))
      .map(([, object]) => object);
  }

  resources(): ResourceKey[] {
    return [...this.#byResource.keys()];
  }

  /** Stores the object under the next resource version, which is set on it; the caller hands it over. */
  put(resource: ResourceKey, object: KubeObject): void {
    const name = `${object.metadata.namespace ?? ''}/${object.metadata.name}`;
    const previous = this.#of(resource).get(name);
    const version = this.#next();
    object.metadata.resourceVersion = String(version);
    this.#of(resource).set(name, object);
    this.#table.set(`${this.#clusterId}\n${resource}\n${name}`, object);
    this.#publish({
      type: previous ? 'MODIFIED' : 'ADDED',
      version,
      resource,
      object,
      ...(previous ? { previous } : {}),
    });
  }

  remove(resource: ResourceKey, object: KubeObject): void {
    const name = `${object.metadata.namespace ?? ''}/${object.metadata.name}`;
    if (!this.#of(resource).delete(name)) return;
    this.#table.delete(`${this.#clusterId}\n${resource}\n${name}`);
    const version = this.#next();
    const last = { ...object, metadata: { ...object.metadata, resourceVersion: String(version) } };
    this.#publish({ type: 'DELETED', version, resource, object: last, previous: object });
  }

  /** Everything of this cluster goes, as when the cluster is deleted. */
  clear(): void {
    for (const resource of this.resources()) {
      for (const object of this.list(resource)) this.remove(resource, object);
    }
    this.#byResource.clear();
  }

  /** Changes after this version. Throws 410 Expired when they are no longer remembered. */
  changesSince(version: number): readonly Change[] {
    if (version < this.#oldest) throw expired(`too old resource version: ${version} (${this.#oldest})`);
    return this.#history.filter((change) => change.version > version);
  }

  subscribe(listener: (change: Change) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #of(resource: ResourceKey): Map<string, KubeObject> {
    let objects = this.#byResource.get(resource);
    if (!objects) {
      objects = new Map();
      this.#byResource.set(resource, objects);
    }
    return objects;
  }

  #next(): number {
    const version = this.version + 1;
    this.#versions.set(this.#clusterId, version);
    return version;
  }

  #publish(change: Change): void {
    this.#history.push(change);
    if (this.#history.length > KEPT_CHANGES) {
      this.#history = this.#history.slice(KEPT_CHANGES / 10);
      this.#oldest = (this.#history[0]?.version ?? this.version) - 1;
    }
    for (const listener of [...this.#listeners]) listener(change);
  }
}
