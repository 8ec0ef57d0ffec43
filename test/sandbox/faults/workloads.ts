import { pushImage } from '../../cloud/push-image.ts';
import { at, type Fault, type Hands, type Json } from './fault.ts';

const core = '/api/v1/namespaces/open-webui';
const deployments = '/apis/apps/v1/namespaces/open-webui/deployments';
const registry = 'yourorg.azurecr.io';

const scale = (name: string, replicas: number) => (hands: Hands) =>
  hands.cluster.patch(`${deployments}/${name}`, { spec: { replicas } });
const pods = (name: string, spec: Json) => (hands: Hands) =>
  hands.cluster.patch(`${deployments}/${name}`, { spec: { template: { spec } } }, 'strategic-merge');
const container = (name: string, fields: object) => pods(name, { containers: [{ name, ...fields }] });
const remove = (path: string) => (hands: Hands) => hands.cluster.remove(path);

/** The claim that is mounted: each key of the storage account has one of its own. */
async function shareClaim({ cluster }: Hands): Promise<string> {
  const volumes = at(await cluster.get(`${deployments}/open-webui`), 'spec', 'template', 'spec', 'volumes');
  const all = volumes as { persistentVolumeClaim?: { claimName: string } }[];
  const [name = ''] = all.flatMap(({ persistentVolumeClaim: claim }) => claim?.claimName ?? []);
  return name;
}

/** Takes the pods away that use a claim, and waits until it is gone. */
async function emptied(hands: Hands, name: string, claim: string): Promise<void> {
  await scale(name, 0)(hands);
  const isThere = async (): Promise<boolean> =>
    hands.cluster.get(`${core}/persistentvolumeclaims/${claim}`).then(
      () => true,
      () => false,
    );
  while (await isThere()) await new Promise((resolve) => setTimeout(resolve, 250));
}

export const workloadFaults: readonly Fault[] = [
  {
    what: 'An image is not in the registry',
    seed: 'Pods not starting: image pull errors',
    finding: 'kubernetes/cloudflared cloudflared-image-missing',
    break: container('cloudflared', { image: `${registry}/cloudflared:v9` }),
    mend: 'repair',
  },
  {
    what: 'A build of Open WebUI crashes',
    seed: 'Usage 9: logs',
    finding: 'kubernetes/open-webui open-webui-crashes',
    break: async (hands) => {
      await pushImage(hands.sample.clouds, {
        ...{ host: registry, repository: 'open-webui', tag: 'by-hand' },
        ...{ software: 'open-webui', label: 'by-hand', behaviour: 'crashes' },
      });
      await container('open-webui', { image: `${registry}/open-webui:by-hand` })(hands);
    },
    mend: 'repair',
  },
  {
    what: 'Ollama asks for more memory than a node has',
    seed: 'Pods not starting: resources and node capacity',
    finding: 'kubernetes/ollama ollama-insufficient-memory',
    break: container('ollama', { resources: { requests: { memory: '64Gi' }, limits: { memory: '64Gi' } } }),
    mend: 'repair',
  },
  {
    what: 'cloudflared asks for a node that there is none of',
    seed: 'Pods not starting: resources and node capacity',
    finding: 'kubernetes/cloudflared cloudflared-no-matching-node',
    break: pods('cloudflared', { nodeSelector: { platform: 'elsewhere' } }),
    mend: 'repair',
  },
  {
    what: 'Open WebUI is scaled to nothing',
    seed: 'Verify: pod status',
    finding: 'kubernetes/open-webui scaled-to-zero',
    break: scale('open-webui', 0),
    mend: 'repair',
  },
  {
    what: 'Open WebUI has fewer replicas than wished',
    seed: 'Usage 7: replicas',
    finding: 'kubernetes/open-webui replicas-differ',
    break: scale('open-webui', 2),
    mend: 'repair',
  },
  {
    what: 'Redis is scaled to nothing',
    seed: 'Replicas: the same database, session affinity',
    finding: 'kubernetes/redis scaled-to-zero',
    break: scale('redis', 0),
    mend: 'repair',
  },
  {
    what: 'Somebody has deleted the Deployment of cloudflared',
    seed: 'Tunnel: connectors and their logs',
    finding: 'kubernetes/cloudflared deployment-missing',
    break: remove(`${deployments}/cloudflared`),
    mend: 'repair',
  },
  {
    what: 'Somebody has set the client id of another application',
    seed: 'Authentication: client and tenant in the ConfigMap',
    finding: 'kubernetes/config settings-changed',
    break: ({ cluster }) =>
      cluster.patch(`${core}/configmaps/open-webui-config`, {
        data: { MICROSOFT_CLIENT_ID: 'c11e4700-0000-4000-8000-0000000000ff' },
      }),
    mend: 'repair',
  },
  {
    what: 'Somebody has deleted the ConfigMap',
    seed: 'Usage 10: the ConfigMap',
    finding: 'kubernetes/config settings-missing',
    break: remove(`${core}/configmaps/open-webui-config`),
    mend: 'repair',
  },
  {
    what: 'The Service of Open WebUI selects other pods',
    seed: 'Usage 4: names and services that answer',
    finding: 'kubernetes/open-webui-service open-webui-service-misled',
    break: ({ cluster }) =>
      cluster.patch(`${core}/services/open-webui`, { spec: { selector: { app: 'openwebui' } } }),
    mend: 'repair',
  },
  {
    what: 'Somebody has deleted the Service of Ollama',
    seed: 'Verify: services',
    finding: 'kubernetes/ollama-service ollama-service-missing',
    break: remove(`${core}/services/ollama`),
    mend: 'repair',
  },
  {
    what: 'Somebody has switched the session affinity off',
    seed: 'Replicas: the same database, session affinity',
    finding: 'kubernetes/open-webui-service open-webui-service-affinity',
    break: ({ cluster }) =>
      cluster.patch(`${core}/services/open-webui`, {
        spec: { sessionAffinity: 'None', sessionAffinityConfig: null },
      }),
    mend: 'repair',
  },
  {
    what: 'Somebody has deleted the network policy of Ollama',
    seed: 'Security: roles and network policies',
    finding: 'kubernetes/network-policy ollama-policy-missing',
    break: remove('/apis/networking.k8s.io/v1/namespaces/open-webui/networkpolicies/ollama'),
    mend: 'repair',
  },
  {
    what: 'Somebody has deleted the disruption budget',
    seed: 'Usage 7: replicas',
    finding: 'kubernetes/disruption-budget open-webui-budget-missing',
    break: remove('/apis/policy/v1/namespaces/open-webui/poddisruptionbudgets/open-webui'),
    mend: 'repair',
  },
  {
    what: 'Somebody has deleted a wished model',
    seed: 'Usage 2: models that are listed',
    finding: 'kubernetes/ollama-models models-missing',
    break: ({ cluster }) =>
      cluster.remove(`${core}/services/ollama:11434/proxy/api/delete`, { model: 'tinyllama' }),
    mend: 'repair',
  },
];

export const workloadLosses: readonly Fault[] = [
  {
    what: "Somebody has deleted the claim of Ollama's disk",
    seed: 'Pods not starting: PVC not bound',
    finding: 'kubernetes/ollama-volume claim-terminating',
    break: remove(`${core}/persistentvolumeclaims/ollama-data`),
    // It goes when no pod uses it any more, and can only then be made again.
    beforeRepair: (hands) => emptied(hands, 'ollama', 'ollama-data'),
    mend: 'repair',
  },
  {
    what: 'Somebody has deleted the claim of the share',
    seed: 'Azure Files: PV bound to PVC',
    finding: 'kubernetes/data-volume claim-terminating',
    break: async (hands) => hands.cluster.remove(`${core}/persistentvolumeclaims/${await shareClaim(hands)}`),
    beforeRepair: async (hands) => emptied(hands, 'open-webui', await shareClaim(hands)),
    mend: 'repair',
  },
];
