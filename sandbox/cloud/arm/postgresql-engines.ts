/** Which engine stands behind which ARM: the types are constants, the engine belongs to one running sandbox. */
import type { Frame } from './frame/frame.ts';
import type { PostgresEngine } from './postgresql-engine.ts';

const engines = new WeakMap<Frame, PostgresEngine>();

export function setEngine(frame: Frame, engine: PostgresEngine): void {
  engines.set(frame, engine);
}

/** Throws when `createDatabases` has not been called for this ARM. */
export function engineOf(frame: Frame): PostgresEngine {
  const engine = engines.get(frame);
  if (!engine) throw new Error('no database engine stands behind this Resource Manager');
  return engine;
}
