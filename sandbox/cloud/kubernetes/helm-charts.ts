/**
 * The two charts this stack installs, as the objects they render to: github.com/external-secrets/external-secrets
 * deploy/charts/external-secrets and github.com/stakater/Reloader deployments/kubernetes/chart/reloader. Values that
 * change what runs are honoured; a value the chart's schema does not have is refused. Two charts are mostly data, which
 * is why this file is long.
 */
import { at, type Fields, isFields } from './object.ts';
import { EXTERNAL_SECRETS_DEFINITIONS } from './processes/external-secrets-kinds.ts';

export type Values = Readonly<Record<string, unknown>>;

export interface RenderRequest {
  readonly release: string;
  readonly namespace: string;
  readonly version: string;
  readonly values: Values;
}

export interface Chart {
  readonly name: string;
  /** The objects, CRDs first; the text is the chart's complaint. */
  render(request: RenderRequest): readonly object[] | string;
}

export const REPOSITORIES = {
  'external-secrets': 'https://charts.external-secrets.io',
  reloader: 'https://stakater.github.io/stakater-charts',
} as const;

interface Known extends Chart {
  readonly addresses: readonly string[];
  readonly latest: string;
  readonly versions: RegExp;
  appVersion(version: string): string;
}

const EXTERNAL_SECRETS: Known = {
  name: 'external-secrets',
  addresses: [
    `${REPOSITORIES['external-secrets']}/external-secrets`,
    'oci://ghcr.io/external-secrets/charts/external-secrets',
  ],
  latest: '2.9.0',
  // The first operator without v1beta1 is 0.17.0; older ones are not simulated.
  versions: /^(0\.(1[7-9]|20)|[12]\.\d+)\.\d+$/,
  appVersion: (version) => `v${version}`,
  render: renderExternalSecrets,
};

const RELOADER: Known = {
  name: 'reloader',
  addresses: [`${REPOSITORIES.reloader}/reloader`, 'oci://ghcr.io/stakater/charts/reloader'],
  latest: '2.2.17',
  versions: /^(1\.\d+|2\.\d+)\.\d+$/,
  appVersion: (version) => (version.startsWith('2.') ? `v1.4.${version.split('.')[2]}` : `v${version}`),
  render: renderReloader,
};

/** The chart at an address, or Helm's complaint. */
export function findChart(
  address: string,
  wanted: string | undefined,
): (Chart & { readonly version: string; readonly appVersion: string }) | string {
  const known = [EXTERNAL_SECRETS, RELOADER].find(({ addresses }) => addresses.includes(address));
  const name = address.split('/').at(-1) ?? address;
  if (!known)
    return `chart "${name}" not found in ${address.slice(0, address.length - name.length - 1)} repository`;
  const version = (wanted ?? known.latest).replace(/^v/, '');
  if (!known.versions.test(version)) {
    return `chart "${name}" version "${wanted}" not found in ${address.slice(0, address.length - name.length - 1)} repository`;
  }
  return { name: known.name, render: known.render, version, appVersion: known.appVersion(version) };
}

function text(values: Values, ...path: string[]): string | undefined {
  const value = at(values, ...path);
  return value === undefined || value === null || value === '' ? undefined : String(value);
}

/** Tolerations and node selector: a component's own, or those for all. */
function placement(values: Values, ...path: string[]): Fields {
  const result: Fields = {};
  for (const name of ['tolerations', 'nodeSelector'] as const) {
    const own = at(values, ...path, name) ?? at(values, 'global', name);
    const isGiven = Array.isArray(own) ? own.length > 0 : isFields(own) && Object.keys(own).length > 0;
    if (isGiven) result[name] = own;
  }
  return result;
}

const TOP_LEVEL = new Set(
  'global replicaCount image installCRDs crds extraArgs extraEnv fullnameOverride nameOverride namespaceOverride leaderElect concurrent resources serviceAccount rbac tolerations nodeSelector affinity topologySpreadConstraints podLabels podAnnotations deploymentAnnotations webhook certController serviceMonitor metrics log priorityClassName podDisruptionBudget scopedNamespace scopedRBAC processClusterStore processClusterExternalSecret processPushSecret processClusterPushSecret createOperator controllerClass securityContext podSecurityContext imagePullSecrets livenessProbe readinessProbe revisionHistoryLimit bitwarden-sdk-server'.split(
    ' ',
  ),
);

function renderExternalSecrets({
  release,
  namespace,
  version,
  values,
}: RenderRequest): readonly object[] | string {
  const unknown = Object.keys(values).find((name) => !TOP_LEVEL.has(name));
  if (unknown !== undefined) {
    return `values don't meet the specifications of the schema(s) in the following chart(s):\nexternal-secrets:\n- (root): Additional property ${unknown} is not allowed`;
  }
  const fullName =
    text(values, 'fullnameOverride') ??
    (release.includes('external-secrets') ? release : `${release}-external-secrets`);
  const labels = (name: string): Fields => ({
    'app.kubernetes.io/name': name,
    'app.kubernetes.io/instance': release,
    'app.kubernetes.io/version': `v${version}`,
    'app.kubernetes.io/managed-by': 'Helm',
    'helm.sh/chart': `external-secrets-${version}`,
  });
  const image = (...path: string[]): string => {
    const repository =
      text(values, ...path, 'image', 'repository') ??
      text(values, 'global', 'repository') ??
      'ghcr.io/external-secrets/external-secrets';
    return `${repository}:${text(values, ...path, 'image', 'tag') ?? `v${version}`}`;
  };
  const component = (
    suffix: string,
    name: string,
    path: readonly string[],
    args: readonly string[],
    ports: readonly Fields[],
    probe: Fields | undefined,
  ): object[] => {
    const account = text(values, ...path, 'serviceAccount', 'name') ?? `${fullName}${suffix}`;
    const selector = { 'app.kubernetes.io/name': name, 'app.kubernetes.io/instance': release };
    return [
      {
        apiVersion: 'v1',
        kind: 'ServiceAccount',
        metadata: { name: account, namespace, labels: labels(name) },
      },
      {
        apiVersion: 'apps/v1',
        kind: 'Deployment',
        metadata: { name: `${fullName}${suffix}`, namespace, labels: labels(name) },
        spec: {
          replicas: Number(text(values, ...path, 'replicaCount') ?? 1),
          revisionHistoryLimit: 10,
          selector: { matchLabels: selector },
          template: {
            metadata: { labels: { ...labels(name) } },
            spec: {
              serviceAccountName: account,
              automountServiceAccountToken: true,
              ...placement(values, ...path),
              containers: [
                {
                  name: suffix === '' ? 'external-secrets' : suffix.slice(1),
                  image: image(...path),
                  imagePullPolicy: 'IfNotPresent',
                  args: [...args],
                  ports: [...ports],
                  ...(probe ? { readinessProbe: probe } : {}),
                  securityContext: {
                    allowPrivilegeEscalation: false,
                    capabilities: { drop: ['ALL'] },
                    readOnlyRootFilesystem: true,
                    runAsNonRoot: true,
                    runAsUser: 1000,
                    seccompProfile: { type: 'RuntimeDefault' },
                  },
                },
              ],
            },
          },
        },
      },
    ];
  };
  const ready = (port: number): Fields => ({
    httpGet: { path: '/readyz', port },
    initialDelaySeconds: 20,
    periodSeconds: 5,
  });
  const withDefinitions = at(values, 'installCRDs') !== false;
  const hasWebhook = at(values, 'webhook', 'create') !== false;
  const hasCertificates = at(values, 'certController', 'create') !== false;
  return [
    ...(withDefinitions ? EXTERNAL_SECRETS_DEFINITIONS : []),
    ...component(
      '',
      'external-secrets',
      [],
      ['--concurrent=1', '--metrics-addr=:8080', '--loglevel=info', '--zap-time-encoding=epoch'],
      [{ name: 'metrics', containerPort: 8080, protocol: 'TCP' }],
      undefined,
    ),
    ...(hasWebhook
      ? [
          ...component(
            '-webhook',
            'external-secrets-webhook',
            ['webhook'],
            [
              'webhook',
              '--port=10250',
              `--dns-name=${fullName}-webhook.${namespace}.svc`,
              '--healthz-addr=:8081',
            ],
            [{ name: 'webhook', containerPort: 10250, protocol: 'TCP' }],
            ready(8081),
          ),
          {
            apiVersion: 'v1',
            kind: 'Service',
            metadata: { name: `${fullName}-webhook`, namespace, labels: labels('external-secrets-webhook') },
            spec: {
              type: 'ClusterIP',
              selector: {
                'app.kubernetes.io/name': 'external-secrets-webhook',
                'app.kubernetes.io/instance': release,
              },
              ports: [{ name: 'webhook', port: 443, targetPort: 'webhook', protocol: 'TCP' }],
            },
          },
          ...webhooks(fullName, namespace),
        ]
      : []),
    ...(hasCertificates
      ? component(
          '-cert-controller',
          'external-secrets-cert-controller',
          ['certController'],
          [
            'certcontroller',
            '--crd-requeue-interval=5m',
            `--service-name=${fullName}-webhook`,
            `--service-namespace=${namespace}`,
            '--healthz-addr=:8081',
          ],
          [{ name: 'metrics', containerPort: 8080, protocol: 'TCP' }],
          ready(8081),
        )
      : []),
  ];
}

function webhooks(fullName: string, namespace: string): object[] {
  const hook = (plural: string): Fields => ({
    name: `validate.${plural.slice(0, -1)}.external-secrets.io`,
    rules: [
      {
        apiGroups: ['external-secrets.io'],
        apiVersions: ['v1'],
        operations: ['CREATE', 'UPDATE', 'DELETE'],
        resources: [plural],
        scope: '*',
      },
    ],
    clientConfig: {
      service: {
        namespace,
        name: `${fullName}-webhook`,
        path: `/validate-external-secrets-io-v1-${plural.slice(0, -1)}`,
      },
    },
    admissionReviewVersions: ['v1', 'v1beta1'],
    sideEffects: 'None',
    timeoutSeconds: 5,
    failurePolicy: 'Fail',
  });
  return [
    {
      apiVersion: 'admissionregistration.k8s.io/v1',
      kind: 'ValidatingWebhookConfiguration',
      metadata: { name: 'secretstore-validate' },
      webhooks: [hook('secretstores'), hook('clustersecretstores')],
    },
    {
      apiVersion: 'admissionregistration.k8s.io/v1',
      kind: 'ValidatingWebhookConfiguration',
      metadata: { name: 'externalsecret-validate' },
      webhooks: [hook('externalsecrets')],
    },
  ];
}

function renderReloader({ release, namespace, version, values }: RenderRequest): readonly object[] | string {
  const unknown = Object.keys(values).find(
    (name) =>
      !['global', 'reloader', 'kubernetes', 'image', 'nameOverride', 'fullnameOverride'].includes(name),
  );
  if (unknown !== undefined) {
    return `values don't meet the specifications of the schema(s) in the following chart(s):\nreloader:\n- (root): Additional property ${unknown} is not allowed`;
  }
  const name = text(values, 'fullnameOverride') ?? `${release}-reloader`;
  const appVersion = RELOADER.appVersion(version);
  const repository =
    text(values, 'image', 'repository') ??
    text(values, 'reloader', 'deployment', 'image', 'name') ??
    'ghcr.io/stakater/reloader';
  const tag =
    text(values, 'image', 'tag') ?? text(values, 'reloader', 'deployment', 'image', 'tag') ?? appVersion;
  const strategy = text(values, 'reloader', 'reloadStrategy');
  if (strategy !== undefined && !['default', 'env-vars', 'annotations'].includes(strategy)) {
    return `values don't meet the specifications of the schema(s) in the following chart(s):\nreloader:\n- reloader.reloadStrategy: value must be one of "default", "env-vars", "annotations"`;
  }
  const labels = {
    app: name,
    chart: `reloader-${version}`,
    release,
    heritage: 'Helm',
    'app.kubernetes.io/managed-by': 'Helm',
    group: 'com.stakater.platform',
    provider: 'stakater',
    version: appVersion,
  };
  const args = [
    ...(strategy === undefined || strategy === 'default' ? [] : [`--reload-strategy=${strategy}`]),
    ...(at(values, 'reloader', 'autoReloadAll') === true ? ['--auto-reload-all=true'] : []),
  ];
  return [
    { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name, namespace, labels } },
    {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name, namespace, labels },
      spec: {
        replicas: Number(text(values, 'reloader', 'deployment', 'replicas') ?? 1),
        revisionHistoryLimit: 2,
        selector: { matchLabels: { app: name, release } },
        template: {
          metadata: { labels },
          spec: {
            serviceAccountName: name,
            ...placement(values, 'reloader', 'deployment'),
            containers: [
              {
                name,
                image: `${repository}:${tag}`,
                imagePullPolicy: 'IfNotPresent',
                ...(args.length > 0 ? { args } : {}),
                ports: [{ name: 'http', containerPort: 9090 }],
                livenessProbe: {
                  httpGet: { path: '/live', port: 'http' },
                  timeoutSeconds: 5,
                  failureThreshold: 5,
                  periodSeconds: 10,
                  successThreshold: 1,
                  initialDelaySeconds: 10,
                },
                readinessProbe: {
                  httpGet: { path: '/metrics', port: 'http' },
                  timeoutSeconds: 5,
                  failureThreshold: 5,
                  periodSeconds: 10,
                  successThreshold: 1,
                  initialDelaySeconds: 10,
                },
                securityContext: {
                  runAsNonRoot: true,
                  runAsUser: 65_534,
                  seccompProfile: { type: 'RuntimeDefault' },
                },
              },
            ],
          },
        },
      },
    },
  ];
}
