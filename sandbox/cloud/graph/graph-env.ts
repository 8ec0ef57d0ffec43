import type { CallContext } from '../world.ts';
import type { GraphCaller } from './caller.ts';

/** What Graph's routes find in their context. */
export interface GraphEnv {
  Bindings: CallContext;
  Variables: { caller: GraphCaller };
}
