import { createServer } from 'node:net';

/** A port of 127.0.0.1 that nobody listens on at this moment, for programs that cannot choose one themselves. */
export function freePort(): Promise<number> {
  return new Promise((found, failed) => {
    const probe = createServer();
    probe.once('error', failed);
    probe.listen(0, '127.0.0.1', () => {
      const address = probe.address();
      const port = address && typeof address === 'object' ? address.port : 0;
      probe.close(() => found(port));
    });
  });
}
