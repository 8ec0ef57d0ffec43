/** The control plane as its users see it: an HTTP API with a function key. */
import type { Endpoints } from './sandbox.ts';

export interface Step {
  readonly key: string;
  readonly title: string;
  readonly state: 'pending' | 'waiting' | 'ready' | 'failed' | 'blocked';
  readonly did: 'nothing' | 'created' | 'repaired';
  readonly reason?: string;
  readonly failure?: { readonly code: string; readonly message: string };
  readonly startedAt?: string;
  readonly readyAt?: string;
}

/** A new value of a secret that has been proven to be in use. */
export interface Receipt {
  readonly secret: string;
  readonly version: string;
  /** Of the event that told of it, when that was an earlier one. */
  readonly announcedVersion?: string;
  readonly kubernetesSecret: { readonly name: string; readonly resourceVersion: string };
  readonly workloads: readonly {
    readonly name: string;
    readonly revision: string;
    readonly pods: readonly string[];
  }[];
  readonly seconds: number;
}

export interface Operation {
  readonly id: string;
  readonly deployment: { readonly name: string };
  readonly state: 'accepted' | 'running' | 'succeeded' | 'failed';
  readonly cause?: { readonly what: string };
  readonly requestedAt: string;
  readonly finishedAt?: string;
  readonly failure?: { readonly key?: string; readonly code: string; readonly message: string };
  readonly receipts?: readonly Receipt[];
  readonly steps: readonly Step[];
  readonly criticalPath: {
    readonly seconds: number;
    readonly steps: readonly { readonly key: string; readonly seconds: number }[];
  };
}

/** Something that a cloud told the control plane, and what became of it. */
export interface ReceivedEvent {
  readonly id: string;
  readonly type: string;
  readonly subject: string;
  /** Of a secret, or the digest of an image. */
  readonly version?: string;
  readonly occurredAt: string;
  readonly receivedAt: string;
  /** In words. */
  readonly what: string;
  readonly outcome: 'pending' | 'acted' | 'nothing-differed' | 'ignored' | 'failed';
  readonly reason?: string;
  readonly operation?: { readonly id: string; readonly url: string };
  readonly provenAt?: string;
  readonly secondsToProof?: number;
}

/** An image that failed and is not deployed again. */
export interface QuarantinedImage {
  readonly digest: string;
  readonly repository: string;
  readonly reason: string;
}

export interface Deployment {
  readonly name: string;
  readonly spec: unknown;
  readonly quarantine?: readonly QuarantinedImage[];
  readonly lastOperation?: {
    readonly id: string;
    readonly state: Operation['state'];
  };
  readonly findings?: readonly {
    readonly id: string;
    readonly resource: string;
    readonly severity: string;
    readonly what: string;
  }[];
}

export interface Problem {
  readonly title: string;
  readonly detail?: string;
  readonly errors?: readonly { readonly field: string; readonly message: string }[];
}

/** Thrown when the API refuses a request; the message lists every field it named. */
export class RefusedError extends Error {
  constructor(status: number, problem: Problem) {
    const fields = (problem.errors ?? []).map(({ field, message }) => `  ${field}: ${message}`);
    super([`${status} ${problem.title}${problem.detail ? `: ${problem.detail}` : ''}`, ...fields].join('\n'));
    this.name = 'RefusedError';
  }
}

export class ControlPlane {
  readonly #endpoints: Pick<Endpoints, 'functions' | 'functionsKey'>;

  constructor(endpoints: Pick<Endpoints, 'functions' | 'functionsKey'>) {
    this.#endpoints = endpoints;
  }

  /** Asks for a deployment, with a spec in YAML; answers the operation's id. Throws RefusedError. */
  async put(name: string, spec: string): Promise<string> {
    const answer = await this.#request(`/api/deployments/${encodeURIComponent(name)}`, {
      method: 'PUT',
      body: spec,
      headers: { 'content-type': 'application/yaml' },
    });
    return operationOf(answer);
  }

  async deployment(name: string): Promise<Deployment> {
    const answer = await this.#request(`/api/deployments/${encodeURIComponent(name)}`);
    return (await answer.json()) as Deployment;
  }

  /** Newest first. */
  async events(name: string): Promise<readonly ReceivedEvent[]> {
    const answer = await this.#request(`/api/deployments/${encodeURIComponent(name)}/events`);
    return ((await answer.json()) as { events: readonly ReceivedEvent[] }).events;
  }

  /** Asks for new values of these secrets; answers the operation's id. Throws RefusedError. */
  async rotate(name: string, what: readonly string[]): Promise<string> {
    const answer = await this.#request(`/api/deployments/${encodeURIComponent(name)}/rotate`, {
      method: 'POST',
      body: JSON.stringify({ what }),
      headers: { 'content-type': 'application/json' },
    });
    return operationOf(answer);
  }

  /** Lets an image be deployed again that has failed before; answers the operation's id. Throws RefusedError. */
  async liftQuarantine(name: string, digest: string): Promise<string> {
    const path = `/api/deployments/${encodeURIComponent(name)}/quarantine/${encodeURIComponent(digest)}`;
    return operationOf(await this.#request(path, { method: 'DELETE' }));
  }

  async operation(id: string): Promise<Operation> {
    const answer = await this.#request(`/api/operations/${encodeURIComponent(id)}`);
    return (await answer.json()) as Operation;
  }

  /** Looks every `everyMilliseconds` (real) until it has ended; a host that is away for a moment is waited for. */
  async watch(id: string, see: (operation: Operation) => void, everyMilliseconds = 250): Promise<Operation> {
    for (;;) {
      const operation = await this.operation(id).catch((error: unknown) => {
        if (error instanceof RefusedError) throw error;
        return undefined;
      });
      if (operation) {
        see(operation);
        if (operation.state === 'succeeded' || operation.state === 'failed') return operation;
      }
      await new Promise((resolve) => setTimeout(resolve, everyMilliseconds));
    }
  }

  async #request(path: string, init: RequestInit = {}): Promise<Response> {
    const answer = await fetch(`${this.#endpoints.functions}${path}`, {
      ...init,
      headers: { ...init.headers, 'x-functions-key': this.#endpoints.functionsKey },
    });
    if (answer.ok) return answer;
    const text = await answer.text();
    let problem: Problem = { title: answer.statusText };
    try {
      problem = JSON.parse(text) as Problem;
    } catch {
      // Not every refusal is the API's own: a wrong key is answered by the host, with nothing.
    }
    throw new RefusedError(answer.status, problem);
  }
}

async function operationOf(answer: Response): Promise<string> {
  const location = answer.headers.get('operation-location');
  await answer.body?.cancel();
  if (!location) throw new Error('the answer has no Operation-Location');
  return new URL(location).pathname.split('/').at(-1) ?? '';
}
