/** An activity's code for its declared signature: the same, but asynchronous. It never rejects for a cloud's answer. */
// biome-ignore lint/suspicious/noExplicitAny: matches every function type to take it apart
export type Implementation<F extends (input: any) => unknown> = (
  input: Parameters<F>[0],
) => Promise<ReturnType<F>>;
