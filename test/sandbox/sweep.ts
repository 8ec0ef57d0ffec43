/** Sweeps asked for by hand, as an administrator of the functions host can, and when a sandbox has come to rest after one. */
import { expect } from 'vitest';
import { runTimer } from './run-timer.ts';
import { callsSince, type RecordedCall, type Sample, sampleName } from './sample.ts';

/** Real milliseconds without a call after which nothing is thought to be under way. */
const SILENCE = 1_500;
/** A run that is under way may take a sweep along without making one of it: then it is asked for again. */
const ASK_AGAIN = 20_000;
const PATIENCE = 180_000;

export const position = async (sample: Sample): Promise<number> => (await callsSince(sample, 0)).next;

/** What the control plane has called since then; Cloudflare cannot tell it from a person, who has the same token. */
export const ownCalls = async (sample: Sample, mark: number): Promise<readonly RecordedCall[]> =>
  (await callsSince(sample, mark)).calls.filter(({ service, caller }) =>
    service === 'cloudflare' ? caller === 'open-webui-control-plane' : caller === 'id-openwebui-ctl',
  );

/** Waits until the control plane calls nobody any more. */
export async function quiet(sample: Sample): Promise<void> {
  const calls = async (): Promise<number> => {
    const mark = await position(sample);
    await new Promise((resolve) => setTimeout(resolve, SILENCE));
    return (await ownCalls(sample, mark)).length;
  };
  await expect.poll(calls, { timeout: PATIENCE, interval: 100 }).toBe(0);
}

const sweptAt = async (sample: Sample): Promise<string | undefined> =>
  ((await sample.api.deployment(sampleName)) as { sweptAt?: string }).sweptAt;

/** Has everything looked at, and waits until that and all that follows of it is over. */
export async function sweep(sample: Sample): Promise<void> {
  const before = await sweptAt(sample);
  let asked = Number.NEGATIVE_INFINITY;
  const isSwept = async (): Promise<boolean> => {
    if ((await sweptAt(sample)) !== before) return true;
    if (performance.now() - asked > ASK_AGAIN) {
      await runTimer(sample, 'sweep');
      asked = performance.now();
    }
    return false;
  };
  await expect.poll(isSwept, { timeout: PATIENCE, interval: 100 }).toBe(true);
  await quiet(sample);
}
