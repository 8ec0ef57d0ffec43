/**
 * External Secrets Operator: its controller brings secrets from the vault into Kubernetes Secrets, all of one
 * ExternalSecret or none; its webhook and certificate controller only have to be there. Reconciling follows
 * pkg/controllers/externalsecret and pkg/controllers/secretstore of external-secrets/external-secrets, whose two
 * controllers share their identity and their pace here; hence the length.
 */
import { createHash } from 'node:crypto';
import { type Kind, SECRETS } from '../api/kinds.ts';
import { StatusError } from '../api/status-error.ts';
import { LONGEST_SECRET_RETRY, SECRET_RETRY, START, STORE_REQUEUE, STORE_RETRY } from '../durations.ts';
import {
  at,
  type Condition,
  isSame,
  type KubeObject,
  type Secret,
  timestamp,
  withCondition,
} from '../object.ts';
import type { Process, ProcessContext } from './process.ts';
import { renderTemplate } from './secret-template.ts';
import { type AzureStore, findIdentity, vaultUrlOf } from './vault-access.ts';

const GROUP = 'external-secrets.io';
const MANAGER = 'external-secrets';
const DATA_HASH = 'reconcile.external-secrets.io/data-hash';
const MANAGED = 'reconcile.external-secrets.io/managed';
const CREATED_BY = 'reconcile.external-secrets.io/created-by';

interface SecretTemplate {
  readonly type?: string;
  readonly mergePolicy?: string;
  readonly metadata?: {
    readonly labels?: Record<string, string>;
    readonly annotations?: Record<string, string>;
  };
  readonly data?: Record<string, string>;
}

export interface ExternalSecret extends KubeObject {
  readonly spec: {
    readonly secretStoreRef?: { readonly name?: string; readonly kind?: string };
    readonly refreshPolicy?: 'CreatedOnce' | 'Periodic' | 'OnChange';
    readonly refreshInterval?: string;
    readonly target?: {
      readonly name?: string;
      readonly creationPolicy?: 'Owner' | 'Orphan' | 'Merge' | 'None';
      readonly deletionPolicy?: 'Delete' | 'Merge' | 'Retain';
      readonly template?: SecretTemplate;
    };
    readonly data?: readonly {
      readonly secretKey: string;
      readonly remoteRef: {
        readonly key: string;
        readonly version?: string;
        readonly property?: string;
        readonly decodingStrategy?: string;
      };
    }[];
  };
  status?: {
    conditions?: Condition[];
    refreshTime?: string;
    syncedResourceVersion?: string;
    binding?: { name: string };
  };
}

interface StoreObject extends AzureStore {
  status?: { conditions?: Condition[]; capabilities?: string };
}

/** A failure to bring a secret over, in ESO's words. */
class SyncError extends Error {}

export function startExternalSecrets(context: ProcessContext): Process {
  const role = context.container.args?.[0];
  if (role === 'webhook') return new Listener(context, [10250, 8081]);
  if (role === 'certcontroller') return new Listener(context, [8081]);
  return new Operator(context);
}

/** The webhook and the certificate controller: up after a moment, and that is all one sees of them. */
class Listener implements Process {
  readonly #ports: readonly number[];
  #isUp: boolean;

  constructor(context: ProcessContext, ports: readonly number[]) {
    this.#ports = ports;
    this.#isUp = context.isResumed;
    if (this.#isUp) return;
    context.after(START['external-secrets'], () => {
      this.#isUp = true;
      context.changed();
    });
  }

  status(port: number): number | undefined {
    return this.listens(port) ? 200 : undefined;
  }

  listens(port: number): boolean {
    return this.#isUp && this.#ports.includes(port);
  }

  stop(): void {
    this.#isUp = false;
  }
}

class Operator implements Process {
  readonly #context: ProcessContext;
  readonly #failures = new Map<string, { count: number; retryAt: number }>();
  #isUp = false;
  #nextAt = Number.POSITIVE_INFINITY;
  #isLooking = false;

  constructor(context: ProcessContext) {
    this.#context = context;
    context.after(context.isResumed ? 0 : START['external-secrets'], () => {
      this.#isUp = true;
      context.log('{"level":"info","logger":"setup","msg":"starting manager"}');
      context.changed();
      this.#reconcile();
    });
  }

  status(port: number): number | undefined {
    return this.listens(port) ? 200 : undefined;
  }

  listens(port: number): boolean {
    return this.#isUp && (port === 8080 || port === 8082);
  }

  lookAgain(): void {
    if (!this.#isUp || this.#isLooking) return;
    this.#isLooking = true;
    // Its watches hear of a change a moment later, not within it.
    this.#context.after(0, () => {
      this.#isLooking = false;
      this.#reconcile();
    });
  }

  stop(): void {
    this.#isUp = false;
  }

  #reconcile(): void {
    if (!this.#isUp) return;
    for (const plural of ['secretstores', 'clustersecretstores']) {
      const kind = this.#kind(plural);
      for (const store of kind ? this.#context.api.list<StoreObject>(kind) : [])
        if (kind) this.#validate(kind, store);
    }
    const kind = this.#kind('externalsecrets');
    if (!kind) return;
    for (const secret of this.#context.api.list<ExternalSecret>(kind)) {
      if (secret.metadata.deletionTimestamp === undefined) this.#refresh(kind, secret);
    }
  }

  #kind(plural: string): Kind | undefined {
    return this.#context.api.kindOf(GROUP, 'v1', plural);
  }

  #wakeAt(at: number): void {
    if (at >= this.#nextAt) return;
    this.#nextAt = at;
    this.#context.after(Math.max(0, at - this.#context.clock.now()), () => {
      // An earlier look has taken its place, and has set the next one; otherwise each would live on beside it.
      if (this.#nextAt !== at) return;
      this.#nextAt = Number.POSITIVE_INFINITY;
      this.#reconcile();
    });
  }

  /** A store is looked at when it changes and every few minutes. */
  #validate(kind: Kind, store: StoreObject): void {
    const { api, clock, events } = this.#context;
    const now = clock.now();
    const key = `store ${store.metadata.uid}`;
    const last = this.#failures.get(key);
    const isNew = store.status?.conditions?.[0] === undefined;
    const generation = store.metadata.generation ?? 0;
    if (!isNew && last?.count === generation && now < last.retryAt) {
      this.#wakeAt(last.retryAt);
      return;
    }
    const identity = this.#identityOf(store);
    const condition: Condition = identity.ok
      ? { type: 'Ready', status: 'True', reason: 'Valid', message: 'store validated' }
      : {
          type: 'Ready',
          status: 'False',
          reason: 'InvalidProviderConfig',
          message: `unable to create client: ${identity.reason}`,
        };
    const before = store.status?.conditions?.find(({ type }) => type === 'Ready');
    if (before?.status !== condition.status || before.message !== condition.message) {
      events.record(
        store,
        identity.ok ? 'Normal' : 'Warning',
        condition.reason ?? '',
        condition.message ?? '',
        {
          component: 'secret-store',
        },
      );
    }
    api.changeStatus(
      kind,
      store,
      (draft) => {
        draft.status = {
          capabilities: 'ReadWrite',
          conditions: withCondition(draft.status?.conditions, condition, timestamp(now)),
        };
      },
      MANAGER,
    );
    // A store that does not work is tried again sooner.
    const retryAt = now + (identity.ok ? STORE_REQUEUE : STORE_RETRY);
    this.#failures.set(key, { count: generation, retryAt });
    this.#wakeAt(retryAt);
  }

  #identityOf(store: AzureStore): ReturnType<typeof findIdentity> {
    const { neighbours, pod, clusterId } = this.#context;
    const pool = this.#context.nodePool(pod.spec.nodeName);
    const cluster = neighbours.clusters.list().find(({ id }) => id.toLowerCase() === clusterId);
    return findIdentity(store, pool, cluster?.kubelet.clientId ?? '', neighbours);
  }

  #refresh(kind: Kind, secret: ExternalSecret): void {
    const { api, clock } = this.#context;
    const now = clock.now();
    const interval = parseDuration(secret.spec.refreshInterval ?? '1h');
    const failed = this.#failures.get(secret.metadata.uid);
    const version = versionOf(secret);
    const isFresh = !this.#shouldRefresh(secret, version, interval, now);
    if (isFresh) {
      if (interval > 0 && isPeriodic(secret)) this.#wakeAt(refreshedAt(secret) + interval);
      return;
    }
    const key = `${version} ${secret.metadata.uid}`;
    if (failed && now < failed.retryAt && this.#failedVersions.get(secret.metadata.uid) === key) {
      this.#wakeAt(failed.retryAt);
      return;
    }
    try {
      const name = this.#sync(secret);
      this.#failures.delete(secret.metadata.uid);
      api.changeStatus(
        kind,
        secret,
        (draft) => {
          draft.status = {
            ...draft.status,
            refreshTime: timestamp(now),
            syncedResourceVersion: version,
            binding: { name },
            conditions: withCondition(
              draft.status?.conditions,
              { type: 'Ready', status: 'True', reason: 'SecretSynced', message: 'secret synced' },
              timestamp(now),
            ),
          };
        },
        MANAGER,
      );
      if (interval > 0 && isPeriodic(secret)) this.#wakeAt(now + interval);
    } catch (error) {
      if (!(error instanceof SyncError) && !(error instanceof StatusError)) throw error;
      this.#fail(kind, secret, key, error.message);
    }
  }

  readonly #failedVersions = new Map<string, string>();

  #fail(kind: Kind, secret: ExternalSecret, key: string, message: string): void {
    const { api, clock, events } = this.#context;
    const now = clock.now();
    const isSame = this.#failedVersions.get(secret.metadata.uid) === key;
    const count = (isSame ? (this.#failures.get(secret.metadata.uid)?.count ?? 0) : 0) + 1;
    const retryAt = now + Math.min(SECRET_RETRY * 2 ** (count - 1), LONGEST_SECRET_RETRY);
    this.#failures.set(secret.metadata.uid, { count, retryAt });
    this.#failedVersions.set(secret.metadata.uid, key);
    this.#wakeAt(retryAt);
    this.#context.log(
      `{"level":"error","logger":"controllers.ExternalSecret","msg":"Reconciler error","ExternalSecret":"${secret.metadata.namespace}/${secret.metadata.name}"}`,
    );
    events.record(secret, 'Warning', 'UpdateFailed', message, { component: 'external-secrets' });
    api.changeStatus(
      kind,
      secret,
      (draft) => {
        draft.status = {
          ...draft.status,
          conditions: withCondition(
            draft.status?.conditions,
            { type: 'Ready', status: 'False', reason: 'SecretSyncedError', message },
            timestamp(now),
          ),
        };
      },
      MANAGER,
    );
  }

  #shouldRefresh(secret: ExternalSecret, version: string, interval: number, now: number): boolean {
    if (!this.#targetIsIntact(secret)) return true;
    const { syncedResourceVersion } = secret.status ?? {};
    if (syncedResourceVersion === undefined || secret.status?.refreshTime === undefined) return true;
    switch (secret.spec.refreshPolicy) {
      case 'CreatedOnce':
        return false;
      case 'OnChange':
        return syncedResourceVersion !== version;
      default:
        if (syncedResourceVersion !== version) return true;
        return interval > 0 && now >= refreshedAt(secret) + interval;
    }
  }

  #targetIsIntact(secret: ExternalSecret): boolean {
    if (secret.spec.target?.creationPolicy === 'None') return true;
    const target = this.#context.api.find<Secret>(
      SECRETS,
      secret.metadata.namespace ?? '',
      targetName(secret),
    );
    if (!target) return false;
    return target.metadata.annotations?.[DATA_HASH] === hashOf(target.data ?? {});
  }

  /** Fetches everything, then writes the Secret if its content differs; the answer is the Secret's name. */
  #sync(secret: ExternalSecret): string {
    const { neighbours } = this.#context;
    const store = this.#usableStore(secret);
    const identity = this.#identityOf(store);
    const values: Record<string, string> = {};
    for (const [index, { secretKey, remoteRef }] of (secret.spec.data ?? []).entries()) {
      const where = `error processing spec.data[${index}] (key: ${remoteRef.key}), err:`;
      if (!identity.ok) {
        throw new SyncError(
          `${where} keyvault.BaseClient#GetSecret: Failure preparing request: StatusCode=400 -- Original Error: azure.BearerAuthorizer#WithAuthorization: Failed to refresh the Token for request to ${vaultUrlOf(store)}: ${identity.reason}`,
        );
      }
      const name = remoteRef.key.replace(/^secret\//, '');
      const read = neighbours.vaults.readSecret(
        vaultUrlOf(store),
        name,
        identity.principal.id,
        remoteRef.version,
      );
      if (!read.ok) {
        throw new SyncError(
          read.code === 'SecretNotFound'
            ? `${where} Secret does not exist`
            : `${where} keyvault.BaseClient#GetSecret: Failure responding to request: Code="${read.code}" Message="${read.reason}"`,
        );
      }
      values[secretKey] = decode(propertyOf(read.value, remoteRef.property), remoteRef.decodingStrategy);
    }
    if ((secret.spec.data ?? []).length === 0)
      throw new SyncError('either data or dataFrom should be specified');
    return this.#write(secret, values);
  }

  #usableStore(secret: ExternalSecret): AzureStore {
    const { name = '', kind = 'SecretStore' } = secret.spec.secretStoreRef ?? {};
    const plural = kind === 'ClusterSecretStore' ? 'clustersecretstores' : 'secretstores';
    const storeKind = this.#kind(plural);
    const store =
      storeKind && this.#context.api.find<StoreObject>(storeKind, secret.metadata.namespace ?? '', name);
    if (!store) {
      throw new SyncError(`could not get ${kind} "${name}", ${plural}.${GROUP} "${name}" not found`);
    }
    const ready = store.status?.conditions?.find(({ type }) => type === 'Ready');
    if (ready?.status !== 'True')
      throw new SyncError(
        `error retrieving secret: ${kind} "${name}" is not ready: ${ready?.message ?? 'not validated yet'}`,
      );
    return store;
  }

  #write(secret: ExternalSecret, values: Readonly<Record<string, string>>): string {
    const { api, events } = this.#context;
    const { target } = secret.spec;
    const name = targetName(secret);
    const policy = target?.creationPolicy ?? 'Owner';
    if (policy === 'None') return name;
    const namespace = secret.metadata.namespace ?? '';
    const known = api.find<Secret>(SECRETS, namespace, name);
    if (policy === 'Merge' && !known)
      throw new SyncError(
        `the desired secret ${name} was not found. With creationPolicy=Merge the secret won't be created`,
      );
    const owner = known?.metadata.ownerReferences?.find(
      ({ kind, controller }) => kind === 'ExternalSecret' && controller,
    );
    if (owner && owner.uid !== secret.metadata.uid) {
      throw new SyncError(`target is owned by another ExternalSecret: ${owner.name}`);
    }
    const wanted = encodedData(target?.template, values);
    const data = policy === 'Merge' ? { ...known?.data, ...wanted } : wanted;
    // Without a template the ExternalSecret's own metadata is copied (setMetadata); what is no longer said goes.
    const said = target?.template ? target.template.metadata : secret.metadata;
    const annotations = {
      ...notOurs(known, 'annotations'),
      ...said?.annotations,
      [DATA_HASH]: hashOf(data),
    };
    const labels = {
      ...notOurs(known, 'labels'),
      ...said?.labels,
      [MANAGED]: 'true',
      ...(policy === 'Owner'
        ? { [CREATED_BY]: hashOf({ name: `${namespace}/${secret.metadata.name}` }) }
        : {}),
    };
    const ownerReferences = [
      {
        apiVersion: `${GROUP}/v1`,
        kind: 'ExternalSecret',
        name: secret.metadata.name,
        uid: secret.metadata.uid,
        controller: true,
        blockOwnerDeletion: true,
      },
    ];
    const owned = policy === 'Owner' ? { ownerReferences } : {};
    if (!known) {
      const type = target?.template?.type ?? 'Opaque';
      api.create(
        SECRETS,
        namespace,
        { metadata: { name, labels, annotations, ...owned }, type, data },
        { manager: MANAGER },
      );
      events.record(secret, 'Normal', 'Created', 'secret created', { component: 'external-secrets' });
      return name;
    }
    if (
      isSame(known.data ?? {}, data) &&
      isSame(known.metadata.annotations, annotations) &&
      isSame(known.metadata.labels, labels)
    ) {
      return name;
    }
    api.change(
      SECRETS,
      known,
      (draft) => {
        draft.data = data;
        Object.assign(draft.metadata, { labels, annotations, ...owned });
      },
      { manager: MANAGER },
    );
    events.record(secret, 'Normal', 'Updated', 'secret updated', { component: 'external-secrets' });
    return name;
  }
}

/** Labels or annotations that others have put on the Secret. */
function notOurs(known: Secret | undefined, field: 'labels' | 'annotations'): Record<string, string> {
  const owned = (known?.metadata.managedFields ?? [])
    .filter(({ manager }) => manager === MANAGER)
    .map(({ fieldsV1 }) => at(fieldsV1, 'f:metadata', `f:${field}`));
  return Object.fromEntries(
    Object.entries(known?.metadata[field] ?? {}).filter(
      ([name]) => !owned.some((fields) => at(fields, `f:${name}`) !== undefined),
    ),
  );
}

export function targetName(secret: ExternalSecret): string {
  return secret.spec.target?.name ?? secret.metadata.name;
}

function isPeriodic(secret: ExternalSecret): boolean {
  return secret.spec.refreshPolicy === undefined || secret.spec.refreshPolicy === 'Periodic';
}

function refreshedAt(secret: ExternalSecret): number {
  return Date.parse(secret.status?.refreshTime ?? '') || 0;
}

/** `<generation>-<hash of labels and annotations>`: any change of an annotation asks for a refresh. */
function versionOf(secret: ExternalSecret): string {
  const { generation = 0, labels = {}, annotations = {} } = secret.metadata;
  return `${generation}-${createHash('sha3-224').update(JSON.stringify({ annotations, labels })).digest('hex')}`;
}

function hashOf(data: Readonly<Record<string, string>>): string {
  const sorted = Object.entries(data).sort(([left], [right]) => (left < right ? -1 : 1));
  return createHash('sha3-224').update(JSON.stringify(sorted)).digest('hex');
}

function encodedData(
  template: SecretTemplate | undefined,
  values: Readonly<Record<string, string>>,
): Record<string, string> {
  const rendered = Object.entries(template?.data ?? {}).map(([key, text]) => {
    const result = renderTemplate(text, values);
    if ('error' in result)
      throw new SyncError(
        `could not apply template: unable to execute template at key ${key}: ${result.error}`,
      );
    return [key, result.text] as const;
  });
  const keepsValues = template?.data === undefined || template.mergePolicy === 'Merge';
  const all = { ...(keepsValues ? values : {}), ...Object.fromEntries(rendered) };
  return Object.fromEntries(
    Object.entries(all).map(([key, value]) => [key, Buffer.from(value).toString('base64')]),
  );
}

function propertyOf(value: string, property: string | undefined): string {
  if (property === undefined || property === '') return value;
  try {
    const parsed: unknown = JSON.parse(value);
    const found =
      typeof parsed === 'object' && parsed !== null
        ? (parsed as Record<string, unknown>)[property]
        : undefined;
    if (found !== undefined) return typeof found === 'string' ? found : JSON.stringify(found);
  } catch {
    // Falls through: a value that is not JSON has no properties.
  }
  throw new SyncError(`property ${property} does not exist in key`);
}

function decode(value: string, strategy: string | undefined): string {
  if (strategy === 'Base64' || strategy === 'Base64URL')
    return Buffer.from(value, strategy === 'Base64' ? 'base64' : 'base64url').toString();
  return value;
}

/** Go durations: `1h0m0s`, `30s`, `0`. */
export function parseDuration(text: string): number {
  const units: Readonly<Record<string, number>> = { h: 3_600_000, m: 60_000, s: 1000, ms: 1 };
  return [...text.matchAll(/(\d+(?:\.\d+)?)(ms|h|m|s)/g)].reduce(
    (sum, [, number, unit]) => sum + Number(number) * (units[unit ?? ''] ?? 0),
    0,
  );
}
