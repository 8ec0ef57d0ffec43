import { describe, expect, test } from 'vitest';
import { stringify } from 'yaml';
import { readKubeconfig } from '../../src/clients/kubeconfig.ts';

const FQDN = 'aks-demo-x1y2.hcp.eastasia.azmk8s.io';
const data = Buffer.from('a certificate').toString('base64');
const kubelogin = {
  apiVersion: 'client.authentication.k8s.io/v1beta1',
  command: 'kubelogin',
  args: ['get-token', '--server-id', '6dae42f8-4368-4678-94ff-3960e28e3630', '--login', 'devicecode'],
  env: null,
  provideClusterInfo: false,
};

const kubeconfig = (change: { cluster?: object; user?: object; server?: string } = {}): string =>
  stringify({
    apiVersion: 'v1',
    kind: 'Config',
    preferences: {},
    'current-context': 'aks-demo',
    contexts: [{ name: 'aks-demo', context: { cluster: 'aks-demo', user: 'clusterUser_rg_aks-demo' } }],
    clusters: [
      {
        name: 'aks-demo',
        cluster: {
          server: change.server ?? `https://${FQDN}:443`,
          'certificate-authority-data': data,
          ...change.cluster,
        },
      },
    ],
    users: [{ name: 'clusterUser_rg_aks-demo', user: change.user ?? { exec: kubelogin } }],
  });

describe('kubeconfig', () => {
  test('takes over the server, its authority and that Entra signs in', () => {
    expect(readKubeconfig(kubeconfig(), [FQDN])).toEqual({
      server: `https://${FQDN}:443`,
      certificateAuthority: data,
      user: { kind: 'entra' },
    });
  });

  test('takes over a client certificate before a token', () => {
    const user = { 'client-certificate-data': data, 'client-key-data': data, token: 'abc' };
    expect(readKubeconfig(kubeconfig({ user }), [FQDN]).user).toEqual({
      kind: 'certificate',
      certificate: data,
      key: data,
    });
    expect(readKubeconfig(kubeconfig({ user: { token: 'abc' } }), [FQDN]).user).toEqual({
      kind: 'token',
      token: 'abc',
    });
  });

  test.each<[string, { cluster?: object; user?: object; server?: string }]>([
    ['another program to run', { user: { exec: { ...kubelogin, command: '/bin/sh' } } }],
    [
      'a sign-in to something else',
      { user: { exec: { ...kubelogin, args: ['get-token', '--server-id', 'x'] } } },
    ],
    ['an auth-provider', { user: { 'auth-provider': { name: 'azure' } } }],
    ['a key file', { user: { 'client-certificate-data': data, 'client-key': '/etc/key' } }],
    ['a token file', { user: { tokenFile: '/var/token' } }],
    ['a password', { user: { username: 'admin', password: 'secret' } }],
    ['impersonation', { user: { token: 'abc', as: 'system:admin' } }],
    ['a certificate file', { cluster: { 'certificate-authority': '/etc/ca' } }],
    ['unchecked certificates', { cluster: { 'insecure-skip-tls-verify': true } }],
    ['another TLS name', { cluster: { 'tls-server-name': 'elsewhere' } }],
    ['a proxy of its own', { cluster: { 'proxy-url': 'http://elsewhere' } }],
    ['no credentials', { user: {} }],
    ['plain HTTP', { server: `http://${FQDN}:443` }],
    ['another server', { server: 'https://elsewhere.example.com' }],
  ])('refuses %s', (_, change) => {
    expect(() => readKubeconfig(kubeconfig(change), [FQDN])).toThrow(
      expect.objectContaining({
        failure: expect.objectContaining({ kind: 'fatal', code: 'KubeconfigRefused' }),
      }),
    );
  });

  test('names what it refuses and never its value', () => {
    const config = kubeconfig({ user: { password: 'hunter2', token: 'abc' } });
    expect(() => readKubeconfig(config, [FQDN])).toThrow(/password/);
    expect(() => readKubeconfig(config, [FQDN])).not.toThrow(/hunter2/);
  });
});
