import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    // Proofs take many minutes; `npm run prove` runs them.
    include: [process.env['PROVE'] ? 'test/**/*.proof.ts' : 'test/**/*.test.ts'],
    testTimeout: 30_000,
    hookTimeout: 60_000,
    // Suites start whole sandboxes, with processes of their own, on a clock that runs up to 300 times as fast as ours:
    // two at once would starve each other on two cores.
    maxWorkers: 1,
  },
});
