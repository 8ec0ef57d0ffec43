/** All checks of Cloudflare, from the tunnel outwards to its name. */
import type { Check } from '../check.ts';
import {
  dnsRecordCheck,
  tunnelConnections,
  tunnelExists,
  tunnelIngress,
  tunnelTokenCheck,
} from './tunnel.ts';

export const cloudflareChecks: readonly Check[] = [
  tunnelExists,
  tunnelTokenCheck,
  tunnelIngress,
  dnsRecordCheck,
  tunnelConnections,
];
