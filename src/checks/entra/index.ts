/** All checks of Microsoft Entra. */
import type { Check } from '../check.ts';
import { clientSecretCheck, enterpriseApplication, registration } from './sign-in.ts';

export const entraChecks: readonly Check[] = [registration, enterpriseApplication, clientSecretCheck];
