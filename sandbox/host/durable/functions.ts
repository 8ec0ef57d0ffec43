/** What the durable engine asks of the rest of the host: the app's functions, by durable kind. */
export type DurableKind = 'orchestrator' | 'activity' | 'entity';

export interface DurableFunctions {
  /** The registered name; durable function names are compared without regard to case. */
  find(kind: DurableKind, name: string): string | undefined;
  names(kind: DurableKind): readonly string[];
  /**
   * Invokes a registered function with its trigger's value and resolves with the value it returned (JSON). Rejects with
   * what it threw, or with a FunctionTimeoutError.
   */
  invoke(name: string, trigger: { readonly value: string; readonly instanceId: string }): Promise<unknown>;
}

/** The extension's message for a function that is not there, in its words. */
export function missingFunctionMessage(functions: DurableFunctions, kind: DurableKind, name: string): string {
  const known = functions.names(kind);
  const others =
    known.length > 0
      ? `The following are the known ${kind} functions: '${known.join("', '")}'.`
      : `No ${kind} functions are currently registered!`;
  return `The function '${name}' doesn't exist, is disabled, or is not an ${kind} function. Additional info: ${others}`;
}
