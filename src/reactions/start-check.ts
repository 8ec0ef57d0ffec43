import type { DurableClient } from 'durable-functions';
import { CHECK_NOW, type CheckDeploymentInput } from '../orchestrations/check-deployment.ts';

export interface StartedCheck {
  /** False where a check of the deployment was running already. */
  readonly isNew: boolean;
  /** The check that runs now looks at nothing before this. */
  readonly since: Date;
}

/** At most one check of a deployment runs at a time; whoever joins one that waits for its turn has it begin. */
export async function startCheck(
  client: DurableClient,
  deployment: string,
  now: Date,
): Promise<StartedCheck> {
  if (await begin(client, { deployment })) return { isNew: true, since: now };
  const instanceId = instanceOf(deployment);
  await hurry(client, instanceId);
  const { createdTime } = await client.getStatus(instanceId);
  return { isNew: false, since: new Date(createdTime) };
}

/** Begins a check that waits for its turn, unless there is one; see timers/check-all.ts. */
export async function startCheckAt(client: DurableClient, deployment: string, at: Date): Promise<void> {
  await begin(client, { deployment, notBefore: at.getTime() });
}

const instanceOf = (deployment: string): string => `check-${deployment}`;

/** False where there is one already. */
async function begin(client: DurableClient, input: CheckDeploymentInput): Promise<boolean> {
  try {
    await client.startNew('checkDeployment', { instanceId: instanceOf(input.deployment), input });
    return true;
  } catch (error) {
    // The host answers 409; the library wraps it in an error whose only trace of that is its text.
    if (error instanceof Error && /status code: 409\b/.test(error.message)) return false;
    throw error;
  }
}

/** The check that is there may still wait for its turn. One that is under way does not listen, and one may be gone by now. */
async function hurry(client: DurableClient, instanceId: string): Promise<void> {
  try {
    await client.raiseEvent(instanceId, CHECK_NOW, {});
  } catch (error) {
    // The library's words for 404; that the check has ended, which is 410, is no error to it.
    if (!(error instanceof Error && error.message.startsWith('No instance with ID'))) throw error;
  }
}
