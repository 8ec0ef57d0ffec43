/** All checks, system by system. */
import { azureChecks } from './azure/index.ts';
import type { Check } from './check.ts';
import { cloudflareChecks } from './cloudflare/index.ts';
import { databaseChecks } from './database/index.ts';
import { entraChecks } from './entra/index.ts';
import { kubernetesChecks } from './kubernetes/index.ts';
import { siteChecks } from './site/index.ts';

export const checks: readonly Check[] = [
  ...azureChecks,
  ...databaseChecks,
  ...entraChecks,
  ...cloudflareChecks,
  ...kubernetesChecks,
  ...siteChecks,
];
