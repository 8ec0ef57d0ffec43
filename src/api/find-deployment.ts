import { deploymentName } from '../spec/spec.ts';
import type { DeploymentRecord, Store } from '../store/store.ts';

/** `undefined` also for a name that no deployment can have. */
export const findDeployment = async (store: Store, name = ''): Promise<DeploymentRecord | undefined> =>
  deploymentName.safeParse(name).success ? store.findDeployment(name) : undefined;
