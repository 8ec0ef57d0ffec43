/** Azure Resource Manager and the clusters, composed for the real sandbox. */
import { createArm } from './arm/arm.ts';
import type { Composer } from './cloud.ts';

export const composeAzure: Composer = (world, neighbours) => {
  const arm = createArm(world, neighbours);
  return {
    services: [arm],
    neighbours: {
      authorization: arm.authorization,
      vaultResources: arm.vaultResources,
      registryResources: { find: () => undefined },
      network: arm.network,
      storageAccounts: arm.storageAccounts,
      databases: { connect: async () => absent },
      clusters: { list: () => [] },
      kubernetes: {
        runCommand: async () => ({ exitCode: 127, logs: '' }),
        answer: () => absent,
        links: async () => [],
        credentials: () => ({ certificateAuthority: '', token: '' }),
      },
    },
    setFunctionApp: (app) => arm.setFunctionApp(app),
    stop: () => arm.close(),
  };
};

const absent = {
  ok: false,
  code: 'NotSimulated',
  reason: 'This part of the sandbox is not there yet.',
} as const;
