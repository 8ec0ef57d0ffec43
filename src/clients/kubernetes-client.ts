/**
 * The API server of an AKS cluster, spoken to in plain JSON. `@kubernetes/client-node` brings TLS, client certificates
 * and the proxy; its own object API is not used, since its models know NetworkPolicy's `from` only as `_from` and drop
 * it from what is sent (`V1NetworkPolicyIngressRule`), which turns "only from these" into "from everywhere".
 */
import type { ContainerServiceClient } from '@azure/arm-containerservice';
import { HttpMethod, IsomorphicFetchHttpLibrary, KubeConfig, RequestContext } from '@kubernetes/client-node';
import { z } from 'zod';
import { fatal } from '../graph/failure.ts';
import { fieldManager } from '../naming.ts';
import type { ClusterCredentials } from './kubeconfig.ts';
import { aksTokenScope, readKubeconfig } from './kubeconfig.ts';
import type {
  KubernetesApi,
  KubernetesObject,
  ObjectReference,
  ProxyAnswer,
  ProxyRequest,
  ProxyTarget,
} from './kubernetes-api.ts';
import { KubernetesError } from './kubernetes-api.ts';

/** An API server that has not answered by then will be asked again; requests through it to a Service may take longer. */
const TIMEOUT_MS = 25_000;
const LARGEST_LOG_BYTES = 1_048_576;

/** Reads the cluster's credentials from ARM; throws what ARM says, and `KubeconfigRefused` for what may not be believed. */
export async function connectKubernetes(options: {
  readonly clusters: ContainerServiceClient;
  readonly resourceGroup: string;
  readonly cluster: string;
  readonly token: (scope: string) => Promise<string>;
  readonly httpsProxy: string | undefined;
}): Promise<KubernetesApi> {
  const { clusters, resourceGroup, cluster } = options;
  const { fqdn, privateFqdn } = await clusters.managedClusters.get(resourceGroup, cluster);
  // Without `exec` a cluster with Entra gives the auth-provider form, which clients have dropped.
  const given = await clusters.managedClusters.listClusterUserCredentials(resourceGroup, cluster, {
    format: 'exec',
  });
  const kubeconfig = given.kubeconfigs?.[0]?.value;
  if (!kubeconfig) throw fatal('NoKubeconfig', `Azure gave no credentials for the cluster ${cluster}`);
  const fqdns = [fqdn, privateFqdn].filter((name) => name !== undefined);
  const credentials = readKubeconfig(Buffer.from(kubeconfig).toString('utf8'), fqdns);
  return kubernetesApi(credentials, options.token, options.httpsProxy);
}

/** The same for credentials at hand; `token` is asked before each call, so that it is never stale. */
export async function kubernetesApi(
  credentials: ClusterCredentials,
  token: (scope: string) => Promise<string>,
  httpsProxy: string | undefined,
): Promise<KubernetesApi> {
  const call = await caller(credentials, token, httpsProxy);
  const discovered = new Map<string, readonly ApiResource[]>();

  /** `undefined` when the server does not serve the kind (now: CRDs come and go, so absence is not remembered). */
  const resourceOf = async (apiVersion: string, kind: string): Promise<ApiResource | undefined> => {
    const known = discovered.get(apiVersion)?.find((resource) => resource.kind === kind);
    if (known) return known;
    const answer = await call('GET', rootOf(apiVersion));
    if (answer.status === 404) return undefined;
    const { resources } = read(resourceListSchema, successOf(answer));
    discovered.set(apiVersion, resources);
    return resources.find((resource) => resource.kind === kind && !resource.name.includes('/'));
  };

  const pathOf = async (
    { apiVersion, kind, namespace }: Omit<ObjectReference, 'name'>,
    name?: string,
  ): Promise<string> => {
    const resource = await resourceOf(apiVersion, kind);
    if (!resource) {
      throw new KubernetesError(
        404,
        'KindNotServed',
        `the cluster does not know the kind ${kind} of ${apiVersion}`,
      );
    }
    const scope = resource.namespaced && namespace ? `/namespaces/${encodeURIComponent(namespace)}` : '';
    const tail = name === undefined ? '' : `/${encodeURIComponent(name)}`;
    return `${rootOf(apiVersion)}${scope}/${resource.name}${tail}`;
  };

  const throughProxy = async (
    kind: 'services' | 'pods',
    { namespace, name, port }: ProxyTarget,
    { method, path, body }: ProxyRequest,
  ): Promise<ProxyAnswer> => {
    const answer = await call(
      method,
      `/api/v1/namespaces/${namespace}/${kind}/${name}:${port}/proxy${path}`,
      {
        isOpenEnded: true,
        ...(body === undefined ? {} : { contentType: 'application/json', body }),
      },
    );
    // A Status is the API server's own refusal (no such Service, no endpoint); anything else is what was said behind it.
    if (answer.status >= 400 && statusSchema.safeParse(answer.body).success) throw errorOf(answer);
    return answer;
  };

  return {
    async find(reference) {
      const answer = await call('GET', await pathOf(reference, reference.name));
      return answer.status === 404 && errorOf(answer).reason === 'NotFound'
        ? undefined
        : objectOf(successOf(answer));
    },
    async list(kind, selector = {}) {
      const path = await pathOf(kind);
      const items: KubernetesObject[] = [];
      let next: string | undefined;
      do {
        const query = {
          labelSelector: selector.labels,
          fieldSelector: selector.fields,
          limit: '500',
          continue: next,
        };
        const page = read(listSchema, successOf(await call('GET', path, { query })));
        // Items of a list come without their kind.
        items.push(
          ...page.items.map((item) => objectOf({ ...item, apiVersion: kind.apiVersion, kind: kind.kind })),
        );
        next = page.metadata.continue || undefined;
      } while (next !== undefined);
      return items;
    },
    serves: async (apiVersion, kind) => (await resourceOf(apiVersion, kind)) !== undefined,
    async apply(object, options = {}) {
      const answer = await call(
        'PATCH',
        await pathOf({ ...object.metadata, ...object }, object.metadata.name),
        {
          query: {
            fieldManager,
            force: 'true',
            // A field the server does not know is an error of ours, not something to drop.
            fieldValidation: 'Strict',
            dryRun: options.dryRun ? 'All' : undefined,
          },
          contentType: 'application/apply-patch+yaml',
          body: object,
        },
      );
      return objectOf(successOf(answer));
    },
    async mergePatch(reference, patch) {
      const answer = await call('PATCH', await pathOf(reference, reference.name), {
        query: { fieldManager },
        contentType: 'application/merge-patch+json',
        body: patch,
      });
      return objectOf(successOf(answer));
    },
    async remove(reference) {
      const answer = await call('DELETE', await pathOf(reference, reference.name), {
        query: { propagationPolicy: 'Background' },
      });
      if (answer.status !== 404 || errorOf(answer).reason !== 'NotFound') successOf(answer);
    },
    async log({ namespace, name, container }, { tailLines, sinceSeconds, previous }) {
      // A kubelet begins at the tail and stops after exactly so many bytes: what is at the limit has lost its newest lines.
      // https://github.com/kubernetes/kubernetes/blob/master/pkg/kubelet/kuberuntime/logs/logs.go (logWriter.write)
      for (let lines = tailLines; ; lines = Math.floor(lines / 2)) {
        const answer = await call('GET', `/api/v1/namespaces/${namespace}/pods/${name}/log`, {
          query: {
            container,
            tailLines: String(lines),
            limitBytes: String(LARGEST_LOG_BYTES),
            timestamps: 'true',
            sinceSeconds: sinceSeconds === undefined ? undefined : String(sinceSeconds),
            previous: previous ? 'true' : undefined,
          },
        });
        if (answer.status === 404 && errorOf(answer).reason === 'NotFound') return undefined;
        // Each line begins with its time, so that no log is mistaken for JSON.
        const log = String(successOf(answer));
        if (lines <= 1 || Buffer.byteLength(log) < LARGEST_LOG_BYTES) return log;
      }
    },
    requestService: (target, request) => throughProxy('services', target, request),
    requestPod: (target, request) => throughProxy('pods', target, request),
  };
}

interface Answer {
  readonly status: number;
  readonly body: unknown;
  readonly retryAfterSeconds: number | undefined;
}

interface Call {
  readonly query?: Readonly<Record<string, string | undefined>>;
  readonly contentType?: string;
  readonly body?: unknown;
  readonly isOpenEnded?: boolean;
}

/** One connection pool for all calls; a proxy has to be named, as the client's own pool does not read the environment. */
async function caller(
  { server, certificateAuthority, user }: ClusterCredentials,
  token: (scope: string) => Promise<string>,
  httpsProxy: string | undefined,
): Promise<(method: HttpMethod, path: string, options?: Call) => Promise<Answer>> {
  const config = new KubeConfig();
  config.loadFromClusterAndUser(
    {
      name: 'aks',
      server,
      caData: certificateAuthority,
      skipTLSVerify: false,
      ...(httpsProxy === undefined ? {} : { proxyUrl: httpsProxy }),
    },
    {
      name: 'aks',
      ...(user.kind === 'certificate' ? { certData: user.certificate, keyData: user.key } : {}),
    },
  );
  const first = new RequestContext(server, HttpMethod.GET);
  await config.applySecurityAuthentication(first);
  const pool = first.getDispatcher();
  if (!pool)
    throw new Error('the Kubernetes client made no connection pool for a server with its own authority');
  const http = new IsomorphicFetchHttpLibrary();

  return async (method, path, options = {}) => {
    const request = new RequestContext(`${server}${path}`, method);
    for (const [name, value] of Object.entries(options.query ?? {})) {
      if (value !== undefined) request.setQueryParam(name, value);
    }
    request.setHeaderParam('Accept', 'application/json');
    if (user.kind !== 'certificate') {
      const bearer = user.kind === 'token' ? user.token : await token(aksTokenScope);
      request.setHeaderParam('Authorization', `Bearer ${bearer}`);
    }
    if (options.contentType) {
      request.setHeaderParam('Content-Type', options.contentType);
      request.setBody(JSON.stringify(options.body));
    }
    request.setDispatcher(pool);
    if (!options.isOpenEnded) request.setSignal(AbortSignal.timeout(TIMEOUT_MS));
    const response = await http.send(request).toPromise();
    const retryAfter = Number(response.headers['retry-after']);
    return {
      status: response.httpStatusCode,
      body: jsonOrText(await response.body.text()),
      retryAfterSeconds: retryAfter > 0 ? retryAfter : undefined,
    };
  };
}

function jsonOrText(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** The core group is served below `/api`, all others below `/apis`. */
const rootOf = (apiVersion: string): string =>
  apiVersion.includes('/') ? `/apis/${apiVersion}` : `/api/${apiVersion}`;

const statusSchema = z.object({
  kind: z.literal('Status'),
  message: z.string().default(''),
  reason: z.string().default(''),
  details: z.object({ retryAfterSeconds: z.number().optional() }).optional(),
});

const objectSchema = z.looseObject({
  apiVersion: z.string(),
  kind: z.string(),
  metadata: z.looseObject({ name: z.string() }),
});

const resourceListSchema = z.object({
  resources: z.array(z.object({ name: z.string(), kind: z.string(), namespaced: z.boolean() })),
});
type ApiResource = z.output<typeof resourceListSchema>['resources'][number];

const listSchema = z.object({
  metadata: z.object({ continue: z.string().optional() }).default({}),
  items: z.array(z.record(z.string(), z.unknown())),
});

/** A success whose body makes no sense was cut short or came from something in between: worth asking again. */
function read<T>(schema: z.ZodType<T>, body: unknown): T {
  const parsed = schema.safeParse(body);
  if (parsed.success) return parsed.data;
  throw new KubernetesError(502, 'UnreadableAnswer', 'the API server gave an answer that cannot be read');
}

const objectOf = (body: unknown): KubernetesObject => read(objectSchema, body) as KubernetesObject;

function successOf(answer: Answer): unknown {
  if (answer.status < 200 || answer.status > 299) throw errorOf(answer);
  return answer.body;
}

function errorOf({ status, body, retryAfterSeconds }: Answer): KubernetesError {
  const said = statusSchema.safeParse(body);
  if (!said.success)
    return new KubernetesError(status, '', `the API server answered ${status}`, retryAfterSeconds);
  return new KubernetesError(
    status,
    said.data.reason,
    said.data.message || `the API server answered ${status}`,
    retryAfterSeconds ?? said.data.details?.retryAfterSeconds,
  );
}
