/**
 * The chain from a Service of the cluster down to the login, judged link by link against the world as it is now: not
 * against what pods found when they started, and not against what was last synced. Each link names its own first cause.
 * Ten links with one paragraph each make this file long.
 */
import type { Cluster, Principal, SiteLink, SiteLinkName } from '../neighbours.ts';
import { DEFAULT_NAMESPACE } from './answer.ts';
import { DEPLOYMENTS, PERSISTENT_VOLUMES, PODS, SECRETS, SERVICES } from './api/kinds.ts';
import { printPodStatus } from './api/table.ts';
import type { KubernetesCluster } from './cluster.ts';
import type { KubernetesNeighbours } from './controllers/controller.ts';
import { nodeNamesOf } from './controllers/nodes.ts';
import { environmentOf } from './controllers/pod-environment.ts';
import { mountShare, volumeOfClaim } from './controllers/pod-volumes.ts';
import { selectedPods, servesTraffic } from './controllers/services.ts';
import type { Container, Deployment, PersistentVolume, Pod, Service } from './object.ts';
import { type ExternalSecret, targetName } from './processes/external-secrets.ts';
import { uses } from './processes/reloader.ts';
import { type AzureStore, findIdentity, vaultUrlOf } from './processes/vault-access.ts';

const ORDER: readonly SiteLinkName[] = [
  'service',
  'pods',
  'images',
  'secrets',
  'identity',
  'role',
  'database',
  'share',
  'ollama',
  'login',
];
const DATA_DIRECTORY = '/app/backend/data';
/** Codes of a vault that is there and refuses the caller, not the secret. */
const REFUSALS = new Set([
  'Forbidden',
  'ForbiddenByRbac',
  'ForbiddenByPolicy',
  'ForbiddenByFirewall',
  'AccessDenied',
  'Unauthorized',
]);

type Judgement = { readonly ok: boolean; readonly why: string };

const holds = (why: string): Judgement => ({ ok: true, why });
const breaks = (why: string): Judgement => ({ ok: false, why });

export async function linksOf(
  cluster: KubernetesCluster | undefined,
  neighbours: KubernetesNeighbours,
  serviceUrl: string | undefined,
): Promise<readonly SiteLink[]> {
  const resource = cluster?.resource;
  if (!cluster || !resource) return ORDER.map((name) => ({ name, ...breaks('There is no such cluster.') }));
  if (!resource.isRunning) {
    return ORDER.map((name) => ({ name, ...breaks(`The cluster ${resource.name} is stopped.`) }));
  }
  const stack = new Stack(cluster, resource, neighbours, serviceUrl);
  return Promise.all(ORDER.map(async (name) => ({ name, ...(await stack.judge(name)) })));
}

/** What a failed look into the vault means for the link that looked. */
type VaultValue = { readonly value: string } | { readonly code: string; readonly reason: string };

class Stack {
  readonly #cluster: KubernetesCluster;
  readonly #resource: Cluster;
  readonly #neighbours: KubernetesNeighbours;
  readonly #namespace: string;
  readonly #serviceName: string;
  readonly #port: number;

  constructor(
    cluster: KubernetesCluster,
    resource: Cluster,
    neighbours: KubernetesNeighbours,
    serviceUrl: string | undefined,
  ) {
    this.#cluster = cluster;
    this.#resource = resource;
    this.#neighbours = neighbours;
    const url = serviceUrl === undefined ? null : URL.parse(serviceUrl);
    const [name, namespace] = url?.hostname.split('.') ?? [];
    this.#serviceName = name || 'open-webui';
    this.#namespace = namespace ?? this.#likelyNamespace();
    this.#port = Number(url?.port || 80);
  }

  /** Where the application is: its Service, or when that has gone its Deployment. */
  #likelyNamespace(): string {
    const { api } = this.#cluster;
    const found = [...api.list(SERVICES), ...api.list(DEPLOYMENTS)].find(
      ({ metadata }) => metadata.name === this.#serviceName,
    );
    return found?.metadata.namespace ?? DEFAULT_NAMESPACE;
  }

  judge(link: SiteLinkName): Judgement | Promise<Judgement> {
    switch (link) {
      case 'service':
        return this.#service();
      case 'pods':
        return this.#pods();
      case 'images':
        return this.#images();
      case 'secrets':
        return this.#secrets();
      case 'identity':
        return this.#identity();
      case 'role':
        return this.#role();
      case 'database':
        return this.#database();
      case 'share':
        return this.#share();
      case 'ollama':
        return this.#ollama();
      case 'login':
        return this.#login();
      default:
        return breaks('This link is not the cluster’s to judge.');
    }
  }

  #workloads(): Deployment[] {
    return this.#cluster.api.list<Deployment>(DEPLOYMENTS, this.#namespace);
  }

  /** The Deployment of Open WebUI, by its name or by its image. */
  #application(): { readonly deployment: Deployment; readonly container: Container } | undefined {
    for (const deployment of this.#workloads()) {
      const containers = deployment.spec.template.spec?.containers ?? [];
      const container =
        containers.find(({ image }) => /open-?webui(?=[:@]|$)/.test(image ?? '')) ??
        (deployment.metadata.name === this.#serviceName ? containers[0] : undefined);
      if (container) return { deployment, container };
    }
    return undefined;
  }

  #podsOf(deployment: Deployment): Pod[] {
    const labels = deployment.spec.selector.matchLabels ?? {};
    return this.#cluster.api
      .list<Pod>(PODS, this.#namespace)
      .filter(({ metadata }) =>
        Object.entries(labels).every(([key, value]) => metadata.labels?.[key] === value),
      );
  }

  #environment(): { readonly env: Readonly<Record<string, string>> } | { readonly missing: string } {
    const application = this.#application();
    if (!application)
      return { missing: `There is no Deployment of Open WebUI in namespace ${this.#namespace}.` };
    const { deployment, container } = application;
    const pod = { ...deployment, spec: deployment.spec.template.spec } as unknown as Pod;
    const found = environmentOf(this.#cluster.api, pod, container);
    return 'missing' in found
      ? { missing: `The settings of Open WebUI are incomplete: ${found.missing}.` }
      : found;
  }

  #vnetId(): string {
    const node = this.#application()?.deployment.spec.template.spec?.nodeSelector?.['agentpool'];
    const pool = this.#resource.nodePools.find(({ name }) => name === node) ?? this.#resource.nodePools[0];
    return pool?.vnetId ?? '';
  }

  #service(): Judgement {
    const { api, network } = this.#cluster;
    const where = `${this.#serviceName} in namespace ${this.#namespace}`;
    const service = api.find<Service>(SERVICES, this.#namespace, this.#serviceName);
    if (!service) return breaks(`There is no Service ${where}.`);
    const port = service.spec.ports?.find((one) => one.port === this.#port);
    if (!port) return breaks(`The Service ${where} has no port ${this.#port}.`);
    const application = this.#application();
    const pods = selectedPods(api, service);
    if (application && pods.length === 0 && this.#podsOf(application.deployment).some(servesTraffic)) {
      return breaks(
        `The Service ${where} selects none of the pods of ${application.deployment.metadata.name}.`,
      );
    }
    const ready = pods.filter(servesTraffic);
    const endpoints = network.endpoints(service, String(this.#port));
    if (ready.length > 0 && !endpoints.some((one) => network.listener(one.pod, one.port))) {
      return breaks(
        `The Service ${where} leads to port ${String(port.targetPort ?? port.port)}, where nothing listens.`,
      );
    }
    return holds(`The Service ${where} listens on port ${this.#port}.`);
  }

  #pods(): Judgement {
    const application = this.#application();
    if (!application) return breaks(`There is no Deployment of Open WebUI in namespace ${this.#namespace}.`);
    const { name } = application.deployment.metadata;
    const pods = this.#podsOf(application.deployment);
    const ready = pods.filter(servesTraffic).length;
    if (ready > 0)
      return holds(`${ready} of ${application.deployment.spec.replicas ?? 1} pods of ${name} are ready.`);
    const [pod] = pods;
    if (!pod) return breaks(`The Deployment ${name} has no pods.`);
    const unscheduled = pod.status?.conditions?.find(
      ({ type, status }) => type === 'PodScheduled' && status === 'False',
    );
    const waiting = pod.status?.containerStatuses?.find(({ state }) => state?.waiting)?.state?.waiting;
    const detail = unscheduled?.message ?? waiting?.message;
    return breaks(
      `No pod of ${name} is ready; ${pod.metadata.name} is ${printPodStatus(pod)}${detail ? `: ${detail}` : ''}.`,
    );
  }

  #images(): Judgement {
    const images = new Set(
      this.#workloads().flatMap(({ spec }) =>
        [...(spec.template.spec?.containers ?? []), ...(spec.template.spec?.initContainers ?? [])].map(
          ({ image }) => image ?? '',
        ),
      ),
    );
    if (images.size === 0) return breaks(`Nothing in namespace ${this.#namespace} names an image.`);
    for (const image of images) {
      const pulled = this.#neighbours.registries.pull(image, this.#resource.kubelet.principalId);
      if (!pulled.ok) return breaks(`The nodes cannot pull ${image}: ${pulled.reason}.`);
    }
    return holds(`The nodes can pull all ${images.size} images.`);
  }

  /** Those whose Secret a workload or volume takes; what only a pod takes that runs once is no link of the site. */
  #externalSecrets(): ExternalSecret[] {
    const { api } = this.#cluster;
    const kind = api.kindOf('external-secrets.io', 'v1', 'externalsecrets');
    const volumes = api.list<PersistentVolume>(PERSISTENT_VOLUMES);
    const isTaken = (secret: string): boolean =>
      this.#workloads().some(({ spec }) => uses(spec.template.spec, 'SECRET', secret)) ||
      volumes.some(({ spec }) => spec.csi?.nodeStageSecretRef?.name === secret);
    const all = kind ? api.list<ExternalSecret>(kind, this.#namespace) : [];
    return all.filter((one) => isTaken(targetName(one)));
  }

  #stores(): AzureStore[] {
    const { api } = this.#cluster;
    const kinds = ['secretstores', 'clustersecretstores'].map((plural) =>
      api.kindOf('external-secrets.io', 'v1', plural),
    );
    const used = new Set(this.#externalSecrets().map(({ spec }) => spec.secretStoreRef?.name));
    return kinds
      .flatMap((kind) => (kind ? api.list<AzureStore>(kind, this.#namespace) : []))
      .filter(({ metadata }) => used.has(metadata.name));
  }

  #secrets(): Judgement {
    const { api } = this.#cluster;
    const all = this.#externalSecrets();
    if (all.length === 0) return breaks(`There are no ExternalSecrets in namespace ${this.#namespace}.`);
    for (const one of all) {
      const { name } = one.metadata;
      const ready = one.status?.conditions?.find(({ type }) => type === 'Ready');
      if (ready?.status !== 'True')
        return breaks(
          `The ExternalSecret ${name} is not synced: ${ready?.message ?? 'nobody has looked at it yet'}.`,
        );
      if (!api.find(SECRETS, this.#namespace, targetName(one)))
        return breaks(`The Secret ${targetName(one)} does not exist.`);
      for (const { remoteRef } of one.spec.data ?? []) {
        const found = this.#vaultValue(one, remoteRef.key, remoteRef.version);
        if ('code' in found && !REFUSALS.has(found.code)) {
          return breaks(`The next sync of ${name} will fail on ${remoteRef.key}: ${found.reason}.`);
        }
      }
    }
    // An ExternalSecret that is gone takes its Secret along; whoever needs that is the one to tell.
    for (const deployment of this.#workloads()) {
      for (const container of deployment.spec.template.spec?.containers ?? []) {
        const pod = { ...deployment, spec: deployment.spec.template.spec } as unknown as Pod;
        const found = environmentOf(api, pod, container);
        if ('missing' in found && /^secret |Secret /.test(found.missing))
          return breaks(`${deployment.metadata.name} lacks a secret: ${found.missing}.`);
      }
    }
    return holds(`All ${all.length} ExternalSecrets are synced.`);
  }

  #operatorPod(): Pod | undefined {
    return this.#cluster.kubelet
      .running()
      .find(
        ({ software, pod }) =>
          software === 'external-secrets' &&
          !['webhook', 'certcontroller'].includes(pod.spec.containers[0]?.args?.[0] ?? ''),
      )?.pod;
  }

  #identity(): Judgement {
    const [first, ...others] = this.#stores();
    if (!first) return breaks(`No SecretStore is used in namespace ${this.#namespace}.`);
    const pod = this.#operatorPod();
    if (!pod) return breaks('External Secrets is not running, so nobody signs in to the vault.');
    const pool = this.#resource.nodePools.find((one) => nodeNamesOf(one).includes(pod.spec.nodeName ?? ''));
    for (const store of [first, ...others]) {
      const found = findIdentity(store, pool, this.#resource.kubelet.clientId, this.#neighbours);
      const id = store.spec.provider.azurekv?.identityId ?? 'none';
      if (!found.ok) {
        return breaks(
          `The identity ${id} of SecretStore ${store.metadata.name} is not on the scale set ${pool?.vmssName ?? 'of no pool'} where External Secrets runs: ${found.reason}.`,
        );
      }
    }
    return holds(
      `The SecretStore's identity is on the scale set ${pool?.vmssName} where External Secrets runs.`,
    );
  }

  #principalOf(store: AzureStore | undefined): Principal | undefined {
    const id = store?.spec.provider.azurekv?.identityId;
    return id === undefined ? undefined : this.#neighbours.directory.findPrincipalByAppId(id);
  }

  /** What the next sync would bring for a key of the vault, whether or not the node has the identity. */
  #vaultValue(secret: ExternalSecret, key: string, version?: string): VaultValue {
    const store = this.#stores().find(({ metadata }) => metadata.name === secret.spec.secretStoreRef?.name);
    const principal = this.#principalOf(store);
    if (!store || !principal)
      return { code: 'Unauthorized', reason: 'the SecretStore names no identity that exists' };
    const read = this.#neighbours.vaults.readSecret(vaultUrlOf(store), key, principal.id, version);
    return read.ok ? { value: read.value } : { code: read.code, reason: read.reason };
  }

  #role(): Judgement {
    const all = this.#externalSecrets();
    if (all.length === 0) return breaks(`There are no ExternalSecrets in namespace ${this.#namespace}.`);
    for (const one of all) {
      for (const { remoteRef } of one.spec.data ?? []) {
        const found = this.#vaultValue(one, remoteRef.key, remoteRef.version);
        if ('code' in found && REFUSALS.has(found.code)) {
          return breaks(
            `The SecretStore's identity may not read ${remoteRef.key} from the vault: ${found.reason}`,
          );
        }
      }
    }
    return holds('The SecretStore’s identity may read the vault’s secrets.');
  }

  /** The value that the next sync would bring for an environment variable of Open WebUI that comes from a Secret. */
  #comingValue(name: string): string | undefined {
    const container = this.#application()?.container;
    const reference = container?.env?.find((entry) => entry.name === name)?.valueFrom?.secretKeyRef;
    const sources = reference
      ? [{ secret: reference.name, key: reference.key }]
      : (container?.envFrom ?? []).map(({ secretRef }) => ({ secret: secretRef?.name, key: name }));
    for (const { secret, key } of sources) {
      const value = this.#comingSecretValue(secret, key);
      if (value !== undefined) return value;
    }
    return undefined;
  }

  #comingSecretValue(secretName: string | undefined, key: string): string | undefined {
    const one = this.#externalSecrets().find((external) => targetName(external) === secretName);
    const entry = one?.spec.data?.find(({ secretKey }) => secretKey === key);
    if (!one || !entry) return undefined;
    const found = this.#vaultValue(one, entry.remoteRef.key, entry.remoteRef.version);
    return 'value' in found ? found.value : undefined;
  }

  /** Why this URL does not log in from the cluster's network; undefined when it does. */
  async #loginFailure(url: string): Promise<string | undefined> {
    try {
      const answer = await this.#neighbours.databases.connect(url, this.#vnetId());
      if (!answer.ok) return answer.reason;
      await answer.client.end().catch(() => undefined);
      return undefined;
    } catch (error) {
      return error instanceof Error ? error.message : 'the connection failed';
    }
  }

  async #database(): Promise<Judgement> {
    const environment = this.#environment();
    if ('missing' in environment) return breaks(environment.missing);
    const url = environment.env['DATABASE_URL'];
    if (!url) return breaks('Open WebUI has no DATABASE_URL.');
    const failure = await this.#loginFailure(url);
    if (failure !== undefined) return breaks(`DATABASE_URL in the cluster does not log in: ${failure}.`);
    const coming = this.#comingValue('DATABASE_URL');
    if (coming !== undefined && coming !== url) {
      const later = await this.#loginFailure(coming);
      if (later !== undefined)
        return breaks(
          `The vault holds another DATABASE_URL than the cluster, and it does not log in: ${later}. The next sync will break the site.`,
        );
    }
    const password = await this.#passwordFailure(url);
    if (password !== undefined)
      return breaks(`The vault's password for the database does not log in: ${password}.`);
    return holds(
      coming !== undefined && coming !== url
        ? 'DATABASE_URL logs in; the vault holds another one that logs in as well and comes with the next sync.'
        : 'DATABASE_URL logs in to the database.',
    );
  }

  /** The password kept beside the URL in the same Secret must be the server's as well. */
  async #passwordFailure(url: string): Promise<string | undefined> {
    const reference = this.#application()?.container.env?.find(({ name }) => name === 'DATABASE_URL')
      ?.valueFrom?.secretKeyRef;
    const password = this.#comingSecretValue(reference?.name, 'POSTGRES_PASSWORD');
    const parsed = URL.parse(url);
    if (password === undefined || !parsed || decodeURIComponent(parsed.password) === password)
      return undefined;
    parsed.password = encodeURIComponent(password);
    return this.#loginFailure(parsed.href);
  }

  #share(): Judgement {
    const application = this.#application();
    const mount = application?.container.volumeMounts?.find(
      ({ mountPath }) => mountPath.replace(/\/$/, '') === DATA_DIRECTORY,
    );
    const claim = application?.deployment.spec.template.spec?.volumes?.find(
      ({ name }) => name === mount?.name,
    )?.persistentVolumeClaim;
    if (!claim) return breaks(`Open WebUI mounts no claim at ${DATA_DIRECTORY}.`);
    const volume = volumeOfClaim(this.#cluster.api, this.#namespace, claim.claimName);
    if (!volume) return breaks(`The claim ${claim.claimName} is not bound to a volume.`);
    if (volume.spec.csi?.driver !== 'file.csi.azure.com')
      return holds(`The volume ${volume.metadata.name} is not a share.`);
    const why = mountShare(this.#cluster.api, this.#neighbours, volume, this.#vnetId());
    return why === undefined
      ? holds(`The share of ${volume.metadata.name} mounts.`)
      : breaks(`The share of ${volume.metadata.name} does not mount: ${why}.`);
  }

  #ollama(): Judgement {
    const environment = this.#environment();
    if ('missing' in environment) return breaks(environment.missing);
    const url = URL.parse(environment.env['OLLAMA_BASE_URL'] ?? '');
    if (!url) return breaks('Open WebUI has no OLLAMA_BASE_URL.');
    const isInside =
      /\.svc(\.cluster\.local)?$/.test(url.hostname) ||
      this.#cluster.network.serviceOf(url.hostname, this.#namespace) !== undefined;
    if (!isInside && url.hostname.includes('.'))
      return holds(`Ollama is outside the cluster at ${url.host}.`);
    const answer = this.#cluster.dial(url.hostname, Number(url.port || 80), this.#namespace);
    if ('refused' in answer) return breaks(`Ollama at ${url.host} does not answer: ${answer.refused}.`);
    if (answer.software !== 'ollama') return breaks(`At ${url.host} answers ${answer.software}, not Ollama.`);
    return holds(`Ollama answers at ${url.host}.`);
  }

  #login(): Judgement {
    const environment = this.#environment();
    if ('missing' in environment) return breaks(environment.missing);
    const { env } = environment;
    const app = {
      clientId: env['MICROSOFT_CLIENT_ID'] ?? '',
      tenantId: env['MICROSOFT_CLIENT_TENANT_ID'] ?? '',
      redirectUri: env['MICROSOFT_REDIRECT_URI'] ?? '',
      scopes: (env['MICROSOFT_OAUTH_SCOPE'] ?? 'openid email profile').split(/\s+/),
    };
    const clientSecret = env['MICROSOFT_CLIENT_SECRET'] ?? '';
    if (app.clientId === '' || clientSecret === '')
      return breaks('Open WebUI has no client id and secret for Microsoft.');
    const now = this.#neighbours.directory.canSignIn({ ...app, clientSecret });
    if (!now.ok) return breaks(`Signing in with Microsoft does not work: ${now.reason}`);
    const coming = this.#comingValue('MICROSOFT_CLIENT_SECRET');
    if (coming !== undefined && coming !== clientSecret) {
      const later = this.#neighbours.directory.canSignIn({ ...app, clientSecret: coming });
      if (!later.ok)
        return breaks(
          `The vault holds another client secret than the cluster, and it does not work: ${later.reason}`,
        );
    }
    return holds('Signing in with Microsoft works.');
  }
}
