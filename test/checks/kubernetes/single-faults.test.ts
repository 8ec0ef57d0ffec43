/** One fault at a time in a stack that runs: the first finding names it, stays the same, and goes when it is mended. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { KubernetesError } from '../../../src/clients/kubernetes-api.ts';
import type { ResourceKey } from '../../../src/graph/resource.ts';
import { REGISTRY } from '../../cloud/kubernetes/small-world.ts';
import { DATABASE_PASSWORD } from '../../cloud/kubernetes/stack.ts';
import { RunningStack } from './a-running-stack.ts';

interface Fault {
  readonly fault: string;
  readonly id: string;
  readonly resource: ResourceKey;
  break(stack: RunningStack): unknown;
  /** What reconciling does not mend. */
  mend?(stack: RunningStack): unknown;
}

const policies = 'networking.k8s.io/v1';
const container = (name: string, fields: object) => ({
  spec: { template: { spec: { containers: [{ name, ...fields }] } } },
});
/** A merge patch replaces lists whole, so the one container is given again with what is changed. */
const change = async (stack: RunningStack, name: string, fields: object): Promise<void> => {
  const found = await stack.api.find({
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    name,
    namespace: 'open-webui',
  });
  const { spec } = found as unknown as { spec: { template: { spec: { containers: object[] } } } };
  await stack.patch('Deployment', name, container(name, { ...spec.template.spec.containers[0], ...fields }));
};
const image = (stack: RunningStack, name: string, tag: string) =>
  change(stack, name, { image: `${REGISTRY}/${tag}` });
const operator = (stack: RunningStack, replicas: number) =>
  stack.api.mergePatch(
    {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      name: 'external-secrets',
      namespace: 'external-secrets',
    },
    { spec: { replicas } },
  );
const dns = (stack: RunningStack, replicas: number) =>
  stack.api.mergePatch(
    { apiVersion: 'apps/v1', kind: 'Deployment', name: 'coredns', namespace: 'kube-system' },
    { spec: { replicas } },
  );
const nodes = async (stack: RunningStack, spec: object): Promise<void> => {
  for (const { metadata } of await stack.api.list({ apiVersion: 'v1', kind: 'Node' }))
    await stack.api.mergePatch({ apiVersion: 'v1', kind: 'Node', name: metadata.name }, { spec });
};
const pool = (stack: RunningStack, fields: object): void => {
  const { state, world } = stack.small;
  state.cluster = {
    ...state.cluster,
    nodePools: state.cluster.nodePools.map((one) => ({ ...one, ...fields })),
  };
  world.touch();
};
const touched = (stack: RunningStack, fields: Partial<RunningStack['small']['state']>): void => {
  Object.assign(stack.small.state, fields);
  stack.small.world.touch();
};
const password = async (stack: RunningStack, value: string): Promise<void> => {
  const server = await stack.small.postgres?.connect();
  await server?.query(`ALTER ROLE openwebuiadmin PASSWORD '${value}'`);
  await server?.end();
};
/** The share is mounted anew only where nothing has it mounted. */
const unmountable = (said: string, id: string, resource: ResourceKey): Fault => ({
  fault: `the share does not mount: ${said}`,
  id: `open-webui-${id}`,
  resource,
  break: async (stack) => {
    await stack.stopAll('open-webui');
    touched(stack, { shareFault: said });
    await stack.patch('Deployment', 'open-webui', { spec: { replicas: 3 } });
  },
  mend: async (stack) => {
    touched(stack, { shareFault: undefined });
    await stack.removePods('open-webui');
  },
});

const faults: readonly Fault[] = [
  {
    fault: 'External Secrets is scaled to zero',
    id: 'external-secrets-scaled-to-zero',
    resource: 'kubernetes/addons',
    break: (stack) => operator(stack, 0),
    mend: (stack) => operator(stack, 1),
  },
  {
    fault: 'somebody takes the annotation for Reloader off',
    id: 'reloader-annotation-missing',
    resource: 'kubernetes/cloudflared',
    break: (stack) =>
      stack.patch('Deployment', 'cloudflared', {
        metadata: { annotations: { 'reloader.stakater.com/auto': null } },
      }),
  },
  {
    fault: 'the nodes do not carry the identity',
    id: 'identity-not-on-node',
    resource: 'azure/node-identity',
    break: (stack) => pool(stack, { identityClientIds: [] }),
    mend: async (stack) => {
      pool(stack, { identityClientIds: [stack.scope.known['azure/identity']?.outputs['clientId']] });
      for (const name of ['open-webui-secrets', 'cloudflared-token', 'open-webui-storage'])
        await stack.sync(name);
    },
  },
  {
    fault: 'the secret store names another client id',
    id: 'wrong-identity',
    resource: 'kubernetes/secret-store',
    break: (stack) =>
      stack.patch(
        'SecretStore',
        'azure-key-vault',
        { spec: { provider: { azurekv: { identityId: 'c11e4700-0000-4000-8000-0000000000ff' } } } },
        'external-secrets.io/v1',
      ),
  },
  {
    fault: 'the vault refuses the identity',
    id: 'vault-forbids',
    resource: 'azure/vault-roles',
    break: async (stack) => {
      touched(stack, { mayReadVault: false });
      await stack.sync('cloudflared-token');
    },
    mend: async (stack) => {
      touched(stack, { mayReadVault: true });
      await stack.sync('cloudflared-token');
    },
  },
  {
    fault: 'a secret is deleted from the vault',
    id: 'cf-tunnel-token-unusable',
    resource: 'cloudflare/tunnel-token',
    break: (stack) => stack.small.state.secrets.delete('cf-tunnel-token/1'),
    mend: async (stack) => {
      stack.small.state.secrets.set('cf-tunnel-token/1', stack.small.state.tunnelToken);
      await stack.sync('cloudflared-token');
    },
  },
  {
    fault: 'the vault has a newer version than the cluster',
    id: 'open-webui-secrets-older-than-vault',
    resource: 'kubernetes/external-secrets',
    break: (stack) => {
      stack.small.state.secrets.set('webui-secret-key/2', 'c2Vjb25k');
      stack.versions.set('webui-secret-key', '2');
    },
  },
  {
    fault: 'an ExternalSecret is deleted',
    id: 'cloudflared-token-missing',
    resource: 'kubernetes/external-secrets',
    break: (stack) => stack.remove('ExternalSecret', 'cloudflared-token', 'external-secrets.io/v1'),
  },
  {
    fault: 'an image is not in the registry',
    id: 'cloudflared-image-missing',
    resource: 'azure/images',
    break: (stack) => image(stack, 'cloudflared', 'cloudflared:v9'),
  },
  {
    fault: 'the registry refuses the cluster',
    id: 'open-webui-image-pull-refused',
    resource: 'azure/registry-pull',
    break: async (stack) => {
      touched(stack, { mayPull: false });
      await image(stack, 'open-webui', 'open-webui:v2');
    },
    mend: (stack) => touched(stack, { mayPull: true }),
  },
  {
    fault: 'a build crashes',
    id: 'open-webui-crashes',
    resource: 'kubernetes/open-webui',
    break: async (stack) => {
      stack.small.state.images.set(`${REGISTRY}/open-webui:bad`, 'open-webui');
      stack.small.state.behaviours.set(`${REGISTRY}/open-webui:bad`, 'crashes');
      await image(stack, 'open-webui', 'open-webui:bad');
    },
  },
  {
    fault: 'Ollama runs and never gets ready',
    id: 'ollama-not-ready',
    resource: 'kubernetes/ollama',
    break: async (stack) => {
      stack.small.state.images.set(`${REGISTRY}/ollama:bad`, 'ollama');
      stack.small.state.behaviours.set(`${REGISTRY}/ollama:bad`, 'never-ready');
      const probe = { httpGet: { path: '/', port: 'http' }, periodSeconds: 5 };
      await change(stack, 'ollama', {
        image: `${REGISTRY}/ollama:bad`,
        startupProbe: null,
        livenessProbe: null,
        readinessProbe: probe,
      });
    },
  },
  {
    fault: 'the database is out of reach when Open WebUI starts',
    id: 'open-webui-crashes',
    resource: 'azure/postgres-server',
    break: async (stack) => {
      touched(stack, {
        databaseFault: 'connection to server at "10.10.17.4", port 5432 failed: Connection timed out',
      });
      await stack.removePods('open-webui');
    },
    mend: async (stack) => {
      touched(stack, { databaseFault: undefined });
      await stack.removePods('open-webui');
    },
  },
  {
    fault: 'the database refuses the login when Open WebUI starts',
    id: 'open-webui-crashes',
    resource: 'azure/postgres-connection-string',
    break: async (stack) => {
      await password(stack, 'another-Password-2');
      await stack.removePods('open-webui');
    },
    mend: async (stack) => {
      await password(stack, DATABASE_PASSWORD);
      await stack.removePods('open-webui');
    },
  },
  {
    fault: 'the database goes away under a running Open WebUI',
    id: 'chain-broken-at-database',
    resource: 'azure/postgres-server',
    break: (stack) =>
      touched(stack, {
        databaseFault: 'connection to server at "10.10.17.4", port 5432 failed: Connection timed out',
      }),
    mend: (stack) => touched(stack, { databaseFault: undefined }),
  },
  unmountable('mount error(13): Permission denied', 'mount-denied', 'azure/storage-credentials'),
  unmountable('mount error(115): Operation now in progress', 'storage-unreachable', 'azure/storage-endpoint'),
  unmountable('mount error(2): No such file or directory', 'share-missing', 'azure/file-share'),
  unmountable(
    'mount error: could not resolve address for stdemo.file.core.windows.net: Unknown error',
    'storage-name-unresolved',
    'azure/private-dns-zones',
  ),
  {
    fault: 'Ollama asks for more memory than a node has',
    id: 'ollama-insufficient-memory',
    resource: 'kubernetes/ollama',
    break: (stack) =>
      change(stack, 'ollama', {
        resources: { requests: { memory: '64Gi' }, limits: { memory: '64Gi' } },
      }),
  },
  {
    fault: 'Ollama asks for a node that there is none of',
    id: 'ollama-no-matching-node',
    resource: 'kubernetes/ollama',
    break: (stack) =>
      stack.patch('Deployment', 'ollama', {
        spec: { template: { spec: { nodeSelector: { gpu: 'yes' } } } },
      }),
    mend: (stack) =>
      stack.patch('Deployment', 'ollama', { spec: { template: { spec: { nodeSelector: null } } } }),
  },
  {
    fault: 'the node pool gets a taint that is not tolerated',
    id: 'no-node-admits-workloads',
    resource: 'azure/cluster',
    break: (stack) => pool(stack, { taints: ['team=other:NoSchedule'] }),
    mend: (stack) => pool(stack, { taints: [] }),
  },
  {
    fault: 'all nodes are cordoned',
    id: 'all-nodes-cordoned',
    resource: 'azure/cluster',
    break: (stack) => nodes(stack, { unschedulable: true }),
    mend: (stack) => nodes(stack, { unschedulable: null }),
  },
  {
    fault: 'CoreDNS is scaled to zero',
    id: 'names-do-not-resolve',
    resource: 'azure/cluster',
    break: (stack) => dns(stack, 0),
    mend: (stack) => dns(stack, 2),
  },
  {
    fault: 'Open WebUI is scaled to zero',
    id: 'scaled-to-zero',
    resource: 'kubernetes/open-webui',
    break: (stack) => stack.patch('Deployment', 'open-webui', { spec: { replicas: 0 } }),
  },
  {
    fault: 'Open WebUI has fewer replicas than wished',
    id: 'replicas-differ',
    resource: 'kubernetes/open-webui',
    break: (stack) => stack.patch('Deployment', 'open-webui', { spec: { replicas: 2 } }),
  },
  {
    fault: 'Redis is scaled to zero',
    id: 'scaled-to-zero',
    resource: 'kubernetes/redis',
    break: (stack) => stack.patch('Deployment', 'redis', { spec: { replicas: 0 } }),
  },
  {
    fault: 'a Deployment is deleted',
    id: 'deployment-missing',
    resource: 'kubernetes/cloudflared',
    break: (stack) => stack.remove('Deployment', 'cloudflared', 'apps/v1'),
  },
  {
    fault: 'Cloudflare refuses the token of the tunnel',
    // At first its pods only do not get ready; then their liveness probe ends them, and that is what stays.
    id: 'cloudflared-crashes',
    resource: 'cloudflare/tunnel-token',
    break: (stack) => touched(stack, { tunnelToken: 'tunnel-token-2' }),
    mend: (stack) => touched(stack, { tunnelToken: 'tunnel-token-1' }),
  },
  {
    fault: 'a Service selects other pods',
    id: 'open-webui-service-misled',
    resource: 'kubernetes/open-webui-service',
    break: (stack) =>
      stack.patch('Service', 'open-webui', { spec: { selector: { app: 'openwebui' } } }, 'v1'),
  },
  {
    fault: 'a Service is deleted',
    id: 'ollama-service-missing',
    resource: 'kubernetes/ollama-service',
    break: (stack) => stack.remove('Service', 'ollama'),
  },
  {
    fault: 'the session affinity is switched off',
    id: 'open-webui-service-affinity',
    resource: 'kubernetes/open-webui-service',
    break: (stack) =>
      stack.patch(
        'Service',
        'open-webui',
        { spec: { sessionAffinity: 'None', sessionAffinityConfig: null } },
        'v1',
      ),
  },
  {
    fault: 'a network policy is deleted',
    id: 'ollama-policy-missing',
    resource: 'kubernetes/network-policy',
    break: (stack) => stack.remove('NetworkPolicy', 'ollama', policies),
  },
  {
    fault: 'the disruption budget is deleted',
    id: 'open-webui-budget-missing',
    resource: 'kubernetes/disruption-budget',
    break: (stack) => stack.remove('PodDisruptionBudget', 'open-webui', 'policy/v1'),
  },
  {
    fault: 'a wished model is deleted',
    id: 'models-missing',
    resource: 'kubernetes/ollama-models',
    break: (stack) =>
      stack.api.requestService(
        { namespace: 'open-webui', name: 'ollama', port: 11434 },
        { method: 'DELETE', path: '/api/delete', body: { model: 'tinyllama' } },
      ),
  },
  {
    fault: 'the name of the site does not resolve',
    id: 'chain-broken-at-site-name',
    resource: 'cloudflare/dns-record',
    break: (stack) => {
      stack.site = { isServed: false, said: 'no answer (ENOTFOUND)' };
    },
    mend: (stack) => {
      stack.site = undefined;
    },
  },
  {
    fault: 'the DNS record leads to another tunnel',
    id: 'chain-broken-at-site',
    resource: 'cloudflare/tunnel',
    break: (stack) => {
      stack.site = { isServed: false, said: 'HTTP 530' };
    },
    mend: (stack) => {
      stack.site = undefined;
    },
  },
  {
    fault: 'the ingress rule leads nowhere',
    id: 'chain-broken-at-site',
    resource: 'cloudflare/ingress',
    break: (stack) => {
      stack.site = { isServed: false, said: 'HTTP 404' };
    },
    mend: (stack) => {
      stack.site = undefined;
    },
  },
];

describe('checks inside the cluster', () => {
  let stack: RunningStack;
  /** A row that failed leaves its fault behind; the next one gets a stack of its own. */
  let isWell = true;
  const counts = { hits: 0, falseAlarms: 0 };
  beforeAll(async () => {
    stack = await RunningStack.start();
  }, 300_000);
  afterAll(async () => {
    const { hits, falseAlarms } = counts;
    console.info(
      `inside the cluster: ${faults.length} faults, ${hits} hits, ${faults.length - hits} misses, ${falseAlarms} false alarms`,
    );
    await stack?.stop();
  });

  test('find nothing in a stack that is well', async () => {
    const findings = await stack.findings();
    counts.falseAlarms = findings.length;
    expect(findings).toEqual([]);
  });

  test.each(faults)(
    '$fault',
    async ({ id, resource, break: breakIt, mend }) => {
      if (!isWell) {
        await stack.stop();
        stack = await RunningStack.start();
      }
      isWell = false;
      await breakIt(stack);
      const first = async () => (await stack.findings())[0];
      await stack.until(async () => {
        const found = await first();
        return found?.id === id && found.resource === resource;
      });
      const found = await first();
      await stack.small.world.clock.wait(40_000);
      expect(await first()).toEqual(found);
      for (const value of stack.small.state.secrets.values())
        if (value.length > 8) expect(JSON.stringify(found)).not.toContain(value);
      counts.hits += 1;

      await mend?.(stack);
      // A roll-out that goes well is no finding, and pods of one that is under way would meet the next fault while starting.
      await stack.until(
        async () => (await stack.reconcile()).length === 0 && (await stack.findings()).length === 0,
      );
      isWell = true;
    },
    400_000,
  );

  test('say nothing where they may not look', async () => {
    touched(stack, { isAdmin: false });
    await expect(stack.findings()).rejects.toThrow(KubernetesError);
    touched(stack, { isAdmin: true });
    expect(await stack.findings()).toEqual([]);
  });
});
