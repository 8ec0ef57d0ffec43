/** Invokes the app's functions, whatever triggered them: input bindings, time limit, log lines, counting. */
import { randomUUID } from 'node:crypto';
import { messageWithoutState } from './durable/orchestrator-state.ts';
import { FunctionTimeoutError } from './function-error.ts';
import type { RpcBindingInfo, RpcInvocationResponse, RpcTypedData } from './functions-core.ts';
import type { Log } from './log.ts';
import type { RegisteredFunction, Worker } from './worker.ts';

export interface TriggerData {
  readonly invocationId?: string;
  readonly value: RpcTypedData;
  readonly metadata?: Readonly<Record<string, RpcTypedData>>;
}

export class Invocations {
  readonly #worker: Worker;
  readonly #log: Log;
  readonly #timeout: number | undefined;
  readonly #clientBinding: () => string;
  readonly #now: () => number;
  readonly #running = new Set<Promise<unknown>>();

  constructor(options: {
    worker: Worker;
    log: Log;
    /** Milliseconds of real time. */
    timeout: number | undefined;
    /** The value of a durableClient input binding. */
    clientBinding: () => string;
    now: () => number;
  }) {
    this.#worker = options.worker;
    this.#log = options.log;
    this.#timeout = options.timeout;
    this.#clientBinding = options.clientBinding;
    this.#now = options.now;
  }

  /** Resolves with the worker's response. Rejects with what the function threw, or with FunctionTimeoutError. */
  invoke(called: RegisteredFunction, trigger: TriggerData): Promise<RpcInvocationResponse> {
    const invocation = this.#invoke(called, trigger);
    const tracked = invocation.catch(() => undefined).finally(() => this.#running.delete(tracked));
    this.#running.add(tracked);
    return invocation;
  }

  /** Resolves when no invocation is running. */
  async idle(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running);
  }

  async #invoke(called: RegisteredFunction, trigger: TriggerData): Promise<RpcInvocationResponse> {
    const invocationId = trigger.invocationId ?? randomUUID();
    const { name } = called;
    const isDurable = /^(orchestration|entity)trigger$/i.test(triggerOf(called).binding.type ?? '');
    const note = (level: 'debug' | 'information', text: string): void =>
      this.#log.write(isDurable ? 'debug' : level, `Function.${name}`, text);
    note('information', `Executing 'Functions.${name}' (Id=${invocationId})`);
    const started = performance.now();
    try {
      const running = this.#worker.invoke(called, {
        invocationId,
        inputData: this.#inputData(called, trigger.value),
        triggerMetadata: { ...trigger.metadata, sys: this.#systemMetadata(name) },
      });
      const response = await this.#withinLimit(called, running);
      const duration = Math.round(performance.now() - started);
      note(
        'information',
        `Executed 'Functions.${name}' (Succeeded, Id=${invocationId}, Duration=${duration}ms)`,
      );
      return response;
    } catch (error) {
      const duration = Math.round(performance.now() - started);
      const message = messageWithoutState(error instanceof Error ? error.message : String(error));
      const text = `Executed 'Functions.${name}' (Failed, Id=${invocationId}, Duration=${duration}ms): ${message}`;
      this.#log.write('error', `Function.${name}`, text);
      throw error;
    }
  }

  async #withinLimit<Result>(called: RegisteredFunction, running: Promise<Result>): Promise<Result> {
    if (this.#timeout === undefined) return running;
    let timer: NodeJS.Timeout | undefined;
    const limit = new Promise<never>((_resolve, reject) => {
      timer = setTimeout(
        () =>
          reject(
            new FunctionTimeoutError(
              `Timeout value of ${(this.#timeout ?? 0) / 1000} s was exceeded by function: Functions.${called.name}`,
            ),
          ),
        this.#timeout,
      );
    });
    try {
      return await Promise.race([running, limit]);
    } finally {
      clearTimeout(timer);
    }
  }

  #inputData(called: RegisteredFunction, value: RpcTypedData): { name: string; data: RpcTypedData }[] {
    const inputs: { name: string; data: RpcTypedData }[] = [];
    for (const [name, binding] of Object.entries(called.metadata.bindings)) {
      const type = binding.type?.toLowerCase() ?? '';
      if (type.endsWith('trigger')) inputs.push({ name, data: value });
      else if (type === 'durableclient' || type === 'orchestrationclient') {
        inputs.push({ name, data: { string: this.#clientBinding() } });
      }
    }
    return inputs;
  }

  #systemMetadata(name: string): RpcTypedData {
    const utcNow = new Date(this.#now()).toISOString();
    return { json: JSON.stringify({ MethodName: name, UtcNow: utcNow, RandGuid: randomUUID() }) };
  }
}

/** The function's trigger binding and its name. */
export function triggerOf(called: RegisteredFunction): { name: string; binding: RpcBindingInfo } {
  const found = Object.entries(called.metadata.bindings).find(([, binding]) =>
    binding.type?.toLowerCase().endsWith('trigger'),
  );
  if (!found) throw new Error(`Function '${called.name}' has no trigger binding`);
  return { name: found[0], binding: found[1] };
}

/** The trigger's type in lower case, such as `httptrigger`. */
export function triggerType(called: RegisteredFunction): string {
  return triggerOf(called).binding.type?.toLowerCase() ?? '';
}

/** What a typed value means to the host; bytes become base64 text, as in the real host. */
export function fromTypedData(data: RpcTypedData | null | undefined): unknown {
  if (!data) return undefined;
  if (data.json !== undefined) return JSON.parse(data.json);
  if (data.string !== undefined) return data.string;
  if (data.bytes !== undefined) return Buffer.from(data.bytes).toString('base64');
  return data.int ?? data.double;
}
