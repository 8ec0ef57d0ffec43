/**
 * A whole stack in the small world's cluster, brought up by the control plane's own resources: what is inside the cluster
 * runs, and what is outside is what a test says. Checks and resources see it through the same clients.
 */
import { performance } from 'node:perf_hooks';
import { RestError } from '@azure/core-rest-pipeline';
import type { SecretClient } from '@azure/keyvault-secrets';
import { type CheckFinding, type CheckScope, systems } from '../../../src/checks/check.ts';
import { kubernetesChecks } from '../../../src/checks/kubernetes/index.ts';
import { siteChecks } from '../../../src/checks/site/index.ts';
import type { Clients } from '../../../src/clients/clients.ts';
import { hasCode, toFailure } from '../../../src/clients/cloud-failure.ts';
import type { KubernetesApi } from '../../../src/clients/kubernetes-api.ts';
import { kubernetesApi } from '../../../src/clients/kubernetes-client.ts';
import type { SiteAnswer } from '../../../src/clients/site.ts';
import type { Dependencies, Outputs, Resource } from '../../../src/graph/resource.ts';
import { cloudflared } from '../../../src/resources/kubernetes/cloudflared.ts';
import { config } from '../../../src/resources/kubernetes/config.ts';
import { dataVolume } from '../../../src/resources/kubernetes/data-volume.ts';
import { disruptionBudget } from '../../../src/resources/kubernetes/disruption-budget.ts';
import { externalSecrets } from '../../../src/resources/kubernetes/external-secrets.ts';
import { namespace } from '../../../src/resources/kubernetes/namespace.ts';
import { networkPolicy } from '../../../src/resources/kubernetes/network-policy.ts';
import { ollama } from '../../../src/resources/kubernetes/ollama.ts';
import { ollamaModels } from '../../../src/resources/kubernetes/ollama-models.ts';
import { ollamaService } from '../../../src/resources/kubernetes/ollama-service.ts';
import { ollamaVolume } from '../../../src/resources/kubernetes/ollama-volume.ts';
import { openWebui } from '../../../src/resources/kubernetes/open-webui.ts';
import { openWebuiService } from '../../../src/resources/kubernetes/open-webui-service.ts';
import { redis } from '../../../src/resources/kubernetes/redis.ts';
import { secretStore } from '../../../src/resources/kubernetes/secret-store.ts';
import type { Scope } from '../../../src/resources/scope.ts';
import {
  FQDN,
  IDENTITY,
  REGISTRY,
  type SmallWorld,
  startSmallWorld,
  VAULT,
} from '../../cloud/kubernetes/small-world.ts';
import { installOperators, prepareOutside } from '../../cloud/kubernetes/stack.ts';
import { known } from '../../resources/kubernetes/known-outputs.ts';
import { specOf } from '../../resources/spec.ts';
import { surroundings } from '../../resources/surroundings.ts';

type AnyResource = Resource<Scope, Dependencies, Outputs>;

const resources = [
  namespace,
  networkPolicy,
  secretStore,
  externalSecrets,
  dataVolume,
  ollamaVolume,
  config,
  redis,
  ollama,
  ollamaService,
  ollamaModels,
  openWebui,
  openWebuiService,
  cloudflared,
  disruptionBudget,
] as unknown as readonly AnyResource[];

const MADE = new Date('2026-11-23T08:00:00Z');
const { spec, names } = specOf({ ollama: { models: ['tinyllama'] } });

/** What a check looks through is not there: that is for another one to find. */
function unknown(error: unknown): readonly CheckFinding[] {
  if (hasCode(error, 'NothingToLookAt')) return [];
  throw error;
}

export class RunningStack {
  readonly small: SmallWorld;
  readonly api: KubernetesApi;
  /** What the public site says whatever is inside the cluster; by itself it is what Cloudflare would say. */
  site: SiteAnswer | undefined;
  /** Current versions in the vault; `1` where nothing else is said. */
  readonly versions = new Map<string, string>();

  private constructor(small: SmallWorld, api: KubernetesApi) {
    this.small = small;
    this.api = api;
  }

  static async start(): Promise<RunningStack> {
    // Helm gives up after five virtual minutes, which on a busy machine have to be long enough.
    const small = await startSmallWorld({ withDatabase: true, speed: 100 });
    await prepareOutside(small);
    await installOperators(small);
    small.world.clock.change({ speed: 300 });
    for (const [name, value] of [...small.state.secrets]) small.state.secrets.set(`${name}/1`, value);
    const api = await kubernetesApi(
      {
        server: `https://${FQDN}`,
        certificateAuthority: Buffer.from(small.certificateAuthority).toString('base64'),
        user: { kind: 'token', token: 'operator' },
      },
      async () => '',
      small.proxy.url,
    );
    const stack = new RunningStack(small, api);
    await stack.until(async () => (await stack.reconcile()).length === 0, 200);
    return stack;
  }

  get scope(): CheckScope & Scope {
    return {
      spec,
      names,
      clients: this.#clients,
      now: new Date(this.small.world.clock.now()),
      known: {
        'azure/identity': { outputs: { clientId: IDENTITY }, readyAt: 0 },
        'azure/key-vault': { outputs: { url: `${VAULT}/` }, readyAt: 0 },
      },
      ...surroundings(),
    };
  }

  /** One turn of the engine over everything; keys of what is not ready. */
  async reconcile(): Promise<readonly string[]> {
    const open: string[] = [];
    for (const resource of resources) {
      try {
        const seen = await resource.observe(this.scope, this.#deps as never);
        if (['absent', 'drifted', 'failed'].includes(seen.state))
          await resource.ensure(this.scope, this.#deps as never, seen);
        if (seen.state !== 'ready') open.push(`${resource.key}: ${JSON.stringify(seen)}`);
      } catch (error) {
        open.push(`${resource.key}: ${toFailure(error).message}`);
      }
    }
    await this.small.world.clock.wait(5_000);
    return open;
  }

  /** Everything all checks find, as the report shows it. */
  async findings(): Promise<readonly CheckFinding[]> {
    const checks = [...kubernetesChecks, ...siteChecks];
    const ordered = systems.flatMap((system) => checks.filter((check) => check.system === system));
    const { scope } = this;
    const wanted = ordered.filter((check) => check.isWanted?.(scope) ?? true);
    return (await Promise.all(wanted.map((check) => check.run(scope).catch(unknown)))).flat();
  }

  /** Throws what was seen last when it does not come about within some real seconds. */
  async until(holds: () => Promise<boolean>, seconds = 120): Promise<void> {
    const end = performance.now() + seconds * 1000;
    for (;;) {
      if (await holds()) return;
      if (performance.now() > end) throw new Error(`still ${JSON.stringify(await this.findings(), null, 1)}`);
      await this.small.world.clock.wait(10_000);
    }
  }

  patch(kind: string, name: string, patch: unknown, apiVersion = 'apps/v1'): Promise<unknown> {
    return this.api.mergePatch({ apiVersion, kind, name, namespace: names.namespace }, patch);
  }

  /** Has External Secrets look into the vault now. */
  sync(name: string): Promise<unknown> {
    const annotations = { 'force-sync': String(this.small.world.clock.now()) };
    return this.patch('ExternalSecret', name, { metadata: { annotations } }, 'external-secrets.io/v1');
  }

  remove(kind: string, name: string, apiVersion = 'v1'): Promise<void> {
    return this.api.remove({ apiVersion, kind, name, namespace: names.namespace });
  }

  async removePods(app: string): Promise<void> {
    for (const { metadata } of await this.#pods(app)) await this.remove('Pod', metadata.name);
  }

  /** Pods that begin with nothing mounted, since none of before is left. */
  async stopAll(app: string): Promise<void> {
    await this.patch('Deployment', app, { spec: { replicas: 0 } });
    await this.until(async () => (await this.#pods(app)).length === 0);
  }

  #pods(app: string) {
    return this.api.list(
      { apiVersion: 'v1', kind: 'Pod', namespace: names.namespace },
      { labels: `app=${app}` },
    );
  }

  get #deps(): Readonly<Record<string, unknown>> {
    const image = (name: string) => `${REGISTRY}/${name}:v1`;
    const version = (name: string) => ({
      vaultUrl: `${VAULT}/`,
      name,
      version: this.versions.get(name) ?? '1',
    });
    return {
      ...known,
      identity: { ...known.identity, clientId: IDENTITY },
      keyVault: { ...known.keyVault, url: `${VAULT}/` },
      fileShare: { name: spec.storage.share },
      storageAccount: { id: 'x', name: names.storageAccount },
      images: {
        openWebui: image('open-webui'),
        ollama: image('ollama'),
        cloudflared: image('cloudflared'),
        redis: image('valkey'),
      },
      webuiSecretKey: { secret: version('webui-secret-key') },
      clientSecret: { secret: version('openwebui-client-secret') },
      tunnelToken: { secret: version('cf-tunnel-token') },
      postgresPassword: { secret: version('postgres-admin-password') },
      postgresConnectionString: { secret: version('postgres-connection-string') },
      storageCredentials: {
        accountName: version('storage-account-name'),
        accountKey: version('storage-account-key'),
        keyName: 'key1',
      },
    };
  }

  get #clients(): Clients {
    const getSecret = async (name: string, options: { version?: string } = {}) => {
      const version = options.version ?? this.versions.get(name) ?? '1';
      const value = this.small.state.secrets.get(`${name}/${version}`);
      if (value === undefined) throw new RestError('not found', { statusCode: 404, code: 'SecretNotFound' });
      return { name, value, properties: { name, vaultUrl: `${VAULT}/`, version, createdOn: MADE } };
    };
    return {
      kubernetes: async () => this.api,
      secrets: () => ({ getSecret }) as Partial<SecretClient> as SecretClient,
      site: async () => this.site ?? (await this.#throughTunnel()),
    } as Partial<Clients> as Clients;
  }

  async #throughTunnel(): Promise<SiteAnswer> {
    if (this.small.state.connectors.size === 0) return { isServed: false, said: 'HTTP 530' };
    try {
      const service = { namespace: names.namespace, name: 'open-webui', port: 80 };
      const { status } = await this.api.requestService(service, { method: 'GET', path: '/' });
      return { isServed: status < 400, said: `HTTP ${status}` };
    } catch {
      return { isServed: false, said: 'HTTP 502' };
    }
  }

  stop(): Promise<void> {
    return this.small.stop();
  }
}
