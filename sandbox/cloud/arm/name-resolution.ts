/**
 * What a name means inside a virtual network: private only with endpoint, zone, link and record.
 * https://learn.microsoft.com/azure/private-link/private-endpoint-dns
 */
import { createHash } from 'node:crypto';
import type { Answer, Network } from '../neighbours.ts';
import type { Frame } from './frame/frame.ts';
import { lookUp } from './private-dns.ts';

import { connectionsOf, integratedZone, SERVICES } from './private-link.ts';

/** A public address for a name, always the same; from the block for documentation. */
function publicAddress(host: string): string {
  return `203.0.113.${(createHash('sha256').update(host).digest()[0] ?? 0) % 254 || 1}`;
}

export function createNetwork(frame: Frame): Network {
  return {
    resolve: (given, vnetId) => {
      void frame.operations.settle();
      const host = given.toLowerCase();
      const missing: Answer<{ address: string; isPrivate: boolean }> = {
        ok: false,
        code: 'NXDOMAIN',
        reason: `could not resolve ${host}: no such host`,
      };
      for (const [type, services] of Object.entries(SERVICES)) {
        for (const { suffix, zone } of Object.values(services)) {
          if (!host.endsWith(`.${suffix}`)) continue;
          const name = host.slice(0, -suffix.length - 1);
          const target = frame.store.ofType(type).find((stored) => stored.name.toLowerCase() === name);
          if (!target) return missing;
          const integrated = integratedZone(target);
          // A server inside a network has no public address: only its own zone knows it.
          if (integrated !== undefined) {
            const own = lookUp(frame, vnetId, integrated, name);
            return own ? { ok: true, address: own, isPrivate: true } : missing;
          }
          const found =
            connectionsOf(frame, target).length > 0 ? lookUp(frame, vnetId, zone, name) : undefined;
          if (found === null) return missing;
          return found === undefined
            ? { ok: true, address: publicAddress(host), isPrivate: false }
            : { ok: true, address: found, isPrivate: true };
        }
      }
      return { ok: true, address: publicAddress(host), isPrivate: false };
    },
  };
}
