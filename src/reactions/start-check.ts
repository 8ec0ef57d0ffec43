import type { DurableClient } from 'durable-functions';
import type { CheckDeploymentInput } from '../orchestrations/check-deployment.ts';

/** At most one check of a deployment runs at a time; true when this call has started it. */
export async function startCheck(client: DurableClient, deployment: string): Promise<boolean> {
  const input: CheckDeploymentInput = { deployment };
  try {
    await client.startNew('checkDeployment', { instanceId: `check-${deployment}`, input });
    return true;
  } catch (error) {
    // The host answers 409; the library wraps it in an error whose only trace of that is its text.
    if (error instanceof Error && /status code: 409\b/.test(error.message)) return false;
    throw error;
  }
}
