/**
 * The Node.js worker's side: answers `require('@azure/functions-core')`, loads the app's entry points, keeps what they
 * register, and runs hooks and invocations as the worker does. There is one app per process, because that answer is
 * global.
 */
import { randomUUID } from 'node:crypto';
import { createRequire, registerHooks } from 'node:module';
import { pathToFileURL } from 'node:url';
import { WorkerError } from './function-error.ts';
import type {
  CoreInvocationContext,
  FunctionCallback,
  FunctionMetadata,
  ProgrammingModel,
  RpcInvocationResponse,
  RpcTypedData,
} from './functions-core.ts';
import type { Log, LogLevel } from './log.ts';

type HookName = 'appStart' | 'appTerminate' | 'preInvocation' | 'postInvocation' | 'log';
type HookCallback = (context: Record<string, unknown>) => unknown;

const hookNames: readonly string[] = ['appStart', 'appTerminate', 'preInvocation', 'postInvocation', 'log'];

export interface RegisteredFunction {
  readonly id: string;
  readonly name: string;
  readonly metadata: FunctionMetadata;
  readonly callback: FunctionCallback;
}

export interface InvocationRequest {
  readonly invocationId?: string;
  readonly inputData: readonly { readonly name: string; readonly data: RpcTypedData }[];
  readonly triggerMetadata: Readonly<Record<string, RpcTypedData>>;
}

export const hostVersion = '4.1044.0';
const workerVersion = '3.13.0';

export class Worker {
  readonly #log: Log;
  readonly #functions = new Map<string, RegisteredFunction>();
  readonly #hooks = new Map<HookName, Set<HookCallback>>();
  readonly #appHookData: Record<string, unknown> = {};
  #model: ProgrammingModel | undefined;
  #isStarted = false;
  /** Where the library's own HTTP server listens, when the app asked for HTTP streams. */
  httpProxy: URL | undefined;

  constructor(log: Log) {
    this.#log = log;
  }

  get functions(): readonly RegisteredFunction[] {
    return [...this.#functions.values()];
  }

  /** Loads the entry points one after the other and runs the appStart hooks. Rejects with what the app threw. */
  async start(entryPoints: readonly string[]): Promise<void> {
    this.#intercept();
    for (const file of entryPoints) {
      // Only a .cjs file is surely CommonJS; `import` takes either kind.
      if (file.endsWith('.cjs')) createRequire(file)(file);
      else await import(pathToFileURL(file).href);
    }
    if (!this.#model) {
      throw new WorkerError('The app did not register any function with @azure/functions.');
    }
    const capabilities = await this.#model.getCapabilities({});
    const httpUri = capabilities['HttpUri'];
    if (httpUri) this.httpProxy = new URL(httpUri);
    await this.#runHooks('appStart', { hookData: this.#appHookData });
    this.#isStarted = true;
  }

  async terminate(): Promise<void> {
    await this.#runHooks('appTerminate', { hookData: this.#appHookData });
  }

  /** Invokes a function. Rejects with what it, or a hook, threw. */
  async invoke(called: RegisteredFunction, request: InvocationRequest): Promise<RpcInvocationResponse> {
    if (!this.#model) throw new WorkerError('The app is not loaded.');
    const invocationId = request.invocationId ?? randomUUID();
    const context: CoreInvocationContext = {
      invocationId,
      request: { ...request, invocationId, functionId: called.id },
      metadata: called.metadata,
      state: undefined,
      log: (level, category, message) => this.#appLog(level, category, message, called.name, userContext),
    };
    let userContext: unknown;
    const model = this.#model.getInvocationModel(context);
    const { context: invocationContext, inputs } = await model.getArguments();
    userContext = invocationContext;
    const shared = { hookData: {}, appHookData: this.#appHookData, invocationContext };
    const before: Record<string, unknown> = { ...shared, inputs, functionCallback: called.callback };
    context.state = 'preInvocationHooks';
    await this.#runHooks('preInvocation', before);
    const after: Record<string, unknown> = {
      ...shared,
      inputs: before['inputs'],
      result: undefined,
      error: undefined,
    };
    context.state = 'invocation';
    try {
      const callback = before['functionCallback'] as FunctionCallback;
      after['result'] = await model.invokeFunction(
        invocationContext,
        before['inputs'] as unknown[],
        callback,
      );
    } catch (error) {
      after['error'] = error;
    }
    context.state = 'postInvocationHooks';
    await this.#runHooks('postInvocation', after);
    const error = after['error'];
    if (error !== undefined && error !== null) throw error;
    return model.getResponse(invocationContext, after['result']);
  }

  #intercept(): void {
    const api = {
      version: workerVersion,
      hostVersion,
      registerHook: (name: string, callback: HookCallback) => this.#registerHook(name, callback),
      setProgrammingModel: (model: ProgrammingModel) => {
        if (this.#isStarted)
          throw new WorkerError('Cannot set the programming model after the app has started.');
        this.#model = model;
      },
      getProgrammingModel: () => this.#model,
      log: (level: LogLevel, category: string, message: string) =>
        this.#appLog(level, category, message, undefined, undefined),
      registerFunction: (metadata: FunctionMetadata, callback: FunctionCallback) =>
        this.#registerFunction(metadata, callback),
      Disposable,
    };
    Object.assign(globalThis, { [Symbol.for('sandbox.functions-core')]: api });
    registerHooks({
      resolve(specifier, context, nextResolve) {
        if (specifier !== '@azure/functions-core') return nextResolve(specifier, context);
        const url = new URL('./functions-core.cjs', import.meta.url).href;
        return { url, format: 'commonjs', shortCircuit: true };
      },
    });
  }

  #registerHook(name: string, callback: HookCallback): Disposable {
    if (!hookNames.includes(name)) {
      const error = new WorkerError(`Unrecognized hook "${name}"`);
      error.name = 'RangeError';
      throw error;
    }
    const hooks = this.#hooks.get(name as HookName) ?? new Set();
    this.#hooks.set(name as HookName, hooks.add(callback));
    return new Disposable(() => hooks.delete(callback));
  }

  #registerFunction(metadata: FunctionMetadata, callback: FunctionCallback): Disposable {
    if (this.#isStarted) {
      throw new WorkerError('A function can only be registered during app startup.');
    }
    const id = metadata.functionId ?? metadata.name;
    const key = id.toLowerCase();
    if (this.#functions.has(key))
      throw new WorkerError(`A function with id "${id}" has already been registered.`);
    this.#functions.set(key, { id, name: metadata.name, metadata, callback });
    return new Disposable(() => {
      if (this.#isStarted) throw new WorkerError('A function can only be disposed during app startup.');
      this.#functions.delete(key);
    });
  }

  async #runHooks(name: HookName, context: Record<string, unknown>): Promise<void> {
    for (const hook of this.#hooks.get(name) ?? []) await hook(context);
  }

  #appLog(
    level: LogLevel,
    category: string,
    message: string,
    functionName: string | undefined,
    invocationContext: unknown,
  ): void {
    const context: Record<string, unknown> = { hookData: {}, level, message, category, invocationContext };
    for (const hook of this.#hooks.get('log') ?? []) hook(context);
    const source = functionName === undefined ? 'Worker' : `Function.${functionName}`;
    const written = category === 'user' || functionName === undefined ? source : `${source}.${category}`;
    this.#log.write(context['level'] as LogLevel, written, String(context['message']));
  }
}

class Disposable {
  readonly #onDispose: () => unknown;
  constructor(onDispose: () => unknown) {
    this.#onDispose = onDispose;
  }
  static from(...disposables: { dispose(): unknown }[]): Disposable {
    return new Disposable(() => {
      for (const disposable of disposables) disposable.dispose();
    });
  }
  dispose(): unknown {
    return this.#onDispose();
  }
}
