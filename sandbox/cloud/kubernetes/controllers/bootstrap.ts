/** What a fresh AKS cluster holds: its namespaces, the `kubernetes` Service, storage classes and service accounts. */
import type { ApiServer } from '../api/api-server.ts';
import { NAMESPACES, SERVICE_ACCOUNTS, SERVICES, STORAGE_CLASSES } from '../api/kinds.ts';
import type { Namespace } from '../object.ts';
import type { Controller } from './controller.ts';

const MANAGER = 'kube-apiserver';

/** learn.microsoft.com/azure/aks/concepts-storage#storage-classes */
const CLASSES = [
  ['azurefile', 'file.csi.azure.com', 'Immediate', 'Standard_LRS'],
  ['azurefile-csi', 'file.csi.azure.com', 'Immediate', 'Standard_LRS'],
  ['azurefile-csi-premium', 'file.csi.azure.com', 'Immediate', 'Premium_LRS'],
  ['azurefile-premium', 'file.csi.azure.com', 'Immediate', 'Premium_LRS'],
  ['default', 'disk.csi.azure.com', 'WaitForFirstConsumer', 'StandardSSD_LRS'],
  ['managed', 'disk.csi.azure.com', 'WaitForFirstConsumer', 'StandardSSD_LRS'],
  ['managed-csi', 'disk.csi.azure.com', 'WaitForFirstConsumer', 'StandardSSD_LRS'],
  ['managed-csi-premium', 'disk.csi.azure.com', 'WaitForFirstConsumer', 'Premium_LRS'],
  ['managed-premium', 'disk.csi.azure.com', 'WaitForFirstConsumer', 'Premium_LRS'],
] as const;

export const bootstrap: Controller = ({ api }) => {
  for (const name of ['default', 'kube-node-lease', 'kube-public', 'kube-system']) {
    if (!api.find(NAMESPACES, '', name))
      api.create(NAMESPACES, '', { metadata: { name } }, { manager: MANAGER });
  }
  for (const [name, provisioner, volumeBindingMode, skuname] of CLASSES) {
    if (api.find(STORAGE_CLASSES, '', name)) continue;
    const annotations = name === 'default' ? { 'storageclass.kubernetes.io/is-default-class': 'true' } : {};
    api.create(
      STORAGE_CLASSES,
      '',
      {
        metadata: {
          name,
          annotations,
          labels: {
            'addonmanager.kubernetes.io/mode': 'EnsureExists',
            'kubernetes.io/cluster-service': 'true',
          },
        },
        provisioner,
        parameters: provisioner === 'disk.csi.azure.com' ? { skuname } : { skuName: skuname },
        reclaimPolicy: 'Delete',
        volumeBindingMode,
        allowVolumeExpansion: true,
      },
      { manager: 'kubectl-client-side-apply' },
    );
  }
  addServiceAccounts(api);
  if (!api.find(SERVICES, 'default', 'kubernetes')) {
    api.create(
      SERVICES,
      'default',
      {
        metadata: { name: 'kubernetes', labels: { component: 'apiserver', provider: 'kubernetes' } },
        spec: { clusterIP: '10.0.0.1', ports: [{ name: 'https', port: 443, targetPort: 443 }] },
      },
      { manager: MANAGER },
    );
  }
};

function addServiceAccounts(api: ApiServer): void {
  for (const namespace of api.list<Namespace>(NAMESPACES)) {
    if (namespace.metadata.deletionTimestamp !== undefined) continue;
    const { name } = namespace.metadata;
    if (api.find(SERVICE_ACCOUNTS, name, 'default')) continue;
    api.create(
      SERVICE_ACCOUNTS,
      name,
      { metadata: { name: 'default' } },
      { manager: 'kube-controller-manager' },
    );
  }
}
