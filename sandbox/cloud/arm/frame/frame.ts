/** What ARM is for every provider: resources, operations, types, rights. Providers reach each other through it. */
import { randomUUID } from 'node:crypto';
import type { Neighbours } from '../../neighbours.ts';
import type { World } from '../../world.ts';
import type { Rights } from '../rights.ts';
import { AKS_PROVIDER_APP_ID, type Cause, reportChange } from './audit.ts';
import { Catalogue } from './catalogue.ts';
import { type Json, memberAt, withMember } from './json.ts';
import { Operations } from './operations.ts';
import type { Stored } from './resource-type.ts';
import { ResourceStore } from './store.ts';

/** Whom ARM asks; read when a call is answered, never while the services are being composed. */
export type ArmNeighbours = Pick<
  Neighbours,
  'directory' | 'vaults' | 'registries' | 'kubernetes' | 'certificates'
>;

/** AKS's own calls, and so the events about them, have `resourcegroups` in lower case. */
const asProviderSpells = (id: string): string => id.replace('/resourceGroups/', '/resourcegroups/');

export class Frame {
  readonly world: World;
  readonly neighbours: ArmNeighbours;
  readonly store: ResourceStore;
  readonly operations: Operations;
  readonly catalogue: Catalogue;
  readonly rights: Rights;

  constructor(world: World, neighbours: ArmNeighbours, createRights: (frame: Frame) => Rights) {
    this.world = world;
    this.neighbours = neighbours;
    this.store = new ResourceStore(world);
    this.operations = new Operations(this);
    this.catalogue = new Catalogue(this);
    this.rights = createRights(this);
  }

  get subscriptionScope(): string {
    return `/subscriptions/${this.world.settings.subscriptionId}`;
  }

  /** A resource as a GET answers it. */
  show(stored: Stored): Json {
    const type = this.catalogue.typeOf(stored.type);
    return {
      id: stored.id,
      name: stored.name,
      type: stored.type,
      ...(type.etag ? { etag: `W/"${stored.etag}"` } : {}),
      ...(type.show?.(this, stored) ?? stored.body),
    };
  }

  stateOf(stored: Stored): unknown {
    const words = this.catalogue.typeOf(stored.type).state;
    return words ? memberAt(stored.body, words.path) : undefined;
  }

  isReady(stored: Stored | undefined): boolean {
    return stored !== undefined && stored.operationId === undefined;
  }

  /** What a resource provider does by itself in somebody's subscription: no rights are asked, the event is sent. */
  putAsProvider(id: string, type: string, content: { body: Json; hidden?: Json }): Stored {
    const words = this.catalogue.typeOf(type).state;
    const body = words ? withMember(content.body, words.path, words.succeeded) : content.body;
    const stored = this.store.put(id, type, { ...content, body });
    reportChange(
      this.world,
      this.#providerCause('PUT', `${type}/write`, id),
      asProviderSpells(stored.id),
      'Success',
    );
    return stored;
  }

  /** The resource and everything in it, gone now, with all that follows from it. */
  removeNow(id: string, exceptOperation?: string): undefined | Promise<undefined> {
    const root = this.store.get(id);
    const doomed = [...this.store.within(id), ...(root ? [root] : [])];
    const waits: Promise<void>[] = [];
    for (const stored of doomed) {
      // Removing one resource can have removed another of the list.
      if (!this.store.get(stored.id)) continue;
      if (stored.operationId !== undefined && stored.operationId !== exceptOperation) {
        this.operations.cancel(stored.operationId);
      }
      this.store.delete(stored.id);
      const wait = this.catalogue.typeOf(stored.type).gone?.(this, stored);
      if (wait !== undefined) waits.push(wait);
    }
    return waits.length === 0 ? undefined : Promise.all(waits).then(() => undefined);
  }

  removeAsProvider(id: string): undefined | Promise<undefined> {
    const stored = this.store.get(id);
    if (!stored) return undefined;
    const removed = this.removeNow(id);
    reportChange(
      this.world,
      this.#providerCause('DELETE', `${stored.type}/delete`, id),
      asProviderSpells(stored.id),
      'Success',
    );
    return removed;
  }

  #providerCause(method: string, action: string, id: string): Cause {
    return {
      principalId: AKS_PROVIDER_APP_ID,
      appId: AKS_PROVIDER_APP_ID,
      principalKind: 'service-principal',
      correlationId: randomUUID(),
      clientRequestId: randomUUID(),
      method,
      url: `https://management.azure.com${id}`,
      action,
    };
  }
}
