/** The kubeconfigs AKS hands out. */
import { stringify } from 'yaml';
import type { ClusterResource } from './cluster-model.ts';
import type { Frame } from './frame/frame.ts';
import type { Json } from './frame/json.ts';
import { Refusal } from './frame/refusal.ts';
import { groupIdOf, lastName } from './frame/target.ts';

/** Applications of AKS in every tenant: the API server's, and the one people sign in with. */
export const AKS_SERVER_APP_ID = '6dae42f8-4368-4678-94ff-3960e28e3630';
const AKS_CLIENT_APP_ID = '80faf920-1908-4b52-b5ef-a8e7bedfc67a';

/** `format` is the query parameter of listClusterUserCredential. */
export function userCredential(frame: Frame, cluster: ClusterResource, format: string | null): Json {
  const { aadProfile, disableLocalAccounts } = cluster.body.properties;
  if (!aadProfile) {
    if (disableLocalAccounts) throw localAccountsDisabled();
    return kubeconfigs(frame, cluster, 'clusterUser', staticUser(frame, cluster));
  }
  if (format !== null && format !== 'exec' && format !== 'azure') {
    throw new Refusal(400, 'BadRequest', `The format '${format}' of the credential is not supported.`);
  }
  const { tenantId } = frame.world.settings;
  const user =
    format === 'azure'
      ? {
          'auth-provider': {
            name: 'azure',
            config: {
              'apiserver-id': AKS_SERVER_APP_ID,
              'client-id': AKS_CLIENT_APP_ID,
              'config-mode': '1',
              environment: 'AzurePublicCloud',
              'tenant-id': tenantId,
            },
          },
        }
      : {
          exec: {
            apiVersion: 'client.authentication.k8s.io/v1beta1',
            command: 'kubelogin',
            args: [
              'get-token',
              ...['--login', 'devicecode'],
              ...['--server-id', AKS_SERVER_APP_ID],
              ...['--client-id', AKS_CLIENT_APP_ID],
              ...['--tenant-id', tenantId],
              ...['--environment', 'AzurePublicCloud'],
            ],
            env: null,
            installHint: 'kubelogin is not installed which is required to connect to AAD enabled cluster.',
            provideClusterInfo: false,
          },
        };
  return kubeconfigs(frame, cluster, 'clusterUser', user);
}

export function adminCredential(frame: Frame, cluster: ClusterResource): Json {
  if (cluster.body.properties.disableLocalAccounts) throw localAccountsDisabled();
  return kubeconfigs(frame, cluster, 'clusterAdmin', staticUser(frame, cluster));
}

const localAccountsDisabled = (): Refusal =>
  new Refusal(
    400,
    'BadRequest',
    'Getting static credential is not allowed because this cluster is set to disable local accounts.',
  );

function staticUser(frame: Frame, cluster: ClusterResource): Json {
  return { token: frame.neighbours.kubernetes.credentials(cluster.id).token };
}

function kubeconfigs(frame: Frame, cluster: ClusterResource, kind: string, user: Json): Json {
  const authority = frame.neighbours.kubernetes.credentials(cluster.id).certificateAuthority;
  const group = lastName(groupIdOf(cluster.id) ?? '');
  const userName = `${kind}_${group}_${cluster.name}`;
  const context = kind === 'clusterAdmin' ? `${cluster.name}-admin` : cluster.name;
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    preferences: {},
    clusters: [
      {
        name: cluster.name,
        cluster: {
          server: `https://${cluster.body.properties.fqdn}:443`,
          'certificate-authority-data': Buffer.from(authority).toString('base64'),
        },
      },
    ],
    contexts: [{ name: context, context: { cluster: cluster.name, user: userName } }],
    'current-context': context,
    users: [{ name: userName, user }],
  };
  return { kubeconfigs: [{ name: kind, value: Buffer.from(stringify(config)).toString('base64') }] };
}
