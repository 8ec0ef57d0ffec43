/**
 * How every trigger hands over: "look again at this deployment, for this operation". There is at most one run per
 * deployment. A trigger starts it; if one is running, it is asked by an event, and the trigger makes sure that the
 * run really took the request up, since it may have been about to end.
 */
import type { DurableClient } from 'durable-functions';
import {
  LOOK_AGAIN,
  type LookAgainRequest,
  type ReconcileDeploymentInput,
  type ReconcileStatus,
} from '../orchestrations/reconcile-deployment.ts';

export const instanceIdOf = (deployment: string): string => `deployment-${deployment}`;

const RUNNING = new Set(['Pending', 'Running', 'Suspended', 'ContinuedAsNew']);
/** Milliseconds between two looks at whether the running instance has taken the request up, and how many. */
const LOOK_EVERY = 100;
const LOOKS = 30;

/** Throws when the durable backend does not answer. */
export async function lookAgain(
  client: DurableClient,
  request: { readonly deployment: string; readonly operationId: string },
): Promise<void> {
  const instanceId = instanceIdOf(request.deployment);
  const operation = { id: request.operationId };
  const input: ReconcileDeploymentInput = { deployment: request.deployment, operations: [operation] };
  for (let attempt = 0; attempt < 3; attempt += 1) {
    if (await start(client, instanceId, input)) return;
    const event: LookAgainRequest = { operation };
    await raise(client, instanceId, event);
    if ((await takenUp(client, instanceId, request.operationId)) !== 'ended') return;
  }
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

async function raise(client: DurableClient, instanceId: string, event: LookAgainRequest): Promise<void> {
  try {
    await client.raiseEvent(instanceId, LOOK_AGAIN, event);
  } catch (error) {
    // 404 and 410: it has ended in between, which the look that follows finds out.
    if (!(error instanceof Error && /40[4]|410|no instance|completed|finished/i.test(error.message)))
      throw error;
  }
}

/** `busy` when it is in the middle of a round: the request is in its queue and it will come to it. */
async function takenUp(
  client: DurableClient,
  instanceId: string,
  operationId: string,
): Promise<'yes' | 'ended' | 'busy'> {
  for (let look = 0; look < LOOKS; look += 1) {
    const status = await client.getStatus(instanceId).catch((error: unknown) => {
      if (isUnknownInstance(error)) return undefined;
      throw error;
    });
    if (!status) return 'ended';
    const taken = status.customStatus as ReconcileStatus | null | undefined;
    if (taken?.operations?.includes(operationId)) return 'yes';
    if (!RUNNING.has(String(status.runtimeStatus))) return 'ended';
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY));
  }
  return 'busy';
}

const isUnknownInstance = (error: unknown): boolean =>
  error instanceof Error && /^No instance with ID|HTTP 404 response/.test(error.message);
