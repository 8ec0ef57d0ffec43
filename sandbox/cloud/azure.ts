/** Azure Resource Manager and the clusters, composed for the real sandbox. */
import { createArm } from './arm/arm.ts';
import type { Composer } from './cloud.ts';
import { createKubernetes } from './kubernetes/kubernetes.ts';

export const composeAzure: Composer = async (world, neighbours, directory) => {
  const arm = createArm(world, neighbours, directory);
  const kubernetes = createKubernetes(world, neighbours);
  return {
    services: [arm, kubernetes],
    neighbours: {
      authorization: arm.authorization,
      vaultResources: arm.vaultResources,
      registryResources: arm.registryResources,
      network: arm.network,
      storageAccounts: arm.storageAccounts,
      databases: arm.databases,
      clusters: arm.clusters,
      kubernetes,
    },
    setFunctionApp: (app) => arm.setFunctionApp(app),
    azureDoor: arm,
    dialDatabase: arm.dialDatabase,
    postgres: await arm.startPostgres(),
    stop: async () => {
      kubernetes.stop();
      await arm.close();
    },
  };
};
