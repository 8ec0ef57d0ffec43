import { describe, expect, test } from 'vitest';
import { rulesOf } from '../../../src/resources/kubernetes/network-policy.ts';
import type { DeploymentSpecInput } from '../../../src/spec/spec.ts';
import { specOf } from '../spec.ts';

type Peer = { podSelector?: { matchLabels: { app: string } }; ipBlock?: { cidr: string } };
type Rule = { from?: Peer[]; to?: Peer[]; ports?: { protocol: string; port: number }[] };

const rules = (change: Partial<DeploymentSpecInput> = {}) =>
  rulesOf(specOf(change)) as Readonly<Record<string, { ingress: Rule[]; egress: Rule[] }>>;

/** `who:port` for each peer a rule names, `*` for a rule that names none. */
const told = (list: readonly Rule[] | undefined, side: 'from' | 'to'): string[] =>
  (list ?? []).flatMap((rule) =>
    (rule[side] ?? [{}]).flatMap(({ podSelector, ipBlock }) =>
      (rule.ports ?? []).map(
        ({ protocol, port }) =>
          `${podSelector?.matchLabels.app ?? ipBlock?.cidr ?? '*'}:${port}${protocol === 'UDP' ? '/udp' : ''}`,
      ),
    ),
  );

describe('kubernetes/network-policy', () => {
  test('people come through cloudflared, the API server through its agents, and else only who looks into things by hand', () => {
    const all = rules();
    expect(Object.keys(all)).toEqual([
      'open-webui',
      'open-webui-database-login',
      'debug-netshoot',
      'debug-psql',
      'cloudflared',
      'ollama',
      'redis',
    ]);
    expect(told(all['open-webui']?.ingress, 'from')).toEqual([
      'cloudflared:8080',
      'debug-netshoot:8080',
      'konnectivity-agent:8080',
    ]);
    expect(told(all['ollama']?.ingress, 'from')).toEqual([
      'open-webui:11434',
      'debug-netshoot:11434',
      'konnectivity-agent:11434',
    ]);
    expect(told(all['redis']?.ingress, 'from')).toEqual(['open-webui:6379', 'debug-netshoot:6379']);
    expect(all['cloudflared']?.ingress).toEqual([]);
  });

  test('the API server is only let in from the system namespace', () => {
    expect(rules()['ollama']?.ingress[0]?.from).toContainEqual({
      namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'kube-system' } },
      podSelector: { matchLabels: { app: 'konnectivity-agent' } },
    });
  });

  test('outwards goes what each needs', () => {
    const all = rules();
    expect(told(all['open-webui']?.egress, 'to')).toEqual([
      '*:53/udp',
      '*:53',
      '*:443',
      '10.10.17.0/28:5432',
      'ollama:11434',
      'redis:6379',
    ]);
    expect(told(all['cloudflared']?.egress, 'to')).toEqual([
      '*:53/udp',
      '*:53',
      '*:443',
      '*:7844',
      '*:7844/udp',
      'open-webui:8080',
    ]);
    expect(told(all['ollama']?.egress, 'to')).toEqual(['*:53/udp', '*:53', '*:443']);
    expect(all['redis']?.egress).toEqual([]);
    expect(all['open-webui-database-login']?.ingress).toEqual([]);
    expect(told(all['open-webui-database-login']?.egress, 'to')).toEqual([
      '*:53/udp',
      '*:53',
      '10.10.17.0/28:5432',
    ]);
  });

  test('follows the database to its private endpoint, and Ollama and Redis elsewhere', () => {
    const all = rules({
      postgres: { privateAccess: 'private-endpoint' },
      ollama: { externalUrl: 'http://ollama.example.com:11434' },
      webui: { redisUrl: 'rediss://cache.example.com:6380' },
    });
    expect(Object.keys(all)).toEqual([
      'open-webui',
      'open-webui-database-login',
      'debug-netshoot',
      'debug-psql',
      'cloudflared',
    ]);
    expect(told(all['open-webui']?.egress, 'to')).toEqual([
      '*:53/udp',
      '*:53',
      '*:443',
      '10.10.16.0/24:5432',
      '*:11434',
      '*:6380',
    ]);
  });
});
