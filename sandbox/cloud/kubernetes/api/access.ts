/**
 * Who calls and whether they may: Entra ID tokens for the AKS server application, the static token that AKS puts into
 * kubeconfigs of clusters with local accounts, and Azure RBAC for Kubernetes on the cluster's ARM id
 * (learn.microsoft.com/azure/aks/manage-azure-rbac).
 */
import type { Authorization, Cluster, Directory, Principal } from '../../neighbours.ts';
import type { ResourcePath } from './path.ts';
import { StatusError } from './status-error.ts';

/** The AKS AAD server application: the audience of every token for an AKS API server. */
export const AKS_AUDIENCE = '6dae42f8-4368-4678-94ff-3960e28e3630';

export type Caller =
  | { readonly kind: 'local-account'; readonly name: string }
  | { readonly kind: 'entra'; readonly name: string; readonly principal: Principal };

export type Verb = 'get' | 'list' | 'watch' | 'create' | 'update' | 'patch' | 'delete' | 'deletecollection';

/** Throws 401. */
export function authenticate(
  header: string | null,
  cluster: Cluster,
  localToken: string,
  directory: Directory,
): Caller {
  if (header === `Bearer ${localToken}` && !cluster.localAccountsDisabled) {
    return { kind: 'local-account', name: 'masterclient' };
  }
  const verified = directory.verifyToken(header, [AKS_AUDIENCE, `spn:${AKS_AUDIENCE}`]);
  if (!verified.ok) throw new StatusError(401, 'Unauthorized', 'Unauthorized');
  const { principal } = verified;
  return {
    kind: 'entra',
    name: principal.kind === 'user' ? principal.displayName : principal.id,
    principal,
  };
}

/** Whether the caller may do this; local accounts are `system:masters`. */
export function isAllowed(
  caller: Caller,
  verb: Verb,
  path: ResourcePath,
  cluster: Cluster,
  authorization: Authorization,
): boolean {
  if (caller.kind === 'local-account') return true;
  if (!cluster.azureRbac) return false;
  const scope = path.namespace === undefined ? cluster.id : `${cluster.id}/namespaces/${path.namespace}`;
  const group = path.group === '' ? '' : `${path.group}/`;
  const dataAction = `Microsoft.ContainerService/managedClusters/${group}${path.plural}/${rightOf(verb)}`;
  return authorization.isAllowed(caller.principal.id, scope, { dataAction });
}

function rightOf(verb: Verb): string {
  if (verb === 'get' || verb === 'list' || verb === 'watch') return 'read';
  return verb === 'delete' || verb === 'deletecollection' ? 'delete' : 'write';
}

/** 403 in the wording of the API server with the reason of the Azure authorizer. */
export function refusal(caller: Caller, verb: Verb, path: ResourcePath, cluster: Cluster): StatusError {
  const resource = path.subresource === undefined ? path.plural : `${path.plural}/${path.subresource}`;
  const name = path.name === undefined ? '' : ` "${path.name}"`;
  const where =
    path.namespace === undefined ? ' at the cluster scope' : ` in the namespace "${path.namespace}"`;
  const why = cluster.azureRbac
    ? ': User does not have access to the resource in Azure. Update role assignment to allow access.'
    : '';
  return new StatusError(
    403,
    'Forbidden',
    `${path.group === '' ? path.plural : `${path.plural}.${path.group}`}${name} is forbidden: User "${caller.name}" cannot ${verb} resource "${resource}" in API group "${path.group}"${where}${why}`,
    {
      ...(path.name === undefined ? {} : { name: path.name }),
      ...(path.group === '' ? {} : { group: path.group }),
      kind: path.plural,
    },
  );
}
