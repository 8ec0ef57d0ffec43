/**
 * The two operators a stack leans on: External Secrets, which brings secrets from the vault, and Reloader, which restarts
 * workloads when what they mount changes and is asked for only where the spec wants that. However they got into the
 * cluster, they are found by the image they run. Where they are missing and the spec says `install`, Helm puts them there
 * from a pod that AKS runs for us (run command), so that no Helm and no way to the charts is needed here. https://learn.microsoft.com/azure/aks/access-private-cluster
 *
 * The command is submitted and not waited for. Which one it was is written on the add-on's namespace, so that the next
 * look, perhaps by another process, asks AKS what became of it instead of starting a second one.
 */
import { z } from 'zod';
import { aksTokenScope } from '../../clients/kubeconfig.ts';
import type { KubernetesApi, KubernetesObject } from '../../clients/kubernetes-api.ts';
import { fatal } from '../../graph/failure.ts';
import { managedBy } from '../../naming.ts';
import { cluster } from '../azure/cluster.ts';
import { clusterAccess } from '../azure/cluster-access.ts';
import type { Unready } from '../kinds/kubernetes-object.ts';
import { commonLabels } from '../kinds/kubernetes-object.ts';
import { workloadReadiness } from '../kinds/workload.ts';
import type { Scope } from '../scope.ts';
import { defineResource } from '../scope.ts';

/** The operators, each by the image it runs. */
export const operatorImages = {
  'external-secrets': /(^|\/)external-secrets(:|@|$)/,
  reloader: /(^|\/)reloader(:|@|$)/,
} as const;
export type Operator = keyof typeof operatorImages;
export const operators = Object.keys(operatorImages) as Operator[];

/** Newest first; v1beta1 is served by operators before 0.17 only: https://external-secrets.io/latest/introduction/stability-support/ */
const externalSecretsApis = ['external-secrets.io/v1', 'external-secrets.io/v1beta1'] as const;
/** Where no cluster is at hand to ask. */
export const EXTERNAL_SECRETS_API = externalSecretsApis[0];

export interface Addon {
  readonly title: string;
  readonly mode: 'install' | 'expect';
  /** Of Helm's release and its namespace. */
  readonly name: Operator;
  readonly image: RegExp;
  readonly command: string;
}

/** In single quotes nothing means anything to a shell, and the spec allows none inside. */
const setJson = (path: string, value: object): string => ` --set-json '${path}=${JSON.stringify(value)}'`;

/** Operators run where the spec says workloads may run: on a cluster of tainted pools they would start nowhere else. */
function placementFlags({ cluster }: Scope['spec'], path: string): string {
  const { tolerations, nodeSelector } = cluster;
  return [
    tolerations.length > 0 ? setJson(`${path}.tolerations`, tolerations) : '',
    Object.keys(nodeSelector).length > 0 ? setJson(`${path}.nodeSelector`, nodeSelector) : '',
  ].join('');
}

/** Versions are pinned: what is installed today is what is installed tomorrow. */
export function addonsOf(spec: Scope['spec']): readonly Addon[] {
  return [
    {
      title: 'External Secrets',
      mode: spec.addons.externalSecrets,
      name: 'external-secrets',
      image: operatorImages['external-secrets'],
      command:
        'helm upgrade --install external-secrets external-secrets --repo https://charts.external-secrets.io' +
        ' --version 2.9.0 --namespace external-secrets --create-namespace --set installCRDs=true' +
        placementFlags(spec, 'global'),
    },
    ...(spec.reload ? [reloader(spec)] : []),
  ];
}

/** For what people mount beside ours: what we wrote, we roll ourselves (docs/decisions/0008-one-rollout.md). */
const reloader = (spec: Scope['spec']): Addon => ({
  title: 'Reloader',
  mode: spec.addons.reloader,
  name: 'reloader',
  image: operatorImages.reloader,
  // With `annotations` it writes to a pod template's annotations instead of making up environment variables.
  command:
    'helm upgrade --install reloader reloader --repo https://stakater.github.io/stakater-charts' +
    ' --version 2.2.17 --namespace reloader --create-namespace --set reloader.reloadStrategy=annotations' +
    placementFlags(spec, 'reloader.deployment'),
});

/** `<command id> <when it was submitted>`, on the add-on's namespace. */
const installAnnotation = `${managedBy}/install`;
/** A command pod that was never scheduled, or whose result AKS has forgotten, is given up after this. */
const INSTALL_MINUTES = 15;

const podImages = z.object({
  spec: z.object({
    template: z.object({
      spec: z.object({ containers: z.array(z.object({ image: z.string().default('') })) }),
    }),
  }),
});

export const runs = (deployment: KubernetesObject, image: RegExp): boolean =>
  podImages.parse(deployment).spec.template.spec.containers.some((container) => image.test(container.image));

type AddonState = { readonly addon: Addon } & (
  | { readonly is: 'present' | 'missing' }
  | { readonly is: NonNullable<Unready> }
);

export async function servedApi(api: KubernetesApi): Promise<string | undefined> {
  for (const version of externalSecretsApis) {
    if (await api.serves(version, 'ExternalSecret')) return version;
  }
  return undefined;
}

const connect = ({ clients, names }: Scope): Promise<KubernetesApi> =>
  clients.kubernetes(names.resourceGroup, names.cluster);

async function look(
  scope: Scope,
  api: KubernetesApi,
): Promise<{ states: AddonState[]; externalSecretsApi?: string }> {
  const deployments = await api.list({ apiVersion: 'apps/v1', kind: 'Deployment' });
  const externalSecretsApi = await servedApi(api);
  const states = await Promise.all(
    addonsOf(scope.spec).map(async (addon): Promise<AddonState> => {
      const found = deployments.filter((deployment) => runs(deployment, addon.image));
      const isServed = addon.name !== 'external-secrets' || externalSecretsApi !== undefined;
      if (found.length === 0 || !isServed)
        return { addon, is: (await installation(scope, api, addon)) ?? 'missing' };
      const unready = await Promise.all(found.map((deployment) => workloadReadiness(api, deployment)));
      return { addon, is: unready.find((state) => state !== undefined) ?? 'present' };
    }),
  );
  return { states, ...(externalSecretsApi === undefined ? {} : { externalSecretsApi }) };
}

/** What became of the last command that was to install it; `undefined` when there was none, or it is given up. */
async function installation(scope: Scope, api: KubernetesApi, { name, title }: Addon): Promise<Unready> {
  const namespace = await api.find({ apiVersion: 'v1', kind: 'Namespace', name });
  const [commandId, submittedAt] = (namespace?.metadata.annotations?.[installAnnotation] ?? '').split(' ');
  if (!commandId || !submittedAt) return undefined;
  const isOld = scope.now.getTime() - Date.parse(submittedAt) > INSTALL_MINUTES * 60_000;
  if (isOld) return undefined;
  const { names, clients } = scope;
  const result = await clients
    .clusters()
    .managedClusters.getCommandResult(names.resourceGroup, names.cluster, commandId);
  if (result?.provisioningState === 'Failed' || (result?.exitCode ?? 0) !== 0) {
    const said = (result?.logs || result?.reason || 'no output')
      .trim()
      .split('\n')
      .slice(-3)
      .join(' ')
      .slice(-500);
    return { state: 'failed', code: 'HelmFailed', message: `Helm could not install ${title}: ${said}` };
  }
  return { state: 'changing', reason: `Helm is installing ${title}`, retryAfterSeconds: 15 };
}

export const addons = defineResource({
  key: 'kubernetes/addons',
  title: 'Operators',
  dependsOn: { cluster, clusterAccess },

  async observe(scope) {
    const { states, externalSecretsApi } = await look(scope, await connect(scope));
    const missing = states.filter(({ is }) => is === 'missing').map(({ addon }) => addon);
    const expected = missing.find(({ mode }) => mode === 'expect');
    if (expected) {
      throw fatal(
        'AddonMissing',
        `${expected.title} is not in the cluster and the spec says to expect it: install it, or set addons to install`,
      );
    }
    const outputs = { externalSecretsApi: externalSecretsApi ?? EXTERNAL_SECRETS_API };
    if (missing.length === states.length) return { state: 'absent' };
    if (missing.length > 0) {
      const differences = missing.map(({ name }) => ({ path: name, wanted: 'installed', found: null }));
      return { state: 'drifted', outputs, differences };
    }
    const unready = states.flatMap(({ is }) => (typeof is === 'string' ? [] : [is]));
    return unready.find(({ state }) => state === 'failed') ?? unready[0] ?? { state: 'ready', outputs };
  },

  async ensure(scope) {
    const api = await connect(scope);
    const { states } = await look(scope, api);
    for (const { addon, is } of states) {
      const isWanting =
        is === 'missing' || (typeof is === 'object' && is.state === 'failed' && is.code === 'HelmFailed');
      if (isWanting && addon.mode === 'install') await install(scope, api, addon);
    }
  },

  /** They go with the cluster; until then other workloads may be using them. */
  async remove() {},
});

async function install(
  { clients, names, now }: Scope,
  api: KubernetesApi,
  { name, command }: Addon,
): Promise<void> {
  const submission = clients.clusters().managedClusters.runCommand(names.resourceGroup, names.cluster, {
    command,
    // Clusters with Entra sign-in run the command as whoever this token belongs to.
    clusterToken: await clients.token(aksTokenScope),
  });
  // The id stands nowhere but in the address where the result will be.
  const commandId = /\/commandResults\/([^/?"]+)/i.exec(await submission.serialize())?.[1];
  if (!commandId)
    throw fatal('CommandIdMissing', 'AKS did not say where the result of its run command will be');
  await api.apply({
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: {
      name,
      labels: commonLabels(name),
      annotations: { [installAnnotation]: `${commandId} ${now.toISOString()}` },
    },
  });
}
