/** Looks at the health of one deployment: all its systems at once, and what they answer is told to the store. */
import type { OrchestrationContext } from 'durable-functions';
import { call, callAll, type Durable, nowOf, waitForEvent } from './durable.ts';

/** The external event by which whoever wants to know now ends the wait of a check that is still to have its turn. */
export const CHECK_NOW = 'checkNow';

export interface CheckDeploymentInput {
  readonly deployment: string;
  /** When it is this deployment's turn, in milliseconds since 1970; at once when absent. */
  readonly notBefore?: number;
}

/** When the store does not answer there is nobody to tell; the timer comes again. */
export function* checkDeployment(context: OrchestrationContext): Durable<void> {
  const { deployment, notBefore } = context.df.getInput<CheckDeploymentInput>();
  if (notBefore !== undefined && notBefore > nowOf(context)) {
    yield* waitForEvent(context, CHECK_NOW, notBefore);
  }
  const at = nowOf(context);
  const described = yield* call(context, 'describeChecks', { deployment });
  if (!described.ok || described.systems.length === 0) return;
  const { systems } = described;
  const answers = yield* callAll(
    context,
    'runChecks',
    systems.map((system) => ({ deployment, system, now: at })),
  );
  const told = answers.map(({ results }, index) => ({ system: systems[index] ?? '', results }));
  yield* call(context, 'recordHealth', { deployment, at, systems: told });
}
