/** A kubeconfig for a person: kubectl with it needs nothing else to reach the sandbox's cluster. */
import { stringify } from 'yaml';

export interface KubeconfigValues {
  /** Name of the cluster and of the context. */
  readonly name: string;
  /** Host of the API server. */
  readonly fqdn: string;
  /** The sandbox's proxy, `http://127.0.0.1:…`. */
  readonly proxyUrl?: string;
  /** PEM. */
  readonly certificateAuthority: string;
  readonly namespace?: string;
  /** A bearer token, or a program that prints an ExecCredential with one. */
  readonly user:
    | { readonly token: string }
    | {
        readonly command: string;
        readonly args: readonly string[];
        readonly env?: Readonly<Record<string, string>>;
      };
}

export function kubeconfigOf(values: KubeconfigValues): string {
  const { name, fqdn, proxyUrl, certificateAuthority, namespace, user } = values;
  return stringify({
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': name,
    clusters: [
      {
        name,
        cluster: {
          server: `https://${fqdn}:443`,
          'certificate-authority-data': Buffer.from(certificateAuthority).toString('base64'),
          ...(proxyUrl === undefined ? {} : { 'proxy-url': proxyUrl }),
        },
      },
    ],
    contexts: [
      { name, context: { cluster: name, user: name, ...(namespace === undefined ? {} : { namespace }) } },
    ],
    users: [
      {
        name,
        user:
          'token' in user
            ? { token: user.token }
            : {
                exec: {
                  apiVersion: 'client.authentication.k8s.io/v1',
                  command: user.command,
                  args: user.args,
                  env: Object.entries(user.env ?? {}).map(([key, value]) => ({ name: key, value })),
                  interactiveMode: 'Never',
                  provideClusterInfo: false,
                },
              },
      },
    ],
  });
}
