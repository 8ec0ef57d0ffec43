/** Clients for the small world's cluster: the library's, and the real kubectl. */
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { KubeConfig, KubernetesObjectApi } from '@kubernetes/client-node';
import { kubeconfigOf } from '../../../sandbox/cloud/kubernetes/kubeconfig.ts';
import { kubectl as kubectlFile } from '../../kubectl.ts';
import { FQDN, type SmallWorld } from './small-world.ts';

export function kubeConfigOf(world: SmallWorld, token = 'operator'): KubeConfig {
  const config = new KubeConfig();
  config.loadFromString(textOf(world, token));
  return config;
}

export function objectApi(world: SmallWorld, token?: string): KubernetesObjectApi {
  return kubeConfigOf(world, token).makeApiClient(
    KubernetesObjectApi as never,
  ) as unknown as KubernetesObjectApi;
}

function textOf(world: SmallWorld, token: string): string {
  return kubeconfigOf({
    name: 'aks-owui',
    fqdn: FQDN,
    proxyUrl: world.proxy.url,
    certificateAuthority: world.certificateAuthority,
    namespace: 'open-webui',
    user: { token },
  });
}

export interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** Runs the real kubectl against the cluster; `input` goes to its standard input. */
export function kubectl(
  world: SmallWorld,
  args: readonly string[],
  input = '',
  token = 'operator',
): Promise<Ran> {
  const home = mkdtempSync(join(tmpdir(), 'kubectl-'));
  const file = join(home, 'config');
  writeFileSync(file, textOf(world, token), { mode: 0o600 });
  return new Promise((resolve) => {
    const child = execFile(
      kubectlFile(),
      [...args],
      {
        env: { HOME: home, KUBECONFIG: file, PATH: process.env['PATH'] ?? '' },
        timeout: 60_000,
        maxBuffer: 16 * 1024 * 1024,
      },
      (error, out, err) => {
        rmSync(home, { recursive: true, force: true });
        resolve({ code: error ? Number(error.code ?? 1) : 0, out, err });
      },
    );
    child.stdin?.end(input);
  });
}

/** One request as plain HTTP, without a client's opinions. */
export async function call(
  world: SmallWorld,
  method: string,
  path: string,
  options: {
    readonly body?: unknown;
    readonly type?: string;
    readonly token?: string;
    readonly accept?: string;
  } = {},
): Promise<{ readonly status: number; readonly body: Record<string, unknown>; readonly headers: Headers }> {
  const { body, type = 'application/json', token = 'operator', accept } = options;
  const response = await world.kubernetes.fetch(
    new Request(`https://${FQDN}${path}`, {
      method,
      headers: {
        authorization: `Bearer ${token}`,
        ...(body === undefined ? {} : { 'content-type': type }),
        ...(accept === undefined ? {} : { accept }),
      },
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    }),
    { host: FQDN, caller: '' },
  );
  const text = await response.text();
  return {
    status: response.status,
    body: text.startsWith('{') ? (JSON.parse(text) as Record<string, unknown>) : { text },
    headers: response.headers,
  };
}
