/** Checks inside the cluster, in the order in which one thing rests on another. */
import type { Check } from '../check.ts';
import { clusterDns } from './cluster-dns.ts';
import { ollamaAnswers } from './models.ts';
import { namespaceStays } from './namespace.ts';
import { nodesCarry } from './nodes.ts';
import { operatorsAvailable } from './operators.ts';
import { reloaderAnnotations } from './reloader-annotations.ts';
import { secretStoreValid } from './secret-store.ts';
import { servicesDeliver } from './services.ts';
import { settingsAsWished } from './settings.ts';
import { secretsSynced } from './synced-secrets.ts';
import { dataVolumeBound, ollamaVolumeBound } from './volumes.ts';
import { budgetPresent, policiesPresent } from './wished-objects.ts';
import { workloadChecks } from './workloads.ts';

export const kubernetesChecks: readonly Check[] = [
  namespaceStays,
  nodesCarry,
  dataVolumeBound,
  ollamaVolumeBound,
  operatorsAvailable,
  secretStoreValid,
  secretsSynced,
  reloaderAnnotations,
  settingsAsWished,
  clusterDns,
  ...workloadChecks,
  servicesDeliver,
  policiesPresent,
  budgetPresent,
  ollamaAnswers,
];
