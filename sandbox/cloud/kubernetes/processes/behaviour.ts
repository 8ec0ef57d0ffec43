/** What a bad build of a program does instead of its work; the rest of it behaves as the good one. */
import type { Behaviour, Software } from '../../neighbours.ts';
import type { Process, ProcessContext } from './process.ts';

/** Long enough to be seen running: the ordinary bug in a start-up routine. */
const CRASHES_AFTER = 3_000;

/** What health is read from; all else is a page. */
const HEALTH: Readonly<Partial<Record<Software, readonly string[]>>> = {
  'open-webui': ['/health', '/ready', '/health/db'],
  ollama: ['/'],
  cloudflared: ['/ready', '/metrics', '/healthcheck'],
};

export function misbehaving(
  behaviour: Behaviour,
  software: Software,
  context: ProcessContext,
  start: () => Process,
): Process {
  switch (behaviour) {
    case 'crashes':
      context.log('Fatal error: this build does not start');
      context.after(CRASHES_AFTER, () => context.exit(1));
      return { status: () => undefined, listens: () => false, stop: () => undefined };
    case 'never-ready':
      return { ...answering(start(), () => 503), listens: () => false, exec: () => 1 };
    case 'broken-page': {
      const health = HEALTH[software] ?? [];
      return answering(start(), (path, status) => (health.includes(path) ? status : 500));
    }
  }
}

/** The process with other status codes; where nothing listens, nothing answers. */
function answering(process: Process, statusOf: (path: string, status: number) => number): Process {
  const changed = (port: number, path: string): { status: number; isChanged: boolean } | undefined => {
    const status = process.status(port, path);
    if (status === undefined) return undefined;
    const other = statusOf(path.split('?')[0] ?? '/', status);
    return { status: other, isChanged: other !== status };
  };
  return {
    status: (port, path) => changed(port, path)?.status,
    listens: (port) => process.listens(port),
    fetch: (port, request, path) => {
      const found = changed(port, path);
      return found?.isChanged
        ? Promise.resolve(new Response('Internal Server Error', { status: found.status }))
        : process.fetch?.(port, request, path);
    },
    exec: (command) => process.exec?.(command) ?? 1,
    lookAgain: (where) => process.lookAgain?.(where),
    stop: () => process.stop(),
  };
}
