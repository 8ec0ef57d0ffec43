/** All faults: those that people mend by hand, those that the control plane repairs, and those that take most with them. */
import { clusterFaults, clusterLosses } from './cluster.ts';
import { databaseFaults, databaseLosses } from './database.ts';
import type { Fault } from './fault.ts';
import { secretFaults } from './secrets.ts';
import { signInFaults } from './sign-in.ts';
import { storageFaults } from './storage.ts';
import { tunnelFaults } from './tunnel.ts';
import { vaultFaults, vaultLosses } from './vault.ts';
import { workloadFaults, workloadLosses } from './workloads.ts';

const single = [
  ...tunnelFaults,
  ...signInFaults,
  ...workloadFaults,
  ...storageFaults,
  ...secretFaults,
  ...databaseFaults,
  ...vaultFaults,
  ...clusterFaults,
];

export const faults: readonly Fault[] = [
  ...single.filter(({ mend }) => mend !== 'repair'),
  ...single.filter(({ mend }) => mend === 'repair'),
  ...workloadLosses,
  ...databaseLosses,
  ...vaultLosses,
  ...clusterLosses,
];
