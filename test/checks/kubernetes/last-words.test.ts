/** Whose fault it is by the words of a log: the same words mean another thing in another program. */
import { describe, expect, test } from 'vitest';
import { quoted } from '../../../src/checks/kubernetes/cluster.ts';
import { blameOf, databaseBlame, lastWordsOf } from '../../../src/checks/kubernetes/last-words.ts';
import { vaultTroubleIn } from '../../../src/checks/kubernetes/vault-trouble.ts';
import type { ResourceKey } from '../../../src/graph/resource.ts';

const edge =
  '2026-01-01T00:00:00Z ERR Unable to establish connection with Cloudflare edge error="DialContext error: dial tcp 198.41.200.13:7844: connect: connection timed out" connIndex=0';

describe('a log', () => {
  test.each<[string, ResourceKey, string, ResourceKey | undefined]>([
    [
      'of Open WebUI whose database is out of reach',
      'kubernetes/open-webui',
      'connection to server at "10.10.17.4", port 5432 failed: Connection timed out',
      'azure/postgres-server',
    ],
    [
      'of Open WebUI whose Redis is out of reach',
      'kubernetes/open-webui',
      'redis.exceptions.ConnectionError: Error 110 connecting to redis:6379. Connection timed out.',
      'kubernetes/redis',
    ],
    [
      'of Open WebUI whose database has a name that there is not',
      'kubernetes/open-webui',
      'could not translate host name "db" to address: Name or service not known',
      'azure/private-dns-zones',
    ],
    [
      'of Open WebUI for which no name resolves',
      'kubernetes/open-webui',
      'could not translate host name "db" to address: Temporary failure in name resolution',
      'azure/cluster',
    ],
    ['of cloudflared that does not get out', 'kubernetes/cloudflared', edge, 'azure/network'],
    [
      'of cloudflared that does not get out by QUIC',
      'kubernetes/cloudflared',
      'ERR Failed to dial a quic connection error="failed to dial to edge with quic: timeout: no recent network activity"',
      'azure/network',
    ],
    [
      "of cloudflared that does not find Cloudflare's edge",
      'kubernetes/cloudflared',
      'ERR edge discovery: error="lookup region1.v2.argotunnel.com on 10.0.0.10:53: i/o timeout"',
      'kubernetes/cloudflared',
    ],
    [
      'of Ollama with a network of its own to complain of',
      'kubernetes/ollama',
      'dial tcp 10.0.0.1:443: connect: no route to host',
      undefined,
    ],
    [
      'of an operator',
      'kubernetes/addons',
      'dial tcp 10.0.0.1:443: connect: connection timed out',
      undefined,
    ],
  ])('%s blames what is to blame', (_, workload, log, blamed) => {
    expect(blameOf(workload, log)?.resource).toBe(blamed);
  });

  test('of cloudflared gives the same words for whichever address of the edge it dialled', () => {
    const other = edge.replace('198.41.200.13', '198.41.192.7');
    expect(blameOf('kubernetes/cloudflared', other)).toEqual(blameOf('kubernetes/cloudflared', edge));
    expect(blameOf('kubernetes/cloudflared', edge)).toMatchObject({ cure: 'none' });
    expect(blameOf('kubernetes/cloudflared', edge)?.remedy).toContain('TCP and UDP to port 7844');
  });

  test('names the call that makes a new value, as the API takes it', () => {
    const login = databaseBlame('FATAL: password authentication failed for user "openwebui"');
    expect(login).toMatchObject({ cure: { rotate: 'postgres-password' } });
    expect(login?.remedy).toContain('POST …/rotate?what=postgres-password');
    const token = blameOf('kubernetes/cloudflared', 'Unauthorized: Invalid tunnel secret');
    expect(token).toMatchObject({ cure: { rotate: 'tunnel-token' } });
    expect(token?.remedy).toContain('POST …/rotate?what=tunnel-token');
  });

  test('is told only in words that carry no value', () => {
    expect(lastWordsOf('2026-01-01T00:00:00.000Z Fatal error: this build does not start')).toBe(
      'Fatal error: this build does not start',
    );
    expect(lastWordsOf("ValueError: invalid literal for int(): 'hunter2'")).toBe('ValueError');
    expect(lastWordsOf('connecting to postgresql://me:hunter2@host/db')).toBeUndefined();
  });
});

describe('External Secrets that does not get at the vault', () => {
  test.each([
    [
      'blames the node whose metadata service is silent',
      'ManagedIdentityCredential: Get "http://169.254.169.254/metadata/identity/oauth2/token": dial tcp 169.254.169.254:80: connect: connection refused',
      'azure/node-identity node-metadata-silent',
    ],
    [
      'blames the node that lacks the identity, though the metadata service says so',
      'GET http://169.254.169.254/metadata/identity/oauth2/token RESPONSE 400: Identity not found',
      'azure/node-identity identity-not-on-node',
    ],
    [
      'blames the vault that has another name',
      'dial tcp: lookup kv-demo.vault.azure.net on 10.0.0.10:53: no such host',
      'azure/key-vault vault-unreachable',
    ],
    [
      'blames the cluster in which no name resolves',
      'dial tcp: lookup kv-demo.vault.azure.net on 10.0.0.10:53: read udp 10.244.0.9:4711->10.0.0.10:53: i/o timeout',
      'azure/cluster vault-name-unresolved',
    ],
    [
      'blames the vault that does not answer',
      'dial tcp 20.1.2.3:443: i/o timeout',
      'azure/key-vault vault-unreachable',
    ],
  ])('%s', (_, message, found) => {
    const { resource, id } = vaultTroubleIn(message) ?? {};
    expect(`${resource} ${id}`).toBe(found);
  });
});

test('what others wrote is the same each time, whichever port they went out from', () => {
  const said = (port: number) =>
    quoted(`lookup kv on 10.0.0.10:53: read udp 10.244.0.9:${port}->10.0.0.10:53: i/o timeout`);
  expect(said(4711)).toBe('lookup kv on 10.0.0.10:53: read udp 10.0.0.10:53: i/o timeout');
  expect(said(4712)).toBe(said(4711));
});
