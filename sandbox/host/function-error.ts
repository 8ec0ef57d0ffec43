/** An invocation that took longer than host.json's functionTimeout. */
export class FunctionTimeoutError extends Error {
  override readonly name = 'FunctionTimeoutError';
}

/** An error the worker raises towards the app, marked as the Node.js worker marks its own. */
export class WorkerError extends Error {
  readonly isAzureFunctionsSystemError = true;
}
