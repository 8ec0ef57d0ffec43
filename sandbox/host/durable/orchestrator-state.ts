/**
 * What an orchestrator function hands back after each episode: the state the durable-functions library builds
 * (`OrchestratorState`), either as its result or behind `$OutOfProcData$:` in the message of the error it throws.
 */
import { z } from 'zod';

/** `ActionType` of the library; 10 is only known to the extension. */
export const ActionType = {
  CallActivity: 0,
  CallActivityWithRetry: 1,
  CallSubOrchestrator: 2,
  CallSubOrchestratorWithRetry: 3,
  ContinueAsNew: 4,
  CreateTimer: 5,
  WaitForExternalEvent: 6,
  CallEntity: 7,
  CallHttp: 8,
  SignalEntity: 9,
  ScheduledSignalEntity: 10,
  WhenAny: 11,
  WhenAll: 12,
  LockEntities: 13,
  ReleaseEntities: 14,
} as const;

const retryOptionsSchema = z.object({
  firstRetryIntervalInMilliseconds: z.number(),
  maxNumberOfAttempts: z.number(),
  backoffCoefficient: z.number().nullish(),
  maxRetryIntervalInMilliseconds: z.number().nullish(),
  retryTimeoutInMilliseconds: z.number().nullish(),
});
export type RetryOptions = z.infer<typeof retryOptionsSchema>;

const entityIdSchema = z.object({ name: z.string(), key: z.string() });

const actionSchema = z.object({
  actionType: z.number(),
  functionName: z.string().nullish(),
  input: z.unknown().optional(),
  instanceId: z.string().nullish(),
  version: z.string().nullish(),
  retryOptions: retryOptionsSchema.nullish(),
  fireAt: z.string().nullish(),
  isCanceled: z.boolean().nullish(),
  externalEventName: z.string().nullish(),
  operation: z.string().nullish(),
  httpRequest: z.unknown().optional(),
  lockSet: z.array(entityIdSchema).nullish(),
  lockRequestId: z.string().nullish(),
  get compoundActions() {
    return z.array(actionSchema).nullish();
  },
});
export type Action = z.infer<typeof actionSchema>;

const stateSchema = z.object({
  isDone: z.boolean(),
  actions: z.array(z.array(actionSchema)),
  output: z.unknown().optional(),
  error: z.string().nullish(),
  customStatus: z.unknown().optional(),
  schemaVersion: z.number(),
});
export type OrchestratorState = z.infer<typeof stateSchema>;

/** Thrown when a function's result is not an orchestrator's state. */
export class StateError extends Error {
  override readonly name = 'StateError';
}

/** Parses the JSON value an orchestrator function returned. Throws StateError. */
export function toOrchestratorState(value: unknown): OrchestratorState {
  const parsed = stateSchema.safeParse(value);
  if (!parsed.success) {
    throw new StateError(
      `The orchestrator function did not return a durable orchestrator state: ${z.prettifyError(parsed.error)}`,
    );
  }
  const { schemaVersion, actions } = parsed.data;
  if (schemaVersion < 1 || schemaVersion > 3) {
    throw new StateError(
      `The orchestrator state has schema version ${schemaVersion}; this host replays versions 1 (V2) to 3 (V4).`,
    );
  }
  if (actions.length !== 1) {
    throw new StateError(`Expected one list of actions in the orchestrator state but got ${actions.length}.`);
  }
  return parsed.data;
}

const outOfProcLabel = '$OutOfProcData$:';

/** The state inside a failed orchestrator's error message; undefined when the error is not the library's. */
export function stateFromError(message: string): OrchestratorState | undefined {
  const at = message.indexOf(outOfProcLabel);
  if (at < 0) return undefined;
  return toOrchestratorState(JSON.parse(message.slice(at + outOfProcLabel.length)));
}

/** An error's message without the state (and so without inputs and outputs) that the library appends to it. */
export function messageWithoutState(message: string): string {
  const at = message.indexOf(outOfProcLabel);
  return at < 0 ? message : message.slice(0, at).trimEnd();
}
