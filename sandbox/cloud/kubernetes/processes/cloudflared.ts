/** cloudflared: a connector of one tunnel, known by its token. Ready only while the edge has accepted it. */
import { RECHECK, START, TUNNEL_RETRY } from '../durations.ts';
import type { Process, ProcessContext } from './process.ts';

const DEFAULT_METRICS_PORT = 20241;

export function startCloudflared(context: ProcessContext): Process {
  const { clusterId, pod, container, env, neighbours } = context;
  const words = [...(container.command ?? []), ...(container.args ?? [])];
  const token = flag(words, '--token') ?? env['TUNNEL_TOKEN'];
  const metrics = flag(words, '--metrics') ?? env['TUNNEL_METRICS'];
  const port = metrics === undefined ? DEFAULT_METRICS_PORT : Number(metrics.split(':').at(-1));
  const connector = { clusterId, pod: pod.metadata.name };
  let isConnected = false;
  let isUp = context.isResumed;
  let isChecking = false;
  let checkedAt = 0;
  if (!words.includes('tunnel') || token === undefined || token === '') {
    context.log(
      'ERR "cloudflared tunnel run" requires the ID or name of the tunnel to run as the last command line argument or in the configuration file.',
    );
    context.after(500, () => context.exit(1));
    return { status: () => undefined, listens: () => false, stop: () => undefined };
  }

  const connect = (): void => {
    isUp = true;
    checkedAt = context.clock.now();
    const before = isConnected;
    const answer = neighbours.tunnels.connect(connector, token);
    isConnected = answer.ok;
    if (isConnected && !before) {
      context.log(`INF Starting tunnel tunnelID=${answer.ok ? answer.tunnelId : ''}`);
      context.log('INF Registered tunnel connection connIndex=0 protocol=quic');
    }
    if (!answer.ok) {
      context.log(`ERR Register tunnel error from server side error="${answer.reason}" connIndex=0`);
      context.after(TUNNEL_RETRY, connect);
    }
    if (before !== isConnected || !before) context.changed();
  };
  if (context.isResumed) connect();
  else context.after(START.cloudflared, connect);

  return {
    status: (asked, path) => {
      if (!isUp || asked !== port) return undefined;
      if (path.startsWith('/ready')) return isConnected ? 200 : 503;
      return path.startsWith('/metrics') || path.startsWith('/healthcheck') ? 200 : 404;
    },
    listens: (asked) => isUp && asked === port,
    fetch: (asked, _request, path) => {
      if (!isUp || asked !== port) return undefined;
      const readyConnections = isConnected ? 4 : 0;
      return Promise.resolve(
        path.startsWith('/ready')
          ? Response.json(
              { status: isConnected ? 200 : 503, readyConnections, connectorId: pod.metadata.uid },
              { status: isConnected ? 200 : 503 },
            )
          : new Response('ok'),
      );
    },
    lookAgain: (where) => {
      if (where === 'cluster' || !isConnected || isChecking) return;
      isChecking = true;
      context.after(Math.max(0, checkedAt + RECHECK - context.clock.now()), () => {
        isChecking = false;
        connect();
      });
    },
    stop: () => {
      isConnected = false;
      neighbours.tunnels.disconnect(connector);
    },
  };
}

/** `--name value` or `--name=value`. */
function flag(words: readonly string[], name: string): string | undefined {
  const index = words.indexOf(name);
  if (index >= 0) return words[index + 1];
  return words.find((word) => word.startsWith(`${name}=`))?.slice(name.length + 1);
}
