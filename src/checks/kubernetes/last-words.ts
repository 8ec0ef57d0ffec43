/**
 * What a container said before it ended, and whose fault that is. A log may hold anything, secrets too: of a line that
 * is not one of these only words are told that cannot carry a value.
 */
import type { ResourceKey } from '../../graph/resource.ts';

export interface Blame {
  readonly resource: ResourceKey;
  /** Completes "… : ". */
  readonly why: string;
  readonly remedy: string;
  /** Words of the log that say so. */
  readonly words: string;
}

type Known = readonly [words: RegExp, blame: Omit<Blame, 'words'>];

const database: readonly Known[] = [
  [
    /password authentication failed/i,
    {
      resource: 'azure/postgres-connection-string',
      why: 'the database refuses its login',
      remedy:
        'Compare the password in the vault with the server; POST …/rotate/postgres-password makes a new one for both.',
    },
  ],
  [
    /no pg_hba\.conf entry|no encryption|SSL required|SSL connection is required/i,
    {
      resource: 'azure/postgres-connection-string',
      why: 'the database wants an encrypted connection',
      remedy: 'The connection string needs sslmode=require: have the control plane make it again.',
    },
  ],
  [
    /database "[^"]*" does not exist/i,
    {
      resource: 'azure/postgres-database',
      why: 'its database does not exist',
      remedy: 'az postgres flexible-server db create, or have the control plane make it.',
    },
  ],
  [
    /not allow-listed|extension "vector" is not available/i,
    {
      resource: 'azure/postgres-parameters',
      why: 'the extension vector is not allowed on the database server',
      remedy:
        'az postgres flexible-server parameter set --name azure.extensions --value VECTOR, or have the control plane do it.',
    },
  ],
  [
    /too many clients|remaining connection slots/i,
    {
      resource: 'azure/postgres-parameters',
      why: 'the database has no connection left',
      remedy: 'Raise postgres.parameters.max_connections in the spec, or use fewer replicas.',
    },
  ],
  [
    /could not translate host name/i,
    {
      resource: 'azure/private-dns-zones',
      why: 'the name of the database does not resolve in the cluster',
      remedy:
        'Look at the private DNS zone and its link to the network: az network private-dns link vnet list.',
    },
  ],
  [
    /Connection timed out|timeout expired|Network is unreachable|No route to host|could not connect to server|server closed the connection|the database system is (starting up|shutting down)/i,
    {
      resource: 'azure/postgres-server',
      why: 'the database cannot be reached',
      remedy:
        'az postgres flexible-server show --query state; start it, and look at its private access: endpoint, delegated subnet, firewall.',
    },
  ],
];

const others: readonly Known[] = [
  [
    /redis\.exceptions\.\w+|Redis URL must specify/i,
    {
      resource: 'kubernetes/redis',
      why: 'Redis does not answer',
      remedy: 'kubectl get pods,service -l app=redis; with an external one, see webui.redisUrl of the spec.',
    },
  ],
  [
    /Required environment variable not found/i,
    {
      resource: 'kubernetes/external-secrets',
      why: 'a secret it needs is empty',
      remedy: 'kubectl describe externalsecret open-webui-secrets',
    },
  ],
  [
    /PermissionError: \[Errno 13\]|database is locked|No space left on device|Read-only file system/i,
    {
      resource: 'kubernetes/data-volume',
      why: 'it cannot write to its volume',
      remedy: 'Look at the volume and its mount: kubectl describe pod, kubectl get pvc; is the share full?',
    },
  ],
  [
    /Unauthorized: Invalid tunnel secret|Provided Tunnel token is not valid|Invalid tunnel secret/i,
    {
      resource: 'cloudflare/tunnel-token',
      why: 'Cloudflare refuses the token of the tunnel',
      remedy: 'POST …/rotate/tunnel-token makes a new one and hands it out.',
    },
  ],
  [
    /requires the ID or name of the tunnel/i,
    {
      resource: 'kubernetes/external-secrets',
      why: 'it was given no token of a tunnel',
      remedy: 'kubectl describe externalsecret cloudflared-token',
    },
  ],
];

const blameIn = (log: string, table: readonly Known[]): Blame | undefined => {
  // What it said last is nearest to its end.
  for (const line of log.trimEnd().split('\n').toReversed()) {
    for (const [pattern, blame] of table) {
      const [words] = pattern.exec(line) ?? [];
      if (words !== undefined) return { ...blame, words };
    }
  }
  return undefined;
};

export const blameOf = (log: string): Blame | undefined => blameIn(log, [...database, ...others]);
/** Only of what is told of the database. */
export const databaseBlame = (log: string): Blame | undefined => blameIn(log, database);

/** The last line, if it is made of words alone; otherwise the kind of error it names. */
export function lastWordsOf(log: string): string | undefined {
  const lines = log.trimEnd().split('\n');
  const last = (lines.at(-1) ?? '').replace(/^\d{4}-\S+Z\s/, '').trim();
  if (last === '') return undefined;
  const isPlain = !/[:@/=]\S|["'`{}<>]|[A-Za-z0-9+_-]{24,}/.test(last);
  return isPlain ? last.slice(0, 200) : /^[A-Za-z_.]*(?:Error|Exception)\b/.exec(last)?.[0];
}
