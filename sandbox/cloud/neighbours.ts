/**
 * What one simulated service may ask another: the wires between clouds that no public API shows (a kubelet pulling an
 * image, a node asking for a token, a pod mounting a share). Each interface is implemented by the service named in
 * its comment; every answer carries the reason a user of the real cloud would read.
 */
import type { Client } from 'pg';

export type Answer<T> =
  | ({ readonly ok: true } & T)
  | { readonly ok: false; readonly code: string; readonly reason: string };

/** Implemented by arm/authorization.ts. */
export interface Authorization {
  /**
   * Whether the principal holds a role at or above `scope` (an ARM id) that allows the action (`Microsoft.X/y/write`)
   * or data action, through an assignment that has had time to propagate.
   */
  isAllowed(
    principalId: string,
    scope: string,
    permission: { action: string } | { dataAction: string },
  ): boolean;
}

export interface Principal {
  /** Entra object id. */
  readonly id: string;
  readonly appId?: string;
  readonly displayName: string;
  readonly kind: 'managed-identity' | 'service-principal' | 'user';
  /** Virtual milliseconds since 1970; other services do not know a principal at once (400 PrincipalNotFound). */
  readonly createdAt?: number;
}

/** Implemented by entra.ts. */
export interface Directory {
  /** Registers the service principal behind a managed identity; id and client id are assigned here. */
  addManagedIdentity(displayName: string): Principal & { readonly appId: string };
  removePrincipal(id: string): void;
  findPrincipal(id: string): Principal | undefined;
  /** Whether the tenant knows what a token is asked for. */
  hasAudience(audience: string): boolean;
  /** By client id: how a pod names the identity of its node. */
  findPrincipalByAppId(appId: string): Principal | undefined;
  /** A token for the audience (`https://vault.azure.net`), as the identity endpoint or the IMDS of a node gives it. */
  issueToken(
    principalId: string,
    audience: string,
  ): { readonly accessToken: string; readonly expiresOn: number };
  /** Reads `Authorization: Bearer …`; refuses forged, expired (virtual time) and wrong-audience tokens. */
  verifyToken(authorization: string | null, audiences: readonly string[]): Answer<{ principal: Principal }>;
  /** Whether a sign-in through this app would work: redirect URI, tenant, consent, unexpired secret. */
  canSignIn(app: {
    clientId: string;
    clientSecret: string;
    tenantId: string;
    redirectUri: string;
    scopes: readonly string[];
  }): Answer<object>;
  /** What that app is told at the token endpoint for a code from `/authorize`: who has signed in, or Entra's refusal. */
  redeemCode(
    app: {
      clientId: string;
      clientSecret: string;
      tenantId: string;
      redirectUri: string;
      scopes: readonly string[];
    },
    code: string,
  ): Answer<{ user: SignedInUser }>;
}

/** The claims of an ID token that apps look at. */
export interface SignedInUser {
  /** Another one for each app. */
  readonly sub: string;
  readonly email: string;
  readonly name: string;
}

/** Implemented by arm/key-vault.ts: the vaults that exist now; a soft-deleted one has no host name. */
export interface VaultResources {
  /** By data-plane host, `<name>.vault.azure.net`, lower case. */
  find(host: string):
    | {
        /** ARM id of the vault: the scope of rights and the topic of its events. */
        readonly id: string;
        readonly tenantId: string;
        readonly publicNetworkAccess: 'Enabled' | 'Disabled';
        readonly enableRbacAuthorization: boolean;
        readonly location?: string;
        /** 90 when left out. */
        readonly softDeleteRetentionInDays?: number;
        readonly enablePurgeProtection?: boolean;
      }
    | undefined;
}

/** Implemented by arm/container-registry.ts: the registries that exist now. */
export interface RegistryResources {
  /** By login server, `<name>.azurecr.io`, lower case. */
  find(loginServer: string):
    | {
        /** ARM id of the registry: the scope of rights and the topic of its events. */
        readonly id: string;
        readonly location: string;
        readonly publicNetworkAccess: 'Enabled' | 'Disabled';
      }
    | undefined;
}

/** Implemented by key-vault.ts. */
export interface Vaults {
  /** As the data plane would answer this principal: network rules, role (propagated), existence, enabled, expiry. */
  readSecret(
    vaultUrl: string,
    name: string,
    principalId: string,
    version?: string,
  ): Answer<{ value: string; version: string }>;
  /** ARM purged the vault: whatever comes under this host name next starts empty. */
  forget(host: string): void;
  /** The versions, in any vault, whose value has this SHA-256: how the sandbox recognises what a container has read. */
  versionsOf(valueHash: string): readonly VaultVersion[];
}

export interface VaultVersion {
  readonly vault: string;
  readonly secret: string;
  readonly version: string;
  /** ISO 8601, to the second as vaults keep it. */
  readonly createdAt: string;
  /** When the next version came; null while it is the current one. */
  readonly supersededAt: string | null;
}

/** What one start of an Open WebUI container read from its environment. */
export interface SecretSet {
  readonly namespace: string;
  readonly pod: string;
  readonly podUid: string;
  readonly startedAt: string;
  /** The same for two starts that read the same values. */
  readonly hash: string;
  readonly values: readonly SecretSetValue[];
  /** There was no moment at which all these values were the vault's current ones. */
  readonly isMixed: boolean;
}

export interface SecretSetValue {
  readonly variable: string;
  /** The beginning of the value's SHA-256. */
  readonly hash: string;
  /** Empty when no vault has had this value. */
  readonly versions: readonly VaultVersion[];
}

/** Implemented by registry.ts. */
export interface Registries {
  /** As a kubelet would pull `registry.azurecr.io/repo:tag` or `…@sha256:…`, with the identity's rights. */
  pull(
    image: string,
    principalId: string,
  ): Answer<{ digest: string; software: Software; behaviour?: Behaviour | undefined }>;
  /** Copies an image from a public registry; implements the import action of ARM once it has been accepted. */
  importImage(
    loginServer: string,
    source: { registry: string; image: string },
    targetTags: readonly string[],
    mode: 'NoForce' | 'Force',
  ): Answer<{ digest: string }>;
  /** ARM deleted the registry: whatever comes under this login server next starts empty. */
  forget(loginServer: string): void;
}

/** What a container does when it runs; the registry knows it by what the image was copied from. */
export type Software =
  | 'open-webui'
  | 'ollama'
  | 'cloudflared'
  | 'valkey'
  | 'external-secrets'
  | 'reloader'
  | 'other';

/** How a bad build fails: it ends soon after its start, never gets ready, or is healthy and serves nothing but errors. */
export type Behaviour = 'crashes' | 'never-ready' | 'broken-page';

/** Implemented by arm/network.ts. */
export interface Network {
  /** What a resolver inside the virtual network answers for a name: a private address only with zone, link and record. */
  resolve(host: string, vnetId: string): Answer<{ address: string; isPrivate: boolean }>;
}

/** Implemented by arm/storage.ts. */
export interface StorageAccounts {
  /** Mounts an SMB share as a node in that virtual network would: name resolution, firewall, key, share. */
  mountShare(request: {
    account: string;
    key: string;
    share: string;
    vnetId: string;
  }): Answer<{ quotaGiB: number }>;
}

/** Implemented by arm/postgresql.ts over a real PostgreSQL 18. */
export interface Databases {
  /**
   * Connects as a client in that virtual network would, given a libpq URL: name resolution, network path, server state,
   * TLS demand, login. The client is connected and is the caller's to end.
   */
  connect(
    url: string,
    vnetId: string,
  ): Promise<Answer<{ client: Client; allowedExtensions: readonly string[] }>>;
}

export interface NodePool {
  readonly name: string;
  readonly mode: 'System' | 'User';
  readonly count: number;
  readonly vmSize: string;
  readonly labels: Readonly<Record<string, string>>;
  /** `key=value:Effect`. */
  readonly taints: readonly string[];
  readonly vmssName: string;
  /** Client ids of the user-assigned identities on the scale set's model. */
  readonly identityClientIds: readonly string[];
  readonly vnetId: string;
}

export interface Cluster {
  readonly id: string;
  readonly name: string;
  readonly location: string;
  /** Host of the API server, `….hcp.<region>.azmk8s.io`. */
  readonly fqdn: string;
  readonly kubernetesVersion: string;
  readonly isRunning: boolean;
  readonly nodePools: readonly NodePool[];
  readonly kubelet: { readonly clientId: string; readonly principalId: string };
  /** PEM of the cluster's own certificate authority. */
  readonly localAccountsDisabled: boolean;
  readonly azureRbac: boolean;
}

/** Implemented by arm/container-service.ts. */
export interface Clusters {
  /** Clusters whose control plane exists (creation has got that far). */
  list(): readonly Cluster[];
}

/** Implemented by kubernetes/cluster.ts; used by ARM's run command and by the site. */
export interface KubernetesWorld {
  /** Runs a shell line of `helm`/`kubectl` the way the command pod of AKS does; unknown commands fail with 127. */
  runCommand(clusterId: string, command: string): Promise<{ exitCode: number; logs: string }>;
  /** What answers at `http://<service>.<namespace>.svc.cluster.local:<port>` in the cluster, and if nothing, why. */
  answer(clusterId: string, url: string): Answer<{ pod: string; software: Software }>;
  /** A request of a pod to such a URL: what the pod that it reaches answers. `path` takes the place of the URL's own. */
  request(
    clusterId: string,
    url: string,
    request: Request,
    client: { readonly pod: string; readonly path: string },
  ): Promise<Answer<{ pod: string; response: Response }>>;
  /** Every start of an Open WebUI container with the secrets it read, oldest first. */
  secretSets(clusterId: string): readonly SecretSet[];
  /**
   * The chain from the Service that the ingress names (`http://service.namespace…`; without one, the Service named
   * open-webui) down to the login, link by link, for the sandbox's `GET /site`. Asked of the world as it is now.
   */
  links(clusterId: string, serviceUrl?: string): Promise<readonly SiteLink[]>;
  /** Kubeconfig parts: PEM of the authority, and the static token AKS puts beside the client certificate of local accounts. */
  credentials(clusterId: string): { readonly certificateAuthority: string; readonly token: string };
}

export interface Connector {
  readonly clusterId: string;
  readonly pod: string;
}

/** Implemented by cloudflare.ts. */
export interface Tunnels {
  /** A cloudflared process presents its token; refused when it is not the tunnel's current one. */
  connect(connector: Connector, token: string): Answer<{ tunnelId: string }>;
  disconnect(connector: Connector): void;
  /** What the edge does with a request for this host: the tunnel's live connector and the ingress rule's service URL. */
  route(host: string): Answer<{ connector: Connector; service: string; tunnelId: string }>;
}

export type SiteLinkName =
  | 'dns'
  | 'tunnel'
  | 'ingress'
  | 'service'
  | 'pods'
  | 'images'
  | 'secrets'
  | 'identity'
  | 'role'
  | 'database'
  | 'share'
  | 'ollama'
  | 'login';

export interface SiteLink {
  readonly name: SiteLinkName;
  readonly ok: boolean;
  /** One sentence: why it works or what is broken. */
  readonly why: string;
}

/** Implemented by certificate-authority.ts. */
export interface ServerCertificates {
  /** The authority's own certificate: what a kubeconfig carries as certificate-authority-data. */
  readonly pem: string;
  /** A certificate for these DNS names and addresses, signed by the sandbox's authority, valid whatever the clock says. */
  issueServerCertificate(hostNames: readonly string[]): Promise<{ certPem: string; keyPem: string }>;
}

/**
 * Everybody by name. One object is handed to all services while they are being composed, so a service keeps the object
 * and reads a neighbour from it when it answers a call, never in its own constructor.
 */
export interface Neighbours {
  readonly directory: Directory;
  readonly authorization: Authorization;
  readonly vaultResources: VaultResources;
  readonly vaults: Vaults;
  readonly registryResources: RegistryResources;
  readonly registries: Registries;
  readonly network: Network;
  readonly storageAccounts: StorageAccounts;
  readonly databases: Databases;
  readonly clusters: Clusters;
  readonly kubernetes: KubernetesWorld;
  readonly tunnels: Tunnels;
  readonly certificates: ServerCertificates;
}
