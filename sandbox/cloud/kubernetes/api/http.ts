/**
 * The HTTP door of an API server: paths, verbs, forms of answers. What a request means for the objects is
 * api-server.ts; what runs in pods is behind `Workloads`.
 */
import type { Authorization, Cluster, Directory } from '../../neighbours.ts';
import type { CallContext } from '../../world.ts';
import {
  at,
  type Deployment,
  type Fields,
  isFields,
  type KubeObject,
  type Pod,
  type Service,
} from '../object.ts';
import { authenticate, type Caller, isAllowed, refusal, type Verb } from './access.ts';
import type { ApiServer, DeleteOptions, FieldValidation, WriteOptions } from './api-server.ts';
import {
  aggregatedDiscovery,
  apiGroupList,
  apiVersions,
  findApiGroup,
  findResourceList,
  groupVersionsOf,
} from './discovery.ts';
import { apiVersionOf, type Kind, PODS, SERVICES } from './kinds.ts';
import { acceptedForm, readBody, readPatch } from './negotiation.ts';
import { openApiIndex, openApiOf } from './openapi.ts';
import { applyJsonPatch, applyMergePatch } from './patches.ts';
import { parseResourcePath, type ResourcePath } from './path.ts';
import { parseFieldSelector, parseLabelSelector } from './selectors.ts';
import { badRequest, expired, notFound, StatusError, unknownPath } from './status-error.ts';
import { metadataOnly, tableOf } from './table.ts';
import { versionNumber, watch } from './watch.ts';

/** What the API server asks of kubelets. */
export interface Workloads {
  /** Text of a container's log, or a Status of why there is none. */
  readLog(pod: Pod, query: URLSearchParams, signal: AbortSignal): Response;
  /** A request to a port of a pod; undefined when nothing listens there. */
  request(pod: Pod, port: number, request: Request, path: string): Promise<Response> | undefined;
  /** Ready pods behind a Service and the port of them that a Service port means. */
  endpoints(service: Service, port: string): readonly { readonly pod: Pod; readonly port: number }[];
}

export interface Door {
  readonly api: ApiServer;
  readonly workloads: Workloads;
  readonly cluster: Cluster;
  readonly localToken: string;
  readonly directory: Directory;
  readonly authorization: Authorization;
  readonly now: () => number;
  /** Aborted when the cluster stops: ends watches. */
  readonly closing: AbortSignal;
}

export async function answer(door: Door, request: Request, call: CallContext): Promise<Response> {
  const warnings: string[] = [];
  try {
    const response = await route(door, request, call, (text) => warnings.push(text));
    for (const text of warnings) response.headers.append('warning', `299 - ${JSON.stringify(text)}`);
    return response;
  } catch (error) {
    if (!(error instanceof StatusError)) throw error;
    const { details, code } = error.status;
    const retry = details?.retryAfterSeconds;
    return Response.json(error.status, {
      status: code,
      headers: retry === undefined ? {} : { 'retry-after': String(retry) },
    });
  }
}

async function route(
  door: Door,
  request: Request,
  call: CallContext,
  warn: (text: string) => void,
): Promise<Response> {
  const url = new URL(request.url);
  if (/^\/(healthz|livez|readyz)(\/ping)?$/.test(url.pathname)) return new Response('ok');
  const caller = authenticate(
    request.headers.get('authorization'),
    door.cluster,
    door.localToken,
    door.directory,
  );
  call.caller = caller.kind === 'entra' ? caller.principal.displayName : caller.name;
  const path = parseResourcePath(url.pathname);
  if (!path) return answerDiscovery(door, request, url);
  if (path.group === 'authorization.k8s.io') return reviewAccess(door, request, caller, path);
  const kind = door.api.kindOf(path.group, path.version, path.plural);
  if (!kind) throw unknownPath();
  const verb = verbOf(request, url, path);
  if (!isAllowed(caller, verb, path, door.cluster, door.authorization))
    throw refusal(caller, verb, path, door.cluster);
  if (path.subresource !== undefined && path.subresource !== 'status') {
    return answerSubresource(door, request, url, kind, path, warn);
  }
  if (path.subresource === 'status' && !kind.subresources.includes('status')) throw unknownPath();
  return answerVerb(door, request, url, kind, path, verb, warn);
}

function verbOf(request: Request, url: URL, path: ResourcePath): Verb {
  switch (request.method) {
    case 'GET':
    case 'HEAD': {
      const flag = url.searchParams.get('watch');
      if (flag === '1' || flag === 'true') return 'watch';
      return path.name === undefined ? 'list' : 'get';
    }
    case 'POST':
      return 'create';
    case 'PUT':
      return 'update';
    case 'PATCH':
      return 'patch';
    case 'DELETE':
      return path.name === undefined ? 'deletecollection' : 'delete';
    default:
      throw methodNotAllowed();
  }
}

function methodNotAllowed(): StatusError {
  return new StatusError(
    405,
    'MethodNotAllowed',
    'the server does not allow this method on the requested resource',
    {},
  );
}

function answerDiscovery(door: Door, request: Request, url: URL): Response {
  const kinds = door.api.kinds();
  const path = url.pathname.replace(/\/$/, '');
  const { kubernetesVersion } = door.cluster;
  if (request.method !== 'GET') throw methodNotAllowed();
  if (path === '/version') return Response.json(versionInfo(kubernetesVersion));
  if (path === '/api' || path === '/apis') {
    const form = acceptedForm(request.headers.get('accept'), true);
    if (form === 'discovery-v2' || form === 'discovery-v2beta1') {
      const version = form === 'discovery-v2' ? 'v2' : 'v2beta1';
      return Response.json(aggregatedDiscovery(kinds, path === '/api', version), {
        headers: {
          'content-type': `application/json;g=apidiscovery.k8s.io;v=${version};as=APIGroupDiscoveryList`,
        },
      });
    }
    return Response.json(path === '/api' ? apiVersions(door.cluster.fqdn) : apiGroupList(kinds));
  }
  const group = /^\/apis\/([^/]+)$/.exec(path)?.[1];
  const groupVersion = /^\/(?:api|apis)\/((?:[^/]+\/)?[^/]+)$/.exec(path)?.[1];
  const found =
    group === undefined
      ? groupVersion === undefined
        ? undefined
        : findResourceList(kinds, groupVersion)
      : findApiGroup(kinds, group);
  if (found) return Response.json(found);
  if (path === '/openapi/v3') return Response.json(openApiIndex(groupVersionsOf(kinds).keys()));
  const described = /^\/openapi\/v3\/(?:api|apis)\/(.+)$/.exec(path)?.[1];
  const served = described === undefined ? undefined : groupVersionsOf(kinds).get(described);
  if (served) return Response.json(openApiOf(served, `v${kubernetesVersion}`));
  throw unknownPath();
}

function versionInfo(version: string): object {
  const [major = '1', minor = '0'] = version.split('.');
  return {
    major,
    minor,
    gitVersion: `v${version}`,
    gitCommit: '0000000000000000000000000000000000000000',
    gitTreeState: 'clean',
    buildDate: '2026-01-01T00:00:00Z',
    goVersion: 'go1.25.0',
    compiler: 'gc',
    platform: 'linux/amd64',
  };
}

async function reviewAccess(
  door: Door,
  request: Request,
  caller: Caller,
  path: ResourcePath,
): Promise<Response> {
  if (path.plural !== 'selfsubjectaccessreviews' || path.version !== 'v1') throw unknownPath();
  if (request.method !== 'POST') throw methodNotAllowed();
  const body = await readBody(request);
  const wanted = at(body, 'spec', 'resourceAttributes');
  const namespace = at(wanted, 'namespace');
  const allowed = isAllowed(
    caller,
    String(at(wanted, 'verb') ?? 'get') as Verb,
    {
      group: String(at(wanted, 'group') ?? ''),
      version: 'v1',
      plural: String(at(wanted, 'resource') ?? ''),
      ...(typeof namespace === 'string' && namespace !== '' ? { namespace } : {}),
    },
    door.cluster,
    door.authorization,
  );
  const answered = {
    ...(isFields(body) ? body : {}),
    status: { allowed, ...(allowed ? {} : { denied: false }) },
  };
  return Response.json(answered, { status: 201 });
}

async function answerVerb(
  door: Door,
  request: Request,
  url: URL,
  kind: Kind,
  path: ResourcePath,
  verb: Verb,
  warn: (text: string) => void,
): Promise<Response> {
  const { api } = door;
  const { name } = path;
  const namespace = path.namespace ?? '';
  const options = writeOptions(request, url, path, warn);
  switch (verb) {
    case 'get':
      return form(door, request, url, kind, api.get(kind, namespace, name ?? ''));
    case 'list':
      return list(door, request, url, kind, path.namespace);
    case 'watch':
      return openWatch(door, request, url, kind, path);
    case 'create':
      if (name !== undefined) throw methodNotAllowed();
      if (kind.namespaced && path.namespace === undefined) throw methodNotAllowed();
      return form(
        door,
        request,
        url,
        kind,
        api.create(kind, namespace, await readBody(request), options),
        201,
      );
    case 'update':
      return form(
        door,
        request,
        url,
        kind,
        api.update(kind, namespace, name ?? '', await readBody(request), options),
      );
    case 'patch': {
      const { type, body } = await readPatch(request);
      const force = url.searchParams.get('force');
      const { object, created } = api.patch(kind, namespace, name ?? '', body, {
        ...options,
        type,
        ...(force === null ? {} : { force: force === 'true' }),
      });
      return form(door, request, url, kind, object, created ? 201 : 200);
    }
    case 'delete': {
      const wanted = deleteOptions(url, await readBody(request));
      const object = api.get(kind, namespace, name ?? '');
      const going = api.delete(kind, namespace, name ?? '', wanted);
      if (going) return form(door, request, url, kind, going);
      if (kind === PODS) return form(door, request, url, kind, object);
      return Response.json({
        kind: 'Status',
        apiVersion: 'v1',
        metadata: {},
        status: 'Success',
        details: {
          name: object.metadata.name,
          ...(kind.group === '' ? {} : { group: kind.group }),
          kind: kind.plural,
          uid: object.metadata.uid,
        },
      });
    }
    case 'deletecollection': {
      const wanted = deleteOptions(url, await readBody(request));
      const objects = select(door, url, kind, path.namespace);
      for (const object of objects) {
        api.delete(kind, object.metadata.namespace ?? '', object.metadata.name, wanted);
      }
      return Response.json(listOf(kind, objects, { resourceVersion: String(api.store.version) }));
    }
    default:
      throw methodNotAllowed();
  }
}

function writeOptions(
  request: Request,
  url: URL,
  path: ResourcePath,
  warn: (text: string) => void,
): WriteOptions {
  const query = url.searchParams;
  const dryRun = query.getAll('dryRun');
  if (dryRun.some((value) => value !== 'All')) {
    throw new StatusError(
      422,
      'Invalid',
      `dryRun: Unsupported value: ${JSON.stringify(dryRun)}: supported values: "All"`,
    );
  }
  const validation = query.get('fieldValidation') ?? 'Warn';
  if (!['Strict', 'Warn', 'Ignore', ''].includes(validation)) {
    throw new StatusError(
      422,
      'Invalid',
      `fieldValidation: Unsupported value: "${validation}": supported values: "Ignore", "Strict", "Warn"`,
    );
  }
  const agent = (request.headers.get('user-agent') ?? 'unknown').split('/')[0] ?? 'unknown';
  const manager =
    query.get('fieldManager') ??
    (request.headers.get('content-type') === 'application/apply-patch+yaml' ? '' : agent);
  return {
    manager,
    fieldValidation: (validation || 'Warn') as FieldValidation,
    dryRun: dryRun.length > 0,
    warn,
    ...(path.subresource === 'status' ? { subresource: 'status' as const } : {}),
  };
}

function deleteOptions(url: URL, body: unknown): DeleteOptions {
  const query = url.searchParams;
  const grace = at(body, 'gracePeriodSeconds') ?? query.get('gracePeriodSeconds') ?? undefined;
  const orphan = at(body, 'orphanDependents') ?? query.get('orphanDependents') ?? undefined;
  const policy =
    at(body, 'propagationPolicy') ??
    query.get('propagationPolicy') ??
    (String(orphan) === 'true' ? 'Orphan' : undefined);
  const preconditions = at(body, 'preconditions');
  const dryRun = at(body, 'dryRun') ?? query.getAll('dryRun');
  const uid = at(preconditions, 'uid');
  const resourceVersion = at(preconditions, 'resourceVersion');
  return {
    ...(grace === undefined ? {} : { gracePeriodSeconds: Number(grace) }),
    ...(policy === 'Foreground' || policy === 'Background' || policy === 'Orphan'
      ? { propagationPolicy: policy }
      : {}),
    preconditions: {
      ...(typeof uid === 'string' ? { uid } : {}),
      ...(typeof resourceVersion === 'string' ? { resourceVersion } : {}),
    },
    dryRun: Array.isArray(dryRun) && dryRun.includes('All'),
  };
}

/** One object in the form the caller accepts. */
function form(
  door: Door,
  request: Request,
  url: URL,
  kind: Kind,
  object: KubeObject,
  status = 200,
): Response {
  switch (acceptedForm(request.headers.get('accept'), false)) {
    case 'table':
      return Response.json(
        tableOf(kind, [object], door.now(), includeOf(url), {
          resourceVersion: object.metadata.resourceVersion,
        }),
        { status },
      );
    case 'metadata':
      return Response.json(metadataOnly(object), { status });
    default:
      return Response.json(object, { status });
  }
}

function includeOf(url: URL): string {
  return url.searchParams.get('includeObject') ?? 'Metadata';
}

function matcher(url: URL, kind: Kind, name?: string): (object: KubeObject) => boolean {
  const labels = parseLabelSelector(url.searchParams.get('labelSelector') ?? '');
  const fields = parseFieldSelector(url.searchParams.get('fieldSelector') ?? '', kind);
  return (object) =>
    labels(object.metadata.labels) && fields(object) && (name === undefined || object.metadata.name === name);
}

function select(door: Door, url: URL, kind: Kind, namespace: string | undefined): KubeObject[] {
  return door.api.list(kind, namespace).filter(matcher(url, kind));
}

interface Continuation {
  readonly version: string;
  readonly after: string;
}

function list(door: Door, request: Request, url: URL, kind: Kind, namespace: string | undefined): Response {
  const limit = Number(url.searchParams.get('limit') ?? 0);
  const token = url.searchParams.get('continue') ?? '';
  const from = token === '' ? undefined : readContinuation(token);
  const keyOf = (object: KubeObject): string => `${object.metadata.namespace ?? ''}/${object.metadata.name}`;
  const all = select(door, url, kind, namespace).filter((object) => !from || keyOf(object) > from.after);
  const page = limit > 0 ? all.slice(0, limit) : all;
  const last = page.at(-1);
  const version = from?.version ?? String(door.api.store.version);
  const isCut = page.length < all.length && last !== undefined;
  const metadata = {
    resourceVersion: version,
    ...(isCut
      ? {
          continue: Buffer.from(
            JSON.stringify({ version, after: keyOf(last) } satisfies Continuation),
          ).toString('base64url'),
          remainingItemCount: all.length - page.length,
        }
      : {}),
  };
  switch (acceptedForm(request.headers.get('accept'), false)) {
    case 'table':
      return Response.json(tableOf(kind, page, door.now(), includeOf(url), metadata));
    case 'metadata':
      return Response.json({
        kind: 'PartialObjectMetadataList',
        apiVersion: 'meta.k8s.io/v1',
        metadata,
        items: page.map(metadataOnly),
      });
    default:
      return Response.json(listOf(kind, page, metadata));
  }
}

function readContinuation(token: string): Continuation {
  try {
    const value: unknown = JSON.parse(Buffer.from(token, 'base64url').toString());
    if (isFields(value)) return { version: String(value['version']), after: String(value['after']) };
  } catch {
    // Falls through to the answer for a token that is none of ours.
  }
  throw expired('The provided continue parameter is too old or malformed; restart the list without it.');
}

/** Built-in kinds leave apiVersion and kind out of the items, as the Go types do. */
function listOf(kind: Kind, objects: readonly KubeObject[], metadata: object): object {
  return {
    kind: `${kind.kind}List`,
    apiVersion: apiVersionOf(kind),
    metadata,
    items: kind.columns ? objects : objects.map(({ kind: _, apiVersion: __, ...rest }) => rest),
  };
}

function openWatch(door: Door, request: Request, url: URL, kind: Kind, path: ResourcePath): Response {
  const query = url.searchParams;
  const wanted = acceptedForm(request.headers.get('accept'), false);
  const timeout = query.get('timeoutSeconds');
  const resourceVersion = query.get('resourceVersion') ?? '';
  if (resourceVersion !== '') versionNumber(resourceVersion);
  return watch(door.api.store, {
    kind,
    namespace: kind.namespaced ? path.namespace : undefined,
    matches: matcher(url, kind, path.name),
    resourceVersion,
    sendInitialEvents: query.get('sendInitialEvents') === 'true',
    allowBookmarks: query.get('allowWatchBookmarks') === 'true',
    timeoutSeconds: timeout === null ? undefined : Number(timeout),
    form: (object, isFirst) => {
      if (wanted === 'table') {
        const metadata = { resourceVersion: object.metadata.resourceVersion };
        return tableOf(kind, [object], door.now(), includeOf(url), metadata, isFirst);
      }
      return wanted === 'metadata' ? metadataOnly(object) : object;
    },
    signal: AbortSignal.any([request.signal, door.closing]),
  });
}

async function answerSubresource(
  door: Door,
  request: Request,
  url: URL,
  kind: Kind,
  path: ResourcePath,
  warn: (text: string) => void,
): Promise<Response> {
  const { api, workloads } = door;
  const namespace = path.namespace ?? '';
  if (path.subresource === 'scale' && kind.subresources.includes('scale')) {
    return answerScale(door, request, url, kind, path, warn);
  }
  if (path.subresource === 'log' && kind === PODS && request.method === 'GET') {
    return workloads.readLog(
      api.get<Pod>(PODS, namespace, path.name ?? ''),
      url.searchParams,
      AbortSignal.any([request.signal, door.closing]),
    );
  }
  if (path.subresource === 'proxy' && (kind === PODS || kind === SERVICES)) {
    return proxy(door, request, url, kind, path);
  }
  if (path.subresource === 'finalize' && kind.kind === 'Namespace' && request.method === 'PUT') {
    return form(door, request, url, kind, api.get(kind, '', path.name ?? ''));
  }
  throw unknownPath();
}

async function answerScale(
  door: Door,
  request: Request,
  url: URL,
  kind: Kind,
  path: ResourcePath,
  warn: (text: string) => void,
): Promise<Response> {
  const namespace = path.namespace ?? '';
  const workload = door.api.get<Deployment>(kind, namespace, path.name ?? '');
  const before = scaleOf(workload);
  if (request.method === 'GET') return Response.json(before);
  let after: unknown;
  if (request.method === 'PUT') after = await readBody(request);
  else if (request.method === 'PATCH') {
    const { type, body } = await readPatch(request);
    if (type === 'apply')
      throw badRequest('server-side apply of the scale subresource is not part of the sandbox');
    after = type === 'json' ? applyJsonPatch(before, body) : applyMergePatch(before, body);
  } else throw methodNotAllowed();
  const stated = at(after, 'metadata', 'resourceVersion');
  if (stated !== undefined && stated !== '' && stated !== workload.metadata.resourceVersion) {
    throw new StatusError(
      409,
      'Conflict',
      `Operation cannot be fulfilled on ${kind.plural}.${kind.group} "${workload.metadata.name}": the object has been modified; please apply your changes to the latest version and try again`,
    );
  }
  const replicas = Number(at(after, 'spec', 'replicas') ?? 0);
  if (!Number.isInteger(replicas) || replicas < 0) {
    throw new StatusError(
      422,
      'Invalid',
      `Scale.autoscaling "${workload.metadata.name}" is invalid: spec.replicas: Invalid value: ${replicas}: must be greater than or equal to 0`,
    );
  }
  const options = writeOptions(request, url, path, warn);
  const scaled = door.api.change(
    kind,
    workload,
    (draft) => {
      draft.spec.replicas = replicas;
    },
    options,
  );
  return Response.json(scaleOf(scaled));
}

function scaleOf(workload: Deployment): Fields {
  const { name, namespace, uid, resourceVersion, creationTimestamp } = workload.metadata;
  const selector = Object.entries(workload.spec.selector.matchLabels ?? {})
    .map(([key, value]) => `${key}=${value}`)
    .join(',');
  return {
    kind: 'Scale',
    apiVersion: 'autoscaling/v1',
    metadata: { name, namespace, uid, resourceVersion, creationTimestamp },
    spec: { replicas: workload.spec.replicas ?? 0 },
    status: { replicas: workload.status?.replicas ?? 0, selector },
  };
}

async function proxy(
  door: Door,
  request: Request,
  url: URL,
  kind: Kind,
  path: ResourcePath,
): Promise<Response> {
  const parts = (path.name ?? '').split(':');
  const [name = '', port = ''] = parts.length === 3 ? parts.slice(1) : parts;
  const target = `${path.rest ?? '/'}${url.search}`;
  if (kind === PODS) {
    const pod = door.api.get<Pod>(PODS, path.namespace ?? '', name);
    const number = port === '' ? (pod.spec.containers[0]?.ports?.[0]?.containerPort ?? 80) : Number(port);
    return reach(door, request, pod, number, target);
  }
  const service = door.api.find<Service>(SERVICES, path.namespace ?? '', name);
  if (!service) throw notFound(SERVICES, name);
  const endpoints = door.workloads.endpoints(service, port);
  const chosen = endpoints[Math.floor(Math.random() * endpoints.length)];
  if (!chosen) {
    const hasPort =
      port === '' || (service.spec.ports ?? []).some((one) => String(one.port) === port || one.name === port);
    throw new StatusError(
      503,
      'ServiceUnavailable',
      hasPort
        ? `no endpoints available for service "${name}"`
        : `no service port "${port}" found for service "${name}"`,
      { causes: [] },
    );
  }
  return reach(door, request, chosen.pod, chosen.port, target);
}

async function reach(
  door: Door,
  request: Request,
  pod: Pod,
  port: number,
  target: string,
): Promise<Response> {
  const response = await door.workloads.request(pod, port, request, target);
  if (response) return response;
  const address = `${pod.status?.podIP ?? pod.metadata.name}:${port}`;
  throw new StatusError(
    503,
    'ServiceUnavailable',
    `error trying to reach service: dial tcp ${address}: connect: connection refused`,
    { causes: [] },
  );
}
