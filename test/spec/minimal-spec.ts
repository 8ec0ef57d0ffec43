import type { DeploymentSpecInput } from '../../src/spec/spec.ts';

/** All that no default can know. */
export const minimalSpec: DeploymentSpecInput = {
  subscriptionId: '50b5c419-0000-4000-8000-000000000001',
  tenantId: '7e4a4700-0000-4000-8000-000000000001',
  registry: { name: 'yourorg' },
  tunnel: {
    accountId: 'acc00000000000000000000000000001',
    zoneId: '20e00000000000000000000000000001',
    hostName: 'open-webui.yourdomain.com',
  },
};
