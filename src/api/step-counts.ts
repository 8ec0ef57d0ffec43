import type { OperationRecord, StepRecord } from '../store/store.ts';

export interface StepCounts {
  readonly total: number;
  readonly ready: number;
  /** Those that move, and those whose turn has not come. */
  readonly waiting: number;
  readonly failed: number;
  readonly blocked: number;
}

export function countSteps(steps: readonly Pick<StepRecord, 'state'>[]): StepCounts {
  const count = (...states: readonly StepRecord['state'][]): number =>
    steps.filter(({ state }) => states.includes(state)).length;
  return {
    total: steps.length,
    ready: count('ready'),
    waiting: count('waiting', 'pending'),
    failed: count('failed'),
    blocked: count('blocked'),
  };
}

export type DeploymentState = 'unknown' | 'changing' | 'ready' | 'failed';

/** One word for a whole deployment; `unknown` until somebody has looked. */
export function deploymentState(counts: StepCounts, operation: OperationRecord | undefined): DeploymentState {
  if (operation?.state === 'accepted' || operation?.state === 'running') return 'changing';
  if (counts.failed > 0 || counts.blocked > 0 || operation?.state === 'failed') return 'failed';
  if (counts.waiting > 0) return 'changing';
  return counts.total > 0 ? 'ready' : 'unknown';
}
