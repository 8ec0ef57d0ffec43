/** The objects of a small Open WebUI stack, as a person would write them, applied to the small world's cluster. */
import { call } from './client.ts';
import { DATABASE_HOST, eventually, IDENTITY, REGISTRY, type SmallWorld, VAULT } from './small-world.ts';

export const NAMESPACE = 'open-webui';
export const DATABASE_PASSWORD = 'first-Password-1';

export function databaseUrl(password: string): string {
  return `postgresql://openwebuiadmin:${encodeURIComponent(password)}@${DATABASE_HOST}:5432/openwebuidb?sslmode=require`;
}

/** Server-side apply; rejects with the server's words when it is refused. */
export async function apply(world: SmallWorld, object: Manifest): Promise<Record<string, unknown>> {
  const { apiVersion, kind, metadata } = object;
  const plural =
    { NetworkPolicy: 'networkpolicies', StorageClass: 'storageclasses' }[kind] ?? `${kind.toLowerCase()}s`;
  const root = apiVersion.includes('/') ? `/apis/${apiVersion}` : `/api/${apiVersion}`;
  const isClusterScoped = ['Namespace', 'PersistentVolume'].includes(kind);
  const where = isClusterScoped ? '' : `/namespaces/${metadata.namespace ?? NAMESPACE}`;
  const path = `${root}${where}/${plural}/${metadata.name}?fieldManager=stack&force=true`;
  const answer = await call(world, 'PATCH', path, { body: object, type: 'application/apply-patch+yaml' });
  if (answer.status >= 300) throw new Error(`${answer.status} ${String(answer.body['message'])}`);
  return answer.body;
}

export interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
  };
  readonly [field: string]: unknown;
}

const HELM =
  'helm upgrade --install external-secrets external-secrets --repo https://charts.external-secrets.io' +
  ' --version 2.9.0 --namespace external-secrets --create-namespace --set installCRDs=true --wait' +
  ' && helm upgrade --install reloader reloader --repo https://stakater.github.io/stakater-charts --version 2.2.17' +
  ' --namespace reloader --create-namespace --set reloader.reloadStrategy=annotations --wait';

export async function installOperators(world: SmallWorld): Promise<void> {
  await eventually(
    async () => (await call(world, 'GET', '/api/v1/nodes')).body['items'],
    (items) => Array.isArray(items) && items.length > 0,
  );
  const { exitCode, logs } = await world.kubernetes.runCommand(world.state.cluster.id, HELM);
  if (exitCode !== 0) throw new Error(logs);
}

/** The role and database the stack expects on the real server, and the vault's secrets. */
export async function prepareOutside(world: SmallWorld): Promise<void> {
  const server = await world.postgres?.connect();
  await server?.query(`CREATE ROLE openwebuiadmin LOGIN PASSWORD '${DATABASE_PASSWORD}'`);
  await server?.query('CREATE DATABASE openwebuidb OWNER openwebuiadmin');
  await server?.end();
  for (const [name, value] of [
    ['webui-secret-key', 'c2VjcmV0'],
    ['openwebui-client-secret', 'client-secret'],
    ['postgres-admin-password', DATABASE_PASSWORD],
    ['postgres-connection-string', databaseUrl(DATABASE_PASSWORD)],
    ['cf-tunnel-token', world.state.tunnelToken],
    ['storage-account-name', 'stowui'],
    ['storage-account-key', 'storage-key-1'],
  ] as const) {
    world.state.secrets.set(name, value);
  }
}

export function deployment(
  name: string,
  container: Readonly<Record<string, unknown>>,
  options: {
    readonly replicas?: number;
    readonly volumes?: readonly object[];
    readonly strategy?: string;
    readonly auto?: boolean;
  } = {},
): Manifest {
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: {
      name,
      labels: { app: name },
      ...(options.auto ? { annotations: { 'reloader.stakater.com/auto': 'true' } } : {}),
    },
    spec: {
      replicas: options.replicas ?? 1,
      ...(options.strategy === undefined ? {} : { strategy: { type: options.strategy } }),
      selector: { matchLabels: { app: name } },
      template: {
        metadata: { labels: { app: name } },
        spec: {
          containers: [{ name, ...container }],
          ...(options.volumes ? { volumes: options.volumes } : {}),
        },
      },
    },
  };
}

export function service(name: string, port: number, targetPort: number | string): Manifest {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name },
    spec: { selector: { app: name }, ports: [{ name: 'http', port, targetPort }] },
  };
}

function externalSecret(name: string, keys: Readonly<Record<string, string>>): Manifest {
  return {
    apiVersion: 'external-secrets.io/v1',
    kind: 'ExternalSecret',
    metadata: { name },
    spec: {
      refreshInterval: '1h',
      secretStoreRef: { kind: 'SecretStore', name: 'azure-key-vault' },
      target: { name, creationPolicy: 'Owner' },
      data: Object.entries(keys).map(([secretKey, key]) => ({ secretKey, remoteRef: { key } })),
    },
  };
}

const secretVariable = (name: string): object => ({
  name,
  valueFrom: { secretKeyRef: { name: 'open-webui-secrets', key: name } },
});

export function webui(replicas: number, image = `${REGISTRY}/open-webui:v1`): Manifest {
  const probe = { httpGet: { path: '/ready', port: 'http' }, periodSeconds: 10 };
  return deployment(
    'open-webui',
    {
      image,
      ports: [{ name: 'http', containerPort: 8080 }],
      envFrom: [{ configMapRef: { name: 'open-webui-config' } }],
      env: ['WEBUI_SECRET_KEY', 'MICROSOFT_CLIENT_SECRET', 'DATABASE_URL'].map(secretVariable),
      resources: { requests: { cpu: '100m', memory: '1Gi' }, limits: { cpu: '500m', memory: '2Gi' } },
      startupProbe: { ...probe, failureThreshold: 60 },
      readinessProbe: probe,
      livenessProbe: { httpGet: { path: '/health', port: 'http' }, periodSeconds: 20 },
      volumeMounts: [{ name: 'data', mountPath: '/app/backend/data' }],
    },
    {
      replicas,
      auto: true,
      volumes: [{ name: 'data', persistentVolumeClaim: { claimName: 'open-webui-data' } }],
    },
  );
}

export function objectsOf(replicas = 1): readonly Manifest[] {
  return [
    { apiVersion: 'v1', kind: 'Namespace', metadata: { name: NAMESPACE } },
    {
      apiVersion: 'external-secrets.io/v1',
      kind: 'SecretStore',
      metadata: { name: 'azure-key-vault' },
      spec: {
        provider: {
          azurekv: {
            authType: 'ManagedIdentity',
            vaultUrl: `${VAULT}/`,
            identityId: IDENTITY,
            tenantId: '7e4a4700-0000-4000-8000-000000000001',
          },
        },
      },
    },
    externalSecret('open-webui-secrets', {
      WEBUI_SECRET_KEY: 'webui-secret-key',
      MICROSOFT_CLIENT_SECRET: 'openwebui-client-secret',
      POSTGRES_PASSWORD: 'postgres-admin-password',
      DATABASE_URL: 'postgres-connection-string',
    }),
    externalSecret('cloudflared-token', { TUNNEL_TOKEN: 'cf-tunnel-token' }),
    externalSecret('open-webui-storage', {
      azurestorageaccountname: 'storage-account-name',
      azurestorageaccountkey: 'storage-account-key',
    }),
    {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'open-webui-config' },
      data: {
        OLLAMA_BASE_URL: 'http://ollama.open-webui.svc.cluster.local:11434',
        VECTOR_DB: 'pgvector',
        WEBSOCKET_MANAGER: 'redis',
        WEBSOCKET_REDIS_URL: 'redis://redis:6379/0',
        WEBUI_URL: 'https://chat.yourdomain.com',
        ENABLE_OAUTH_SIGNUP: 'true',
        DEFAULT_USER_ROLE: 'user',
        MICROSOFT_CLIENT_ID: 'app-1',
        MICROSOFT_CLIENT_TENANT_ID: '7e4a4700-0000-4000-8000-000000000001',
        MICROSOFT_REDIRECT_URI: 'https://chat.yourdomain.com/oauth/microsoft/callback',
      },
    },
    {
      apiVersion: 'v1',
      kind: 'PersistentVolume',
      metadata: { name: 'open-webui-data', labels: { app: 'open-webui' } },
      spec: {
        capacity: { storage: '50Gi' },
        accessModes: ['ReadWriteMany'],
        persistentVolumeReclaimPolicy: 'Retain',
        storageClassName: '',
        csi: {
          driver: 'file.csi.azure.com',
          volumeHandle: 'rg-owui#stowui#openwebui-data',
          volumeAttributes: { shareName: 'openwebui-data', protocol: 'smb' },
          nodeStageSecretRef: { name: 'open-webui-storage', namespace: NAMESPACE },
        },
      },
    },
    {
      apiVersion: 'v1',
      kind: 'PersistentVolumeClaim',
      metadata: { name: 'open-webui-data' },
      spec: {
        accessModes: ['ReadWriteMany'],
        storageClassName: '',
        resources: { requests: { storage: '50Gi' } },
        selector: { matchLabels: { app: 'open-webui' } },
      },
    },
    {
      apiVersion: 'v1',
      kind: 'PersistentVolumeClaim',
      metadata: { name: 'ollama-models' },
      spec: {
        accessModes: ['ReadWriteOnce'],
        storageClassName: 'managed-csi',
        resources: { requests: { storage: '10Gi' } },
      },
    },
    deployment(
      'ollama',
      {
        image: `${REGISTRY}/ollama:v1`,
        ports: [{ containerPort: 11434 }],
        resources: { limits: { memory: '4Gi' } },
        readinessProbe: { httpGet: { path: '/', port: 11434 } },
        volumeMounts: [{ name: 'models', mountPath: '/root/.ollama' }],
      },
      {
        strategy: 'Recreate',
        volumes: [{ name: 'models', persistentVolumeClaim: { claimName: 'ollama-models' } }],
      },
    ),
    service('ollama', 11434, 11434),
    deployment('redis', {
      image: `${REGISTRY}/valkey:v1`,
      ports: [{ containerPort: 6379 }],
      readinessProbe: { tcpSocket: { port: 6379 } },
    }),
    service('redis', 6379, 6379),
    webui(replicas),
    service('open-webui', 80, 'http'),
    deployment(
      'cloudflared',
      {
        image: `${REGISTRY}/cloudflared:v1`,
        args: ['tunnel', '--no-autoupdate', '--metrics', '0.0.0.0:2000', 'run'],
        env: [
          {
            name: 'TUNNEL_TOKEN',
            valueFrom: { secretKeyRef: { name: 'cloudflared-token', key: 'TUNNEL_TOKEN' } },
          },
        ],
        ports: [{ name: 'metrics', containerPort: 2000 }],
        readinessProbe: { httpGet: { path: '/ready', port: 'metrics' }, periodSeconds: 5 },
      },
      { auto: true },
    ),
  ];
}

export async function readyReplicas(world: SmallWorld, name: string): Promise<number> {
  const found = await call(world, 'GET', `/apis/apps/v1/namespaces/${NAMESPACE}/deployments/${name}`);
  const status = found.body['status'] as { readyReplicas?: number } | undefined;
  return status?.readyReplicas ?? 0;
}

/** Everything installed, applied and ready. */
export async function startStack(world: SmallWorld): Promise<void> {
  await prepareOutside(world);
  await installOperators(world);
  for (const object of objectsOf()) await apply(world, object);
  for (const name of ['redis', 'ollama', 'cloudflared', 'open-webui']) {
    await eventually(
      () => readyReplicas(world, name),
      (count) => count > 0,
    );
  }
}
