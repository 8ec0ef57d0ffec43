/**
 * What a container said before it ended, and whose fault that is. The same words mean another thing in another program,
 * so each has a table of its own. A log may hold anything, secrets too: of a line that is not one of these only words
 * are told that cannot carry a value.
 */
import type { ResourceKey } from '../../graph/resource.ts';
import type { Rotation } from '../../resources/scope.ts';

export interface Blame {
  readonly resource: ResourceKey;
  /** Completes "… : ". */
  readonly why: string;
  readonly remedy: string;
  /** What puts it right: a reconcile, a new value of a secret, or else a person. */
  readonly cure: Cure;
  /** Words of the log that say so. */
  readonly words: string;
}

export type Cure = 'repair' | 'none' | { readonly rotate: Rotation };

/** With words of its own where those of the log name an address, which is another one each time. */
type Known = readonly [words: RegExp, blame: Omit<Blame, 'words'> & Partial<Pick<Blame, 'words'>>];

export const DNS_REMEDY =
  'kubectl get deployment coredns -n kube-system; kubectl rollout restart deployment coredns -n kube-system';

const nameless: Known = [
  // The resolver got no answer at all (EAI_AGAIN); a name that there is not is another matter.
  /Temporary failure in name resolution/i,
  {
    resource: 'azure/cluster',
    why: 'no name resolves in the cluster',
    remedy: DNS_REMEDY,
    cure: 'none',
  },
];

const database: readonly Known[] = [
  [
    /password authentication failed/i,
    {
      resource: 'azure/postgres-connection-string',
      why: 'the database refuses its login',
      remedy:
        'Compare the password in the vault with the server; POST …/rotate?what=postgres-password makes a new one for both.',
      cure: { rotate: 'postgres-password' },
    },
  ],
  [
    /no pg_hba\.conf entry|no encryption|SSL required|SSL connection is required/i,
    {
      resource: 'azure/postgres-connection-string',
      why: 'the database wants an encrypted connection',
      remedy: 'The connection string needs sslmode=require: have the control plane make it again.',
      cure: 'repair',
    },
  ],
  [
    /database "[^"]*" does not exist/i,
    {
      resource: 'azure/postgres-database',
      why: 'its database does not exist',
      remedy: 'az postgres flexible-server db create, or have the control plane make it.',
      cure: 'repair',
    },
  ],
  [
    /not allow-listed|extension "vector" is not available/i,
    {
      resource: 'azure/postgres-parameters',
      why: 'the extension vector is not allowed on the database server',
      remedy:
        'az postgres flexible-server parameter set --name azure.extensions --value VECTOR, or have the control plane do it.',
      cure: 'repair',
    },
  ],
  [
    /too many clients|remaining connection slots/i,
    {
      resource: 'azure/postgres-parameters',
      why: 'the database has no connection left',
      remedy: 'Raise postgres.parameters.max_connections in the spec, or use fewer replicas.',
      cure: 'repair',
    },
  ],
  [
    /could not translate host name/i,
    {
      resource: 'azure/private-dns-zones',
      why: 'the name of the database does not resolve in the cluster',
      remedy:
        'Look at the private DNS zone and its link to the network: az network private-dns link vnet list.',
      cure: 'repair',
    },
  ],
  [
    /Connection timed out|timeout expired|Network is unreachable|No route to host|could not connect to server|server closed the connection|the database system is (starting up|shutting down)/i,
    {
      resource: 'azure/postgres-server',
      why: 'the database cannot be reached',
      remedy:
        'az postgres flexible-server show --query state; start it, and look at its private access: endpoint, delegated subnet, firewall.',
      cure: 'repair',
    },
  ],
];

const webui: readonly Known[] = [
  nameless,
  [
    /redis\.exceptions\.\w+|Redis URL must specify/i,
    {
      resource: 'kubernetes/redis',
      why: 'Redis does not answer',
      remedy: 'kubectl get pods,service -l app=redis; with an external one, see webui.redisUrl of the spec.',
      cure: 'repair',
    },
  ],
  [
    /Required environment variable not found/i,
    {
      resource: 'kubernetes/external-secrets',
      why: 'a secret it needs is empty',
      remedy: 'kubectl describe externalsecret open-webui-secrets',
      cure: 'repair',
    },
  ],
  [
    /PermissionError: \[Errno 13\]|database is locked|No space left on device|Read-only file system/i,
    {
      resource: 'kubernetes/data-volume',
      why: 'it cannot write to its volume',
      remedy: 'Look at the volume and its mount: kubectl describe pod, kubectl get pvc; is the share full?',
      cure: 'repair',
    },
  ],
  // Last: how it tells of a network that is out of order, Redis does as well.
  ...database,
];

/** https://developers.cloudflare.com/cloudflare-one/networks/connectors/cloudflare-tunnel/troubleshoot-tunnels/common-errors/ */
const tunnel: readonly Known[] = [
  [
    /Unauthorized: Invalid tunnel secret|Provided Tunnel token is not valid|Invalid tunnel secret/i,
    {
      resource: 'cloudflare/tunnel-token',
      why: 'Cloudflare refuses the token of the tunnel',
      remedy: 'POST …/rotate?what=tunnel-token makes a new one and hands it out.',
      cure: { rotate: 'tunnel-token' },
    },
  ],
  [
    /requires the ID or name of the tunnel/i,
    {
      resource: 'kubernetes/external-secrets',
      why: 'it was given no token of a tunnel',
      remedy: 'kubectl describe externalsecret cloudflared-token',
      cure: 'repair',
    },
  ],
  [
    /lookup \S*argotunnel\.com\S*( on \S+)?: |Could not lookup srv records/i,
    {
      resource: 'kubernetes/cloudflared',
      why: "the names of Cloudflare's edge do not resolve",
      remedy: `Name resolution in the cluster: ${DNS_REMEDY}; or a resolver outside it that does not know argotunnel.com.`,
      cure: 'none',
      words: 'the look-up of argotunnel.com fails',
    },
  ],
  [
    /dial (?:tcp|udp) \S+:7844|failed to dial to edge|Failed to dial a quic connection|Unable to establish connection with Cloudflare edge|egress UDP to port 7844/i,
    {
      resource: 'azure/network',
      why: "Cloudflare's edge cannot be reached from the nodes",
      remedy:
        'Outbound TCP and UDP to port 7844 must be open: look at network security groups, route tables and firewalls of the subnet of the nodes, and at the network policy cloudflared.',
      cure: 'none',
      words: 'dialling the edge on port 7844 fails',
    },
  ],
];

const ollama: readonly Known[] = [
  [
    /No space left on device|Read-only file system/i,
    {
      resource: 'kubernetes/ollama-volume',
      why: 'it cannot write to its disk',
      remedy: 'kubectl describe pod, kubectl get pvc; is the disk full? Raise ollama.storageGiB in the spec.',
      cure: 'none',
    },
  ],
];

const tables: Partial<Readonly<Record<ResourceKey, readonly Known[]>>> = {
  'kubernetes/open-webui': webui,
  'kubernetes/cloudflared': tunnel,
  'kubernetes/ollama': ollama,
};

const blameIn = (log: string, table: readonly Known[]): Blame | undefined => {
  // What it said last is nearest to its end.
  for (const line of log.trimEnd().split('\n').toReversed()) {
    for (const [pattern, blame] of table) {
      const [words] = pattern.exec(line) ?? [];
      if (words !== undefined) return { words, ...blame };
    }
  }
  return undefined;
};

/** `workload`: the Deployment whose container wrote the log. */
export const blameOf = (workload: ResourceKey, log: string): Blame | undefined =>
  blameIn(log, tables[workload] ?? []);
/** Only of what is told of the database. */
export const databaseBlame = (log: string): Blame | undefined => blameIn(log, [nameless, ...database]);

/** The last line, if it is made of words alone; otherwise the kind of error it names. */
export function lastWordsOf(log: string): string | undefined {
  const lines = log.trimEnd().split('\n');
  const last = (lines.at(-1) ?? '').replace(/^\d{4}-\S+Z\s/, '').trim();
  if (last === '') return undefined;
  const isPlain = !/[:@/=]\S|["'`{}<>]|[A-Za-z0-9+_-]{24,}/.test(last);
  return isPlain ? last.slice(0, 200) : /^[A-Za-z_.]*(?:Error|Exception)\b/.exec(last)?.[0];
}
