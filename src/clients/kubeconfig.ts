/**
 * What of a kubeconfig may be believed. It comes from ARM, but kubeconfigs can name programs to run, files to read and
 * certificates not to check, so only the server, its authority and a token or client certificate are taken over, and
 * anything else is refused by name. https://kubernetes.io/docs/reference/config-api/kubeconfig.v1/
 */
import { parse } from 'yaml';
import { z } from 'zod';
import { fatal } from '../graph/failure.ts';

/** Application id of the AKS server in every Entra tenant: https://azure.github.io/kubelogin/concepts/aks.html */
const AKS_SERVER = '6dae42f8-4368-4678-94ff-3960e28e3630';
/** The scope of tokens that AKS clusters with Entra sign-in accept, and run command's `clusterToken`. */
export const aksTokenScope = `${AKS_SERVER}/.default`;

export interface ClusterCredentials {
  /** `https://<fqdn>:443` */
  readonly server: string;
  /** Base64 of the PEM bundle. */
  readonly certificateAuthority: string;
  readonly user:
    | { readonly kind: 'certificate'; readonly certificate: string; readonly key: string }
    | { readonly kind: 'token'; readonly token: string }
    /** Entra: a bearer token of the caller's own identity for `aksTokenScope`. */
    | { readonly kind: 'entra' };
}

const base64 = z.string().regex(/^[A-Za-z0-9+/=\s]+$/, 'must be base64');

const kubeconfigSchema = z.object({
  'current-context': z.string().min(1),
  contexts: z.array(
    z.object({ name: z.string(), context: z.object({ cluster: z.string(), user: z.string() }) }),
  ),
  clusters: z.array(
    z.object({
      name: z.string(),
      cluster: z.strictObject({ server: z.url(), 'certificate-authority-data': base64 }),
    }),
  ),
  users: z.array(
    z.object({
      name: z.string(),
      user: z.strictObject({
        'client-certificate-data': base64.optional(),
        'client-key-data': base64.optional(),
        token: z.string().min(1).optional(),
        exec: z
          .object({ command: z.literal('kubelogin'), args: z.array(z.string()) })
          .refine(({ args }) => args[args.indexOf('--server-id') + 1] === AKS_SERVER, 'must sign in to AKS')
          .optional(),
      }),
    }),
  ),
});

const refused = (why: string) => fatal('KubeconfigRefused', `the cluster's kubeconfig is refused: ${why}`);

/**
 * Reads what `listClusterUserCredentials` gave. `fqdns` are the host names ARM reports for the cluster; a kubeconfig for
 * another server is refused, as is one that asks for anything beyond what is read here. Values never get into messages.
 */
export function readKubeconfig(text: string, fqdns: readonly string[]): ClusterCredentials {
  const parsed = kubeconfigSchema.safeParse(parse(text));
  if (!parsed.success) {
    throw refused(
      parsed.error.issues
        .map(
          ({ path, code, message }) =>
            `${path.join('.')}: ${code === 'custom' ? message : code}${keysOf(message)}`,
        )
        .join('; '),
    );
  }
  const config = parsed.data;
  const context = config.contexts.find(({ name }) => name === config['current-context'])?.context;
  const cluster = config.clusters.find(({ name }) => name === context?.cluster)?.cluster;
  const user = config.users.find(({ name }) => name === context?.user)?.user;
  if (!cluster || !user) throw refused('its current context names no cluster and user');

  const { protocol, hostname } = new URL(cluster.server);
  if (protocol !== 'https:') throw refused('its server is not reached by https');
  if (!fqdns.some((fqdn) => fqdn.toLowerCase() === hostname.toLowerCase())) {
    throw refused(
      `its server ${hostname} is not the cluster's (${fqdns.join(', ') || 'which has no host name'})`,
    );
  }
  return {
    server: cluster.server.replace(/\/$/, ''),
    certificateAuthority: cluster['certificate-authority-data'],
    user: credentialOf(user),
  };
}

/** Names of unexpected keys are worth telling; zod puts nothing else of the document into that message. */
const keysOf = (message: string): string =>
  /^Unrecognized keys?: (.*)$/.exec(message)?.[1]?.replace(/^/, ' ') ?? '';

type User = z.output<typeof kubeconfigSchema>['users'][number]['user'];

function credentialOf(user: User): ClusterCredentials['user'] {
  // A cluster with Entra and local accounts may give both; Entra's is the one that is the caller's own.
  if (user.exec) return { kind: 'entra' };
  const { 'client-certificate-data': certificate, 'client-key-data': key } = user;
  if (certificate && key) return { kind: 'certificate', certificate, key };
  if (user.token) return { kind: 'token', token: user.token };
  throw refused('its user has neither a token nor a client certificate');
}
