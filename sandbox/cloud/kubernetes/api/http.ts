/**
 * The HTTP door of an API server: paths, verbs, forms of answers. What a request means for the objects is
 * api-server.ts; what runs in pods is behind `Workloads`. All verbs in one file, somewhat over the usual length.
 */
import type { CallContext } from '../../world.ts';
import { at, isFields, type KubeObject, type Pod } from '../object.ts';
import { authenticate, isAllowed, refusal, type Verb } from './access.ts';
import type { DeleteOptions } from './api-server.ts';
import { answerDiscovery, reviewAccess } from './discovery-answers.ts';
import { type Door, methodNotAllowed, writeOptions } from './door.ts';
import { apiVersionOf, type Kind, PODS, SERVICES } from './kinds.ts';
import { acceptedForm, readBody, readPatch } from './negotiation.ts';
import { parseResourcePath, type ResourcePath } from './path.ts';
import { parseFieldSelector, parseLabelSelector } from './selectors.ts';
import { expired, StatusError, unknownPath } from './status-error.ts';
import { answerScale, proxy } from './subresources.ts';
import { metadataOnly, tableOf } from './table.ts';
import { versionNumber, watch } from './watch.ts';

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
