import { lookAtVersion } from '../../resources/azure/cluster-version.ts';
import type { Check } from '../check.ts';
import { neededCluster } from './parts.ts';

/** The resource's own notices, so that they are the same findings; that something newer is offered is no trouble. */
export const clusterSupport: Check = {
  id: 'cluster-version-supported',
  system: 'cluster',
  title: 'The Kubernetes version is supported',

  async run(scope) {
    const { notices } = await lookAtVersion(scope, await neededCluster(scope));
    return notices
      .filter(({ severity }) => severity !== 'info')
      .map((notice) => ({ ...notice, resource: 'azure/cluster-version' }));
  },
};
