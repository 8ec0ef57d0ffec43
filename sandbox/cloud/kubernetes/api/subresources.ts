/** `scale` of workloads, and `proxy` to pods and Services. */
import { at, type Deployment, type Fields, type Pod, type Service } from '../object.ts';
import { type Door, methodNotAllowed, writeOptions } from './door.ts';
import { type Kind, PODS, SERVICES } from './kinds.ts';
import { readBody, readPatch } from './negotiation.ts';
import { applyJsonPatch, applyMergePatch } from './patches.ts';
import type { ResourcePath } from './path.ts';
import { badRequest, notFound, StatusError } from './status-error.ts';

export async function answerScale(
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

export async function proxy(
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
