/**
 * What a fresh AKS cluster holds: its namespaces, the `kubernetes` Service, storage classes, service accounts and CoreDNS.
 * The add-on manager puts back what of it is deleted, and leaves the number of replicas alone.
 */
import type { ApiServer } from '../api/api-server.ts';
import { DEPLOYMENTS, NAMESPACES, SERVICE_ACCOUNTS, SERVICES, STORAGE_CLASSES } from '../api/kinds.ts';
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

const ADDON = { 'addonmanager.kubernetes.io/mode': 'Reconcile', 'kubernetes.io/cluster-service': 'true' };
const DNS_LABEL = { 'k8s-app': 'kube-dns' };
/** Where pods ask for names: AKS's `dnsServiceIP` unless another is set. */
export const DNS_ADDRESS = '10.0.0.10';
/** On every node from the start, as part of the node image. */
export const DNS_IMAGE = 'mcr.microsoft.com/oss/v2/kubernetes/coredns:v1.12.1-5';

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
  addDns(api);
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

/** https://github.com/Azure/AKS/tree/master/vhd-notes: version, requests and limits of the add-on. */
function addDns(api: ApiServer): void {
  const manager = 'kubectl-client-side-apply';
  const namespace = 'kube-system';
  if (!api.find(SERVICES, namespace, 'kube-dns')) {
    api.create(
      SERVICES,
      namespace,
      {
        metadata: { name: 'kube-dns', labels: { ...ADDON, ...DNS_LABEL, 'kubernetes.io/name': 'CoreDNS' } },
        spec: {
          clusterIP: DNS_ADDRESS,
          selector: DNS_LABEL,
          ports: [
            { name: 'dns', port: 53, targetPort: 53, protocol: 'UDP' },
            { name: 'dns-tcp', port: 53, targetPort: 53, protocol: 'TCP' },
          ],
        },
      },
      { manager },
    );
  }
  if (api.find(DEPLOYMENTS, namespace, 'coredns')) return;
  api.create(
    DEPLOYMENTS,
    namespace,
    {
      metadata: { name: 'coredns', labels: { ...ADDON, ...DNS_LABEL, 'kubernetes.io/name': 'CoreDNS' } },
      spec: {
        replicas: 2,
        selector: { matchLabels: DNS_LABEL },
        strategy: { type: 'RollingUpdate', rollingUpdate: { maxUnavailable: 1 } },
        template: {
          metadata: { labels: { ...DNS_LABEL, 'kubernetes.azure.com/managedby': 'aks' } },
          spec: {
            tolerations: [{ key: 'CriticalAddonsOnly', operator: 'Exists' }],
            containers: [
              {
                name: 'coredns',
                image: DNS_IMAGE,
                imagePullPolicy: 'IfNotPresent',
                ports: [
                  { name: 'dns', containerPort: 53, protocol: 'UDP' },
                  { name: 'dns-tcp', containerPort: 53, protocol: 'TCP' },
                ],
                resources: {
                  requests: { cpu: '100m', memory: '70Mi' },
                  limits: { cpu: '3', memory: '500Mi' },
                },
              },
            ],
          },
        },
      },
    },
    { manager },
  );
}
