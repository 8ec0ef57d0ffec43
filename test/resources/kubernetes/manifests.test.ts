import { describe, expect, test } from 'vitest';
import type { KubernetesObject } from '../../../src/clients/kubernetes-api.ts';
import type { Dependencies, DependencyOutputs } from '../../../src/graph/resource.ts';
import { unsynced } from '../../../src/resources/kinds/external-secret.ts';
import type { Manifest } from '../../../src/resources/kinds/kubernetes-object.ts';
import { manifestOf } from '../../../src/resources/kinds/kubernetes-object.ts';
import { cloudflared } from '../../../src/resources/kubernetes/cloudflared.ts';
import { config, webuiSettings } from '../../../src/resources/kubernetes/config.ts';
import { dataVolume } from '../../../src/resources/kubernetes/data-volume.ts';
import { externalSecrets } from '../../../src/resources/kubernetes/external-secrets.ts';
import { ollama } from '../../../src/resources/kubernetes/ollama.ts';
import { openWebui } from '../../../src/resources/kubernetes/open-webui.ts';
import { openWebuiService } from '../../../src/resources/kubernetes/open-webui-service.ts';
import { redis } from '../../../src/resources/kubernetes/redis.ts';
import { secretStore } from '../../../src/resources/kubernetes/secret-store.ts';
import type { DeploymentSpecInput } from '../../../src/spec/spec.ts';
import { specOf } from '../spec.ts';
import { known, secret } from './known-outputs.ts';

interface HasObjects<Deps extends Dependencies> {
  objects(
    scope: ReturnType<typeof specOf>,
    known: Partial<DependencyOutputs<Deps>>,
  ): readonly Manifest<Deps>[];
}

function manifestsOf<Deps extends Dependencies>(
  resource: HasObjects<Deps>,
  change: Partial<DeploymentSpecInput> = {},
  found?: KubernetesObject,
  outputs: object = known,
): KubernetesObject[] {
  const scope = specOf(change);
  const deps = outputs as DependencyOutputs<Deps>;
  return resource.objects(scope, deps).map((manifest) => manifestOf(manifest, scope, deps, found));
}

describe('kubernetes/open-webui', () => {
  const [fresh] = manifestsOf(openWebui);
  const withStatus = (deployment: KubernetesObject | undefined, replicas: number): KubernetesObject => ({
    ...(deployment as KubernetesObject),
    status: { observedGeneration: 1, replicas, updatedReplicas: replicas, readyReplicas: replicas },
  });

  test('starts with one replica', () => {
    expect(fresh).toMatchObject({ spec: { replicas: 1 } });
    expect(manifestsOf(openWebui, {}, fresh)[0]).toMatchObject({ spec: { replicas: 1 } });
  });

  test('gets its replicas once the one is ready, and keeps them', () => {
    const [scaled] = manifestsOf(openWebui, {}, withStatus(fresh, 1));
    expect(scaled).toMatchObject({
      metadata: { annotations: { 'open-webui-control-plane/good-image': known.images.openWebui } },
      spec: { replicas: 3 },
    });
    // Two of three are unready, as while it scales: nothing goes back.
    expect(manifestsOf(openWebui, {}, withStatus(scaled, 1))[0]).toEqual(scaled);
  });

  test('keeps its replicas for a new image, and remembers the good one', () => {
    const [scaled] = manifestsOf(openWebui, {}, withStatus(fresh, 1));
    const image = 'demoregistry.azurecr.io/open-webui@sha256:9';
    const newer = { ...known, images: { ...known.images, openWebui: image } };
    const [upgrade] = manifestsOf(openWebui, {}, withStatus(scaled, 3), newer);
    expect(upgrade).toMatchObject({
      metadata: { annotations: { 'open-webui-control-plane/good-image': known.images.openWebui } },
      spec: { replicas: 3, template: { spec: { containers: [{ image }] } } },
    });
  });

  test("leaves the replicas to an autoscaler, and not to somebody's kubectl", () => {
    const scaledBy = (manager: string): KubernetesObject => ({
      ...(fresh as KubernetesObject),
      metadata: {
        ...(fresh as KubernetesObject).metadata,
        managedFields: [{ manager, subresource: 'scale', fieldsV1: { 'f:spec': { 'f:replicas': {} } } }],
      },
    });
    expect(manifestsOf(openWebui, {}, scaledBy('kube-controller-manager'))[0]?.['spec']).not.toHaveProperty(
      'replicas',
    );
    expect(manifestsOf(openWebui, {}, scaledBy('kubectl'))[0]?.['spec']).toHaveProperty('replicas');
  });

  test('takes settings and secrets as environment, from where they can be rotated', () => {
    expect(fresh).toMatchObject({
      spec: {
        selector: { matchLabels: { app: 'open-webui' } },
        strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } },
        template: {
          metadata: { labels: { app: 'open-webui' } },
          spec: {
            containers: [
              {
                image: known.images.openWebui,
                envFrom: [{ configMapRef: { name: 'open-webui-config' } }],
                env: ['WEBUI_SECRET_KEY', 'MICROSOFT_CLIENT_SECRET', 'DATABASE_URL'].map((key) => ({
                  name: key,
                  valueFrom: { secretKeyRef: { name: 'open-webui-secrets', key } },
                })),
                resources: {
                  requests: { cpu: '100m', memory: '1Gi' },
                  limits: { cpu: '500m', memory: '2Gi' },
                },
                volumeMounts: [{ name: 'data', mountPath: '/app/backend/data' }],
              },
            ],
            volumes: [{ name: 'data', persistentVolumeClaim: { claimName: 'open-webui-data' } }],
          },
        },
      },
    });
  });

  test('rolls by its own pod template, whether Reloader is told or not', () => {
    type Workload = { spec: { template: { metadata: { annotations?: unknown } } } };
    const podAnnotations = (object: KubernetesObject | undefined): unknown =>
      (object as unknown as Workload).spec.template.metadata.annotations;
    const marks = {
      'open-webui-control-plane/config': 'config-1',
      'open-webui-control-plane/secrets': 'secrets-1',
    };
    expect(fresh?.metadata.annotations).toHaveProperty(['reloader.stakater.com/auto'], 'true');
    expect(podAnnotations(fresh)).toEqual(marks);
    const [self] = manifestsOf(openWebui, { reload: false });
    expect(self?.metadata.annotations).not.toHaveProperty(['reloader.stakater.com/auto']);
    expect(podAnnotations(self)).toEqual(marks);
    expect(podAnnotations(manifestsOf(cloudflared)[0])).toEqual({
      'open-webui-control-plane/secrets': 'token-1',
    });
  });

  test('runs where the spec says', () => {
    const tolerations = [{ key: 'platform', operator: 'Equal', value: 'ai', effect: 'NoSchedule' }] as const;
    const change = { cluster: { tolerations: [...tolerations], nodeSelector: { workload: 'ai' } } };
    for (const resource of [openWebui, ollama, redis, cloudflared]) {
      const [deployment] = manifestsOf(resource as HasObjects<Dependencies>, change);
      expect(deployment).toMatchObject({
        spec: { template: { spec: { tolerations, nodeSelector: { workload: 'ai' } } } },
      });
    }
  });
});

describe('kubernetes/cloudflared', () => {
  test('has its token in the environment and nowhere in its arguments', () => {
    const [deployment] = manifestsOf(cloudflared);
    expect(deployment).toMatchObject({
      spec: {
        replicas: 2,
        template: {
          spec: {
            containers: [
              {
                args: ['tunnel', '--no-autoupdate', '--metrics', '0.0.0.0:2000', 'run'],
                env: [
                  {
                    name: 'TUNNEL_TOKEN',
                    valueFrom: { secretKeyRef: { name: 'cloudflared-token', key: 'TUNNEL_TOKEN' } },
                  },
                ],
                readinessProbe: { httpGet: { path: '/ready', port: 'metrics' } },
                securityContext: { readOnlyRootFilesystem: true, runAsNonRoot: true },
              },
            ],
          },
        },
      },
    });
  });
});

describe('kubernetes/ollama', () => {
  test('replaces its only pod, whose disk one node holds', () => {
    expect(manifestsOf(ollama)[0]).toMatchObject({
      spec: {
        replicas: 1,
        strategy: { type: 'Recreate' },
        template: { spec: { containers: [{ volumeMounts: [{ mountPath: '/root/.ollama' }] }] } },
      },
    });
  });
});

describe('kubernetes/open-webui-service', () => {
  test('keeps clients with one replica for the time asked, or not at all', () => {
    expect(manifestsOf(openWebuiService)[0]).toMatchObject({
      spec: {
        type: 'ClusterIP',
        ports: [{ name: 'http', port: 80, targetPort: 'http', protocol: 'TCP' }],
        sessionAffinity: 'ClientIP',
        sessionAffinityConfig: { clientIP: { timeoutSeconds: 10_800 } },
      },
    });
    const [without] = manifestsOf(openWebuiService, { webui: { sessionAffinitySeconds: 0 } });
    expect(without).toMatchObject({ spec: { sessionAffinity: 'None' } });
    expect(without?.['spec']).not.toHaveProperty('sessionAffinityConfig');
  });
});

describe('kubernetes/data-volume', () => {
  test('is the share, kept when released, bound by label', () => {
    const [volume, claim] = manifestsOf(dataVolume);
    expect(volume).toMatchObject({
      metadata: { labels: { 'open-webui-control-plane/volume': 'open-webui-data' } },
      spec: {
        capacity: { storage: '50Gi' },
        accessModes: ['ReadWriteMany'],
        persistentVolumeReclaimPolicy: 'Retain',
        mountOptions: [
          'dir_mode=0777',
          'file_mode=0777',
          'uid=0',
          'gid=0',
          'mfsymlinks',
          'cache=strict',
          'nosharesock',
        ],
        csi: {
          driver: 'file.csi.azure.com',
          volumeHandle: 'rg-chat#stdemo#openwebui-data',
          nodeStageSecretRef: { name: 'open-webui-storage', namespace: 'open-webui' },
        },
      },
    });
    expect(volume?.metadata).not.toHaveProperty('namespace');
    expect(claim).toMatchObject({
      metadata: { namespace: 'open-webui' },
      spec: {
        storageClassName: '',
        selector: { matchLabels: { 'open-webui-control-plane/volume': 'open-webui-data' } },
      },
    });
  });

  test('is the same share once more, with its own name and handle, while the other key is in use', () => {
    const { spec, names } = specOf();
    const deps = { ...known, storageCredentials: { ...known.storageCredentials, keyName: 'key2' } } as never;
    const manifests = dataVolume.objects({ spec, names }, deps);
    expect(manifests.map(({ kind, name }) => `${kind} ${name}`)).toEqual([
      'PersistentVolume open-webui-data',
      'PersistentVolumeClaim open-webui-data',
      'PersistentVolume open-webui-data-key2',
      'PersistentVolumeClaim open-webui-data-key2',
    ]);
    const [, , volume, claim] = manifests.map((manifest) => manifest.body(deps, undefined));
    expect(volume).toMatchObject({
      spec: {
        csi: {
          volumeHandle: 'rg-chat#stdemo#openwebui-data##key2',
          volumeAttributes: { shareName: 'openwebui-data' },
        },
      },
    });
    expect(claim).toMatchObject({
      spec: {
        selector: { matchLabels: { 'open-webui-control-plane/volume': 'open-webui-data-key2' } },
      },
    });
  });
});

describe('kubernetes/secret-store', () => {
  test('signs in as the identity by its client id, in the version the cluster serves', () => {
    expect(manifestsOf(secretStore)[0]).toMatchObject({
      apiVersion: 'external-secrets.io/v1',
      spec: {
        provider: {
          azurekv: {
            authType: 'ManagedIdentity',
            identityId: 'identity-client-id',
            tenantId: '00000000-0000-4000-8000-000000000002',
            vaultUrl: 'https://kv-demo.vault.azure.net/',
          },
        },
      },
    });
    const older = { ...known, addons: { externalSecretsApi: 'external-secrets.io/v1beta1' } };
    expect(manifestsOf(secretStore, {}, undefined, older)[0]?.apiVersion).toBe('external-secrets.io/v1beta1');
  });
});

describe('kubernetes/external-secrets', () => {
  test('makes one Secret for each user of secrets, with the keys they ask for', () => {
    const table = manifestsOf(externalSecrets).map(({ metadata, ...object }) => {
      const { data } = object['spec'] as { data: { secretKey: string; remoteRef: { key: string } }[] };
      return [
        metadata.name,
        Object.fromEntries(data.map(({ secretKey, remoteRef }) => [secretKey, remoteRef.key])),
      ];
    });
    expect(Object.fromEntries(table)).toEqual({
      'open-webui-secrets': {
        WEBUI_SECRET_KEY: 'webui-secret-key',
        MICROSOFT_CLIENT_SECRET: 'openwebui-client-secret',
        POSTGRES_PASSWORD: 'postgres-admin-password',
        DATABASE_URL: 'postgres-connection-string',
      },
      'cloudflared-token': { TUNNEL_TOKEN: 'cf-tunnel-token' },
      'open-webui-storage': {
        azurestorageaccountname: 'storage-account-name',
        azurestorageaccountkey: 'storage-account-key',
      },
    });
  });

  test('pins every key to a version, so that a new one changes only what brings it', () => {
    const specs = (outputs: object): unknown[] =>
      manifestsOf(externalSecrets, {}, undefined, outputs).map((object) => object['spec']);
    const [webui, tunnel, storage] = specs(known);
    expect(tunnel).toMatchObject({
      data: [{ secretKey: 'TUNNEL_TOKEN', remoteRef: { key: 'cf-tunnel-token', version: '1' } }],
    });
    const rotated = specs({ ...known, tunnelToken: { secret: secret('cf-tunnel-token', '2') } });
    expect(rotated).toEqual([
      webui,
      {
        ...(tunnel as object),
        data: [{ secretKey: 'TUNNEL_TOKEN', remoteRef: { key: 'cf-tunnel-token', version: '2' } }],
      },
      storage,
    ]);
  });

  test('tells Reloader to leave our Secrets and settings alone', () => {
    const annotations = { 'reloader.stakater.com/ignore': 'true' };
    for (const object of manifestsOf(externalSecrets)) {
      expect(object).toMatchObject({ spec: { target: { template: { metadata: { annotations } } } } });
    }
    expect(manifestsOf(config)[0]).toMatchObject({ metadata: { annotations } });
  });

  describe('is synced', () => {
    const synced = (change: object = {}): KubernetesObject => ({
      apiVersion: 'external-secrets.io/v1',
      kind: 'ExternalSecret',
      metadata: {
        name: 'cloudflared-token',
        generation: 2,
        managedFields: [
          { manager: 'open-webui-control-plane', time: '2026-11-23T10:00:00Z' },
          { manager: 'external-secrets', subresource: 'status', time: '2026-11-23T11:00:00Z' },
        ],
      },
      status: {
        refreshTime: '2026-11-23T10:00:05Z',
        syncedResourceVersion: '2-abc',
        conditions: [{ type: 'Ready', status: 'True', reason: 'SecretSynced', message: 'secret synced' }],
        ...change,
      },
    });

    test('after our last word on it', () => {
      expect(unsynced(synced())).toBeUndefined();
    });
    test.each([
      ['before our last word', { refreshTime: '2026-11-23T09:59:59Z' }],
      ['for an earlier spec', { syncedResourceVersion: '1-abc' }],
      ['never', { refreshTime: null, conditions: [] }],
    ])('not %s', (_, change) => {
      expect(unsynced(synced(change))).toBe('cloudflared-token has not been synced yet');
    });
    test('not when the operator says why it could not', () => {
      const conditions = [{ type: 'Ready', status: 'False', message: 'could not get secret data: no role' }];
      expect(unsynced(synced({ conditions }))).toBe('cloudflared-token: could not get secret data: no role');
    });
  });
});

describe('kubernetes/config', () => {
  const settings = (change: Partial<DeploymentSpecInput> = {}): Readonly<Record<string, string>> =>
    webuiSettings(specOf(change), 'the-client-id');

  test('is the table of the stack', () => {
    expect(settings()).toEqual({
      VECTOR_DB: 'pgvector',
      ENABLE_OAUTH_SIGNUP: 'true',
      OAUTH_MERGE_ACCOUNTS_BY_EMAIL: 'false',
      ENABLE_SIGNUP: 'false',
      ENABLE_RAG_WEB_SEARCH: 'false',
      ENABLE_IMAGE_GENERATION: 'false',
      ENABLE_COMMUNITY_SHARING: 'false',
      DEFAULT_USER_ROLE: 'user',
      ENABLE_ADMIN_EXPORT: 'false',
      ENABLE_ADMIN_CHAT_ACCESS: 'false',
      ENABLE_API_KEY: 'false',
      LOG_LEVEL: 'INFO',
      WEBUI_URL: 'https://chat.example.com',
      OLLAMA_BASE_URL: 'http://ollama.open-webui.svc.cluster.local:11434',
      MICROSOFT_CLIENT_ID: 'the-client-id',
      MICROSOFT_CLIENT_TENANT_ID: '00000000-0000-4000-8000-000000000002',
      MICROSOFT_REDIRECT_URI: 'https://chat.example.com/oauth/microsoft/callback',
      MICROSOFT_OAUTH_SCOPE: 'User.Read openid email profile offline_access',
      OPENID_PROVIDER_URL:
        'https://login.microsoftonline.com/00000000-0000-4000-8000-000000000002/v2.0/.well-known/openid-configuration',
      ENABLE_WEBSOCKET_SUPPORT: 'true',
      WEBSOCKET_MANAGER: 'redis',
      WEBSOCKET_REDIS_URL: 'redis://redis.open-webui.svc.cluster.local:6379/0',
      REDIS_URL: 'redis://redis.open-webui.svc.cluster.local:6379/0',
    });
  });

  test('needs no Redis for a single replica, and takes another one than its own', () => {
    expect(settings({ webui: { replicas: 1 } })).not.toHaveProperty('REDIS_URL');
    const redisUrl = 'rediss://cache.example.com:6380/0';
    expect(settings({ webui: { replicas: 1, redisUrl } })).toMatchObject({
      REDIS_URL: redisUrl,
      WEBSOCKET_REDIS_URL: redisUrl,
    });
  });

  test('takes the settings of the user, but never wrong addresses', () => {
    const webui = {
      imageGeneration: true,
      config: { LOG_LEVEL: 'DEBUG', CUSTOM: 'x', WEBUI_URL: 'http://wrong' },
    };
    expect(settings({ webui, ollama: { externalUrl: 'https://ollama.example.com' } })).toMatchObject({
      ENABLE_IMAGE_GENERATION: 'true',
      LOG_LEVEL: 'DEBUG',
      CUSTOM: 'x',
      WEBUI_URL: 'https://chat.example.com',
      OLLAMA_BASE_URL: 'https://ollama.example.com',
    });
  });
});
