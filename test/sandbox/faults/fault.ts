/** One thing that somebody breaks in a stack that runs, and what a check has to say of it first. */
import { gatherPeople, type Json, type People } from '../drifts/people.ts';
import { at } from '../drifts/seed.ts';
import type { Answer, Sample } from '../sample.ts';
import type { SeedEntry } from './seed-entries.ts';

export { group, type Json } from '../drifts/people.ts';
export { at };

/** Everything a person can lay hands on. */
export interface Hands extends People {
  readonly sample: Sample;
  /** The deployment's vault. */
  vault(method: string, path: string, body?: Json): Promise<Json>;
  /** The sandbox's control door. */
  door(method: string, path: string, body?: Json): Promise<Json>;
  /** The control plane's API, for this deployment. */
  call(method: string, path: string, body?: Json): Promise<Answer>;
}

export interface Fault {
  /** A whole sentence: `Somebody has stopped the cluster`. */
  readonly what: string;
  /** What of the published project's chapters it stands for. */
  readonly seed: SeedEntry;
  /** The first finding about it: `azure/cluster cluster-stopped`. */
  readonly finding: string;
  /** The same in the words of a check that looked another way. */
  readonly orElse?: string;
  break(hands: Hands): Promise<unknown>;
  /** `repair`: by the call that the finding names, as a person would; otherwise by undoing it. */
  readonly mend: 'repair' | ((hands: Hands) => Promise<unknown>);
  /** What only people can do before a repair helps, as the remedy says. */
  beforeRepair?(hands: Hands): Promise<unknown>;
  /** Takes away what a repair rightly leaves. */
  tidy?(hands: Hands): Promise<unknown>;
}

export async function gatherHands(sample: Sample): Promise<Hands> {
  const people = await gatherPeople(sample);
  const withBody = (body: Json): { body?: Json } => (body === undefined ? {} : { body });
  return {
    ...people,
    sample,
    // What is being changed already takes no other change, and says so.
    arm: (method, path, body) => patiently(() => people.arm(method, path, body)),
    vault: async (method, path, body) =>
      (await sample.clouds.vault('kv-openwebui', path, { method, ...withBody(body) })).body,
    door: async (method, path, body) => {
      const answer = await fetch(`${sample.sandbox.endpoints.sandbox}${path}`, {
        method,
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
      return answer.json();
    },
    call: (method, path, body) => sample.call(method, path, body),
  };
}

/** Real milliseconds for which a cloud may be busy with the change before. */
const BUSY = 120_000;

async function patiently<T>(work: () => Promise<T>): Promise<T> {
  const deadline = performance.now() + BUSY;
  for (;;) {
    try {
      return await work();
    } catch (error) {
      const isBusy = /: (409|429) /.test(String(error));
      if (!isBusy || performance.now() > deadline) throw error;
      await new Promise((resolve) => setTimeout(resolve, 500));
    }
  }
}

/** Waits until what ARM was asked for is over; answers the resource, or undefined when it is gone. */
export async function settled({ arm }: Pick<Hands, 'arm'>, path: string): Promise<Json> {
  const deadline = performance.now() + BUSY;
  for (;;) {
    const found = await arm('GET', path).catch((error: unknown) => {
      if (/: 404 /.test(String(error))) return undefined;
      throw error;
    });
    const state = at(found, 'properties', 'provisioningState') ?? at(found, 'properties', 'state');
    if (found === undefined || !/ing$/.test(String(state))) return found;
    if (performance.now() > deadline) throw new Error(`${path} is still ${String(state)}`);
    await new Promise((resolve) => setTimeout(resolve, 250));
  }
}
