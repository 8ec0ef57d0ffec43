/** What a request to an API server is answered with: its objects, its kubelets, and who decides who may. */
import type { Authorization, Cluster, Directory } from '../../neighbours.ts';
import type { Pod, Service } from '../object.ts';
import type { ApiServer, FieldValidation, WriteOptions } from './api-server.ts';
import type { ResourcePath } from './path.ts';
import { StatusError } from './status-error.ts';

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

export function methodNotAllowed(): StatusError {
  return new StatusError(
    405,
    'MethodNotAllowed',
    'the server does not allow this method on the requested resource',
    {},
  );
}

/** Field manager, validation and dry run of a write. Throws 422 on values that do not exist. */
export function writeOptions(
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
