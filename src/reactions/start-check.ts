import type { DurableClient } from 'durable-functions';
import type { CheckDeploymentInput } from '../orchestrations/check-deployment.ts';

export interface StartedCheck {
  /** False where a check of the deployment was running already. */
  readonly isNew: boolean;
  /** The check that runs now looks at nothing before this. */
  readonly since: Date;
}

/** At most one check of a deployment runs at a time. */
export async function startCheck(
  client: DurableClient,
  deployment: string,
  now: Date,
): Promise<StartedCheck> {
  const instanceId = `check-${deployment}`;
  const input: CheckDeploymentInput = { deployment };
  try {
    await client.startNew('checkDeployment', { instanceId, input });
    return { isNew: true, since: now };
  } catch (error) {
    // The host answers 409; the library wraps it in an error whose only trace of that is its text.
    if (!(error instanceof Error && /status code: 409\b/.test(error.message))) throw error;
    const { createdTime } = await client.getStatus(instanceId);
    return { isNew: false, since: new Date(createdTime) };
  }
}
