/**
 * `python -c …` in the image of Open WebUI, which has psycopg2. The sandbox runs no Python: it knows two programs. One
 * writes a file (python-share-write.ts); the other tries to connect with DATABASE_URL and tells by its exit code whether
 * that worked. Of its source are read how often it tries, after which words it gives up, how long it pauses, and which
 * words it prints; the connection is a real one, over the pod's network. Everything else says loudly that it is not
 * simulated.
 */
import { PYTHON_IMPORTS } from '../durations.ts';
import type { Process, ProcessContext } from './process.ts';
import { writeProblem, writtenFile } from './python-share-write.ts';

interface Program {
  readonly attempts: number;
  readonly pauseSeconds: number;
  readonly timeoutSeconds: number;
  /** What of an error's text is printed. */
  readonly known: readonly string[];
  /** The first so many of `known` end the program. */
  readonly final: number;
}

export function isPython({ container }: Pick<ProcessContext, 'container'>): boolean {
  return /^(\/usr\/(local\/)?bin\/)?python3?$/.test(container.command?.[0] ?? '');
}

export function startPython(context: ProcessContext): Process {
  const python = new Python(context);
  python.start();
  return python;
}

class Python implements Process {
  readonly #context: ProcessContext;
  #isStopped = false;

  constructor(context: ProcessContext) {
    this.#context = context;
  }

  start(): void {
    const { container } = this.#context;
    const words = [...(container.command ?? []), ...(container.args ?? [])];
    const file = writtenFile(words);
    if (file !== undefined) {
      this.#write(file);
      return;
    }
    const program = read(words);
    if (!program) {
      this.#context.log('this Python program is not simulated');
      this.#context.after(0, () => this.#context.exit(2));
      return;
    }
    this.#context.after(PYTHON_IMPORTS, () => void this.#attempt(program, 1));
  }

  #write(file: string): void {
    this.#context.after(PYTHON_IMPORTS, () => {
      const problem = writeProblem(this.#context, file);
      if (problem !== undefined) this.#context.log(problem);
      this.#context.exit(problem === undefined ? 0 : 1);
    });
  }

  async #attempt(program: Program, number: number): Promise<void> {
    const refusal = await this.#connect();
    if (this.#isStopped) return;
    if (refusal === undefined) {
      this.#context.exit(0);
      return;
    }
    const isLate = /timed out|timeout/i.test(refusal);
    // With connect_timeout libpq says so in its own words.
    const text = isLate ? 'timeout expired' : refusal;
    this.#context.after(isLate ? program.timeoutSeconds * 1000 : 0, () => {
      this.#context.log(program.known.find((words) => text.includes(words)) ?? 'OperationalError');
      const isFinal = program.known.slice(0, program.final).some((words) => text.includes(words));
      if (isFinal) this.#context.exit(1);
      else if (number >= program.attempts)
        this.#context.after(program.pauseSeconds * 1000, () => this.#context.exit(1));
      else {
        this.#context.after(program.pauseSeconds * 1000, () => void this.#attempt(program, number + 1));
      }
    });
  }

  /** What psycopg2 would say; undefined when it logged in and was answered. */
  async #connect(): Promise<string | undefined> {
    const { env, pod, neighbours } = this.#context;
    const pool = this.#context.nodePool(pod.spec.nodeName);
    if (!pool) return 'Network is unreachable';
    try {
      const answer = await neighbours.databases.connect(env['DATABASE_URL'] ?? '', pool.vnetId);
      if (!answer.ok) return answer.reason;
      try {
        await answer.client.query('SELECT 1');
      } finally {
        await answer.client.end().catch(() => undefined);
      }
      return undefined;
    } catch (error) {
      return error instanceof Error ? error.message : 'connection failed';
    }
  }

  status(): undefined {
    return undefined;
  }

  listens(): boolean {
    return false;
  }

  stop(): void {
    this.#isStopped = true;
  }
}

/** Undefined for any other program. */
function read([, flag, source, ...rest]: readonly string[]): Program | undefined {
  if (flag !== '-c' || source === undefined || rest.length > 0) return undefined;
  const timeout = /psycopg2\.connect\(os\.environ\["DATABASE_URL"\], connect_timeout=(\d+)\)/.exec(
    source,
  )?.[1];
  const attempts = /for attempt in range\((\d+)\):/.exec(source)?.[1];
  const pause = /time\.sleep\((\d+)\)/.exec(source)?.[1];
  const known = /^known = \((.*)\)$/m.exec(source)?.[1];
  const final = /^final = known\[:(\d+)\]$/m.exec(source)?.[1];
  if (!timeout || !attempts || !pause || !known || !final || !source.includes('execute("SELECT 1")'))
    return undefined;
  return {
    attempts: Number(attempts),
    pauseSeconds: Number(pause),
    timeoutSeconds: Number(timeout),
    known: [...known.matchAll(/"([^"]*)"/g)].map(([, words = '']) => words),
    final: Number(final),
  };
}
