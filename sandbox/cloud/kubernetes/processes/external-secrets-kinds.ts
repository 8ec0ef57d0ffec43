/**
 * The custom kinds of External Secrets, as far as this stack uses them: SecretStores for Azure Key Vault, and
 * ExternalSecrets. Served as `external-secrets.io/v1` only: v1beta1 went with operator 0.17
 * (github.com/external-secrets/external-secrets/releases/tag/v0.17.0; apis/externalsecrets/v1).
 */
const GROUP = 'external-secrets.io';

const string = { type: 'string' };
const boolean = { type: 'boolean' };
const oneOf = (values: readonly string[], fallback?: string): object => ({
  type: 'string',
  enum: values,
  ...(fallback === undefined ? {} : { default: fallback }),
});
const object = (properties: object, required: readonly string[] = []): object => ({
  type: 'object',
  properties,
  ...(required.length > 0 ? { required } : {}),
});
const list = (items: object): object => ({ type: 'array', items });
const map = (values: object): object => ({ type: 'object', additionalProperties: values });

const secretKey = { type: 'string', minLength: 1, maxLength: 253, pattern: '^[-._a-zA-Z0-9]+$' };
const secretSelector = object({ key: secretKey, name: string, namespace: string });

const conditions = list(
  object({ lastTransitionTime: string, message: string, reason: string, status: string, type: string }, [
    'status',
    'type',
  ]),
);

const azureKeyVault = object(
  {
    authType: oneOf(['ServicePrincipal', 'ManagedIdentity', 'WorkloadIdentity'], 'ServicePrincipal'),
    vaultUrl: string,
    tenantId: string,
    environmentType: oneOf(
      ['PublicCloud', 'USGovernmentCloud', 'ChinaCloud', 'GermanCloud', 'AzureStackCloud'],
      'PublicCloud',
    ),
    identityId: string,
    useAzureSDK: { type: 'boolean', default: false },
    authSecretRef: object({
      clientId: secretSelector,
      tenantId: secretSelector,
      clientSecret: secretSelector,
      clientCertificate: secretSelector,
    }),
    serviceAccountRef: object({ name: string, namespace: string, audiences: list(string) }, ['name']),
    customCloudConfig: object({
      activeDirectoryEndpoint: string,
      keyVaultEndpoint: string,
      keyVaultDNSSuffix: string,
      resourceManagerEndpoint: string,
    }),
  },
  ['vaultUrl'],
);

const storeSpec = object(
  {
    controller: string,
    provider: { ...object({ azurekv: azureKeyVault }), minProperties: 1, maxProperties: 1 },
    retrySettings: object({ maxRetries: { type: 'integer' }, retryInterval: string }),
    refreshInterval: { type: 'integer' },
    conditions: list(
      object({
        namespaceSelector: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true },
        namespaces: list(string),
        namespaceRegexes: list(string),
      }),
    ),
  },
  ['provider'],
);

const remoteRef = object(
  {
    key: string,
    property: string,
    version: string,
    metadataPolicy: oneOf(['None', 'Fetch'], 'None'),
    conversionStrategy: oneOf(['Default', 'Unicode'], 'Default'),
    decodingStrategy: oneOf(['Auto', 'Base64', 'Base64URL', 'None'], 'None'),
  },
  ['key'],
);

const externalSecretSpec = object({
  secretStoreRef: object({ name: { ...secretKey }, kind: oneOf(['SecretStore', 'ClusterSecretStore']) }),
  target: {
    ...object({
      name: secretKey,
      creationPolicy: oneOf(['Owner', 'Orphan', 'Merge', 'None'], 'Owner'),
      deletionPolicy: oneOf(['Delete', 'Merge', 'Retain'], 'Retain'),
      immutable: boolean,
      template: object({
        type: string,
        engineVersion: oneOf(['v2'], 'v2'),
        mergePolicy: oneOf(['Replace', 'Merge'], 'Replace'),
        metadata: object({ annotations: map(string), labels: map(string), finalizers: list(string) }),
        data: map(string),
      }),
    }),
  },
  refreshPolicy: oneOf(['CreatedOnce', 'Periodic', 'OnChange']),
  refreshInterval: { type: 'string', default: '1h0m0s' },
  data: list(object({ secretKey, remoteRef }, ['remoteRef', 'secretKey'])),
});

const storeColumns = [
  { name: 'AGE', type: 'date', jsonPath: '.metadata.creationTimestamp' },
  { name: 'Status', type: 'string', jsonPath: '.status.conditions[?(@.type=="Ready")].reason' },
  { name: 'Capabilities', type: 'string', jsonPath: '.status.capabilities' },
  { name: 'Ready', type: 'string', jsonPath: '.status.conditions[?(@.type=="Ready")].status' },
];

const secretColumns = [
  { name: 'StoreType', type: 'string', jsonPath: '.spec.secretStoreRef.kind' },
  { name: 'Store', type: 'string', jsonPath: '.spec.secretStoreRef.name' },
  { name: 'Refresh Interval', type: 'string', jsonPath: '.spec.refreshInterval' },
  { name: 'Status', type: 'string', jsonPath: '.status.conditions[?(@.type=="Ready")].reason' },
  { name: 'Ready', type: 'string', jsonPath: '.status.conditions[?(@.type=="Ready")].status' },
  { name: 'Last Sync', type: 'date', jsonPath: '.status.refreshTime' },
];

const statusOfStore = object({ capabilities: string, conditions });
const statusOfSecret = object({
  binding: { ...object({ name: { type: 'string', default: '' } }), 'x-kubernetes-map-type': 'atomic' },
  conditions,
  refreshTime: string,
  syncedResourceVersion: string,
});

function definition(
  kind: string,
  plural: string,
  scope: 'Namespaced' | 'Cluster',
  shortNames: readonly string[],
  spec: object,
  status: object,
  columns: readonly object[],
): object {
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${plural}.${GROUP}`, labels: { 'external-secrets.io/component': 'controller' } },
    spec: {
      group: GROUP,
      scope,
      names: {
        kind,
        plural,
        singular: kind.toLowerCase(),
        listKind: `${kind}List`,
        shortNames,
        categories: ['external-secrets'],
      },
      versions: [
        {
          name: 'v1',
          served: true,
          storage: true,
          subresources: { status: {} },
          additionalPrinterColumns: columns,
          schema: { openAPIV3Schema: { type: 'object', properties: { spec, status } } },
        },
      ],
    },
  };
}

export const EXTERNAL_SECRETS_DEFINITIONS: readonly object[] = [
  definition('SecretStore', 'secretstores', 'Namespaced', ['ss'], storeSpec, statusOfStore, storeColumns),
  definition(
    'ClusterSecretStore',
    'clustersecretstores',
    'Cluster',
    ['css'],
    storeSpec,
    statusOfStore,
    storeColumns,
  ),
  definition(
    'ExternalSecret',
    'externalsecrets',
    'Namespaced',
    ['es'],
    externalSecretSpec,
    statusOfSecret,
    secretColumns,
  ),
];
