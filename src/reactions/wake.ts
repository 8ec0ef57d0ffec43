/**
 * How every trigger hands over, once its request lies in the deployment's inbox: there is at most one run per deployment;
 * a trigger starts it, and if one is running, makes sure that it will look into the inbox once more.
 */
import type { DurableClient } from 'durable-functions';
import {
  LOOK_AGAIN,
  type ReconcileDeploymentInput,
  type ReconcileStatus,
} from '../orchestrations/reconcile-deployment.ts';

export const instanceIdOf = (deployment: string): string => `deployment-${deployment}`;

const RUNNING = new Set(['Pending', 'Running', 'Suspended', 'ContinuedAsNew']);
/** Milliseconds between two looks at a run that is about to end, and how many. */
const LOOK_EVERY = 100;
const LOOKS = 50;

/** Throws when the durable backend does not answer, or a run neither goes on nor ends. */
export async function wake(client: DurableClient, deployment: string): Promise<void> {
  const instanceId = instanceIdOf(deployment);
  const input: ReconcileDeploymentInput = { deployment };
  for (let look = 0; look < LOOKS; look += 1) {
    if (look === 0 && (await start(client, instanceId, input))) return;
    if (look === 0) await raise(client, instanceId);
    const phase = await phaseOf(client, instanceId);
    if (phase === 'working') return;
    if (phase === 'ended' && (await start(client, instanceId, input))) return;
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY));
  }
  throw new Error(`the run ${instanceId} is ending for too long`);
}

/** False when an instance of that id is already running. */
async function start(
  client: DurableClient,
  instanceId: string,
  input: ReconcileDeploymentInput,
): Promise<boolean> {
  try {
    await client.startNew('reconcileDeployment', { instanceId, input });
    return true;
  } catch (error) {
    // The host answers 409; the library wraps it in an error whose only trace of that is its text.
    if (error instanceof Error && /status code: 409\b/.test(error.message)) return false;
    throw error;
  }
}

async function raise(client: DurableClient, instanceId: string): Promise<void> {
  try {
    await client.raiseEvent(instanceId, LOOK_AGAIN, {});
  } catch (error) {
    // 404 and 410: it has ended in between, which the look that follows finds out.
    if (!(error instanceof Error && /40[4]|410|no instance|completed|finished/i.test(error.message)))
      throw error;
  }
}

/** A run that has not said anything yet has its first look into the inbox before it. */
async function phaseOf(
  client: DurableClient,
  instanceId: string,
): Promise<ReconcileStatus['phase'] | 'ended'> {
  const status = await client.getStatus(instanceId).catch((error: unknown) => {
    if (isUnknownInstance(error)) return undefined;
    throw error;
  });
  if (!status || !RUNNING.has(String(status.runtimeStatus))) return 'ended';
  const said = status.customStatus as ReconcileStatus | null | undefined;
  return said?.phase ?? 'working';
}

const isUnknownInstance = (error: unknown): boolean =>
  error instanceof Error && /^No instance with ID|HTTP 404 response/.test(error.message);
