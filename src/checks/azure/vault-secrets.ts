/**
 * Every secret that the stack keeps in the vault: there, enabled, not outlived. A secret that nears its end is the
 * control plane's to replace, so it is worth a word only when that is overdue.
 */
import type { SecretProperties } from '@azure/keyvault-secrets';
import { orAbsent } from '../../clients/cloud-failure.ts';
import type { ResourceKey } from '../../graph/resource.ts';
import { rotationAdvised } from '../../resources/azure/webui-secret-key.ts';
import { isExpiring, renewalTime } from '../../resources/kinds/rotation.ts';
import type { Check, CheckFinding, CheckScope } from '../check.ts';
import { repairOf } from '../repair.ts';
import { listSecrets, neededVault } from './parts.ts';

/** A sweep looks at everything many times a day; what it has not replaced in two days it will not by itself. */
const OVERDUE_HOURS = 48;

interface Kept {
  readonly name: string;
  readonly resource: ResourceKey;
  /** What does not work without it. */
  readonly breaks: string;
}

const nobodyReads = 'Nothing: it is there for people to look up.';

/** In the order in which users would miss them. */
const kept: readonly Kept[] = [
  {
    name: 'postgres-connection-string',
    resource: 'azure/postgres-connection-string',
    breaks: 'Pods that start have no DATABASE_URL: Open WebUI does not come up.',
  },
  {
    name: 'postgres-admin-password',
    resource: 'azure/postgres-password',
    breaks:
      'Nobody can log in to the database with what is in the vault; the connection string cannot be renewed.',
  },
  {
    name: 'webui-secret-key',
    resource: 'azure/webui-secret-key',
    breaks:
      'Pods that start have no WEBUI_SECRET_KEY: Open WebUI does not come up. A new one signs everybody out.',
  },
  {
    name: 'storage-account-key',
    resource: 'azure/storage-credentials',
    breaks: 'Nodes cannot mount the file share anew: mount error(13): Permission denied.',
  },
  {
    name: 'storage-account-name',
    resource: 'azure/storage-credentials',
    breaks: 'Nodes cannot mount the file share anew.',
  },
  {
    name: 'openwebui-client-secret',
    resource: 'entra/client-secret',
    breaks: 'Nobody can sign in with a Microsoft account once the pods have started anew.',
  },
  {
    name: 'cf-tunnel-token',
    resource: 'cloudflare/tunnel-token',
    breaks: 'cloudflared cannot be started anew: the site goes down with the next restart.',
  },
  { name: 'postgres-server-fqdn', resource: 'azure/reference-secrets', breaks: nobodyReads },
  { name: 'cf-tunnel-id', resource: 'azure/reference-secrets', breaks: nobodyReads },
  { name: 'openwebui-client-id', resource: 'azure/reference-secrets', breaks: nobodyReads },
  { name: 'tenant-id', resource: 'azure/reference-secrets', breaks: nobodyReads },
];

export const vaultSecrets: Check = {
  id: 'vault-secrets',
  system: 'vault',
  title: 'Every secret is in the vault, enabled and not outlived',

  async run(scope) {
    const { url } = await neededVault(scope);
    const found = await listSecrets(scope, url);
    const findings: CheckFinding[] = [];
    for (const secret of kept) {
      const properties = found.get(secret.name);
      const finding = properties ? trouble(scope, secret, properties) : await missing(scope, url, secret);
      if (finding) findings.push(finding);
    }
    const rank = { error: 0, warning: 1, info: 2 } as const;
    return findings.toSorted((one, other) => rank[one.severity] - rank[other.severity]);
  },
};

const severityOf = ({ breaks }: Kept): 'error' | 'warning' => (breaks === nobodyReads ? 'warning' : 'error');

async function missing(scope: CheckScope, url: string, secret: Kept): Promise<CheckFinding> {
  const { name, resource, breaks } = secret;
  const { vault } = scope.names;
  const deleted = await orAbsent(scope.clients.secrets(url).getDeletedSecret(name));
  return {
    id: `${name}-missing`,
    resource,
    severity: severityOf(secret),
    what: deleted
      ? `Somebody has deleted the secret ${name}; it can be recovered.`
      : `The secret ${name} is not in the vault.`,
    evidence: `The vault ${vault} does not list ${name}${deleted ? ' but among the deleted secrets' : ''}.`,
    breaks,
    remedy: deleted ? `az keyvault secret recover --vault-name ${vault} -n ${name}` : 'Have it made anew.',
    repair: repairOf(scope),
  };
}

function trouble(scope: CheckScope, secret: Kept, found: SecretProperties): CheckFinding | undefined {
  const { name, resource, breaks } = secret;
  const { vault } = scope.names;
  if (found.enabled === false) {
    return {
      id: `${name}-disabled`,
      resource,
      severity: severityOf(secret),
      what: `Somebody has disabled the secret ${name}.`,
      evidence: `attributes.enabled of its current version is false.`,
      breaks,
      // The vault tells nobody a disabled value, so the control plane cannot know whether it is still right.
      remedy: `az keyvault secret set-attributes --vault-name ${vault} -n ${name} --enabled true`,
    };
  }
  const { createdOn, expiresOn } = found;
  if (!createdOn || !expiresOn) return undefined;
  const date = expiresOn.toISOString().slice(0, 10);
  if (name === 'webui-secret-key') {
    return isExpiring(found, scope.now)
      ? { ...rotationAdvised, evidence: `${rotationAdvised.evidence}: ${date}`, resource }
      : undefined;
  }
  const common = {
    resource,
    evidence: `attributes.exp of its current version is ${date}.`,
    remedy: `See in the deployment's operations why ${resource} is not replaced, then have it replaced (rotate).`,
    repair: repairOf(scope),
  };
  if (expiresOn <= scope.now) {
    return {
      ...common,
      id: `${name}-expired`,
      severity: severityOf(secret),
      what: `The secret ${name} has expired.`,
      breaks,
    };
  }
  const overdueAt = renewalTime(createdOn, expiresOn).getTime() + OVERDUE_HOURS * 3_600_000;
  if (scope.now.getTime() < overdueAt) return undefined;
  return {
    ...common,
    id: `${name}-rotation-overdue`,
    severity: 'warning',
    what: `The secret ${name} nears its end and should have been replaced.`,
    breaks: `Nothing yet; from ${date} on: ${breaks}`,
  };
}
