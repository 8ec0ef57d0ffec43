/** What the API server asks of kubelets: logs, and requests to ports of pods. */
import type { VirtualClock } from '../../clock.ts';
import type { Workloads } from './api/door.ts';
import { badRequest, StatusError } from './api/status-error.ts';
import type { KubernetesCluster } from './cluster.ts';
import type { LogLine } from './controllers/container-run.ts';
import type { Pod } from './object.ts';

export function workloadsOf(cluster: KubernetesCluster, clock: VirtualClock): Workloads {
  return {
    readLog: (pod, query, signal) => readLog(cluster, clock, pod, query, signal),
    request: (pod, port, request, path) => {
      const listener = cluster.network.listener(pod, port);
      if (!listener) return undefined;
      const answered = listener.process.fetch?.(port, request, path);
      if (answered !== undefined) return answered;
      const status = listener.process.status(port, path);
      return Promise.resolve(new Response(null, { status: status ?? 502 }));
    },
    endpoints: (service, port) => cluster.network.endpoints(service, port),
  };
}

function readLog(
  cluster: KubernetesCluster,
  clock: VirtualClock,
  pod: Pod,
  query: URLSearchParams,
  signal: AbortSignal,
): Response {
  const names = [...(pod.spec.containers ?? []), ...(pod.spec.initContainers ?? [])].map(({ name }) => name);
  const container = query.get('container') ?? (pod.spec.containers.length === 1 ? names[0] : undefined);
  if (container === undefined) {
    throw badRequest(
      `a container name must be specified for pod ${pod.metadata.name}, choose one of: [${names.join(' ')}]`,
    );
  }
  if (!names.includes(container))
    throw badRequest(`container ${container} is not valid for pod ${pod.metadata.name}`);
  const previous = query.get('previous') === 'true';
  const lines = cluster.kubelet.logOf(pod, container, previous);
  if (!lines) {
    if (previous) {
      throw badRequest(
        `previous terminated container "${container}" in pod "${pod.metadata.name}" not found`,
      );
    }
    const status = pod.status?.containerStatuses?.find(({ name }) => name === container);
    const reason = status?.state?.waiting?.reason ?? 'ContainerCreating';
    throw new StatusError(
      400,
      'BadRequest',
      `container "${container}" in pod "${pod.metadata.name}" is waiting to start: ${reason}`,
    );
  }
  const seconds = query.get('sinceSeconds');
  const since =
    seconds === null ? Date.parse(query.get('sinceTime') ?? '') || 0 : clock.now() - Number(seconds) * 1000;
  const tail = query.get('tailLines');
  const withTimes = query.get('timestamps') === 'true';
  const print = ({ time, text }: LogLine): string =>
    `${withTimes ? `${new Date(time).toISOString()} ` : ''}${text}\n`;
  const recent = lines.filter(({ time }) => time >= since);
  const shown = tail === null ? recent : Number(tail) === 0 ? [] : recent.slice(-Number(tail));
  if (query.get('follow') !== 'true') {
    const most = Number(query.get('limitBytes') ?? Number.POSITIVE_INFINITY);
    const text = Buffer.from(shown.map(print).join(''));
    return new Response(text.subarray(0, most), { headers: { 'content-type': 'text/plain' } });
  }
  return follow(cluster, pod, container, shown.map(print).join(''), lines, print, signal);
}

/** Goes on until the container ends or the reader leaves. */
function follow(
  cluster: KubernetesCluster,
  pod: Pod,
  container: string,
  shown: string,
  lines: readonly LogLine[],
  print: (line: LogLine) => string,
  signal: AbortSignal,
): Response {
  const run = cluster.kubelet.runOf(pod, container);
  const encoder = new TextEncoder();
  let position = lines.at(-1);
  let stop = (): void => undefined;
  const stream = new ReadableStream<Uint8Array>({
    start: (out) => {
      if (shown !== '') out.enqueue(encoder.encode(shown));
      const listener = (): void => {
        const fresh = position === undefined ? lines : lines.slice(lines.indexOf(position) + 1);
        if (fresh.length > 0) out.enqueue(encoder.encode(fresh.map(print).join('')));
        position = lines.at(-1) ?? position;
        if (cluster.kubelet.logOf(pod, container, false) !== lines) stop();
      };
      stop = (): void => {
        run?.logListeners.delete(listener);
        signal.removeEventListener('abort', stop);
        try {
          out.close();
        } catch {
          // The reader has gone first.
        }
      };
      if (!run?.isRunning || signal.aborted) return stop();
      signal.addEventListener('abort', stop, { once: true });
      run.logListeners.add(listener);
    },
    cancel: () => stop(),
  });
  return new Response(stream, { headers: { 'content-type': 'text/plain' } });
}
