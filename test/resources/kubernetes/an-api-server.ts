/**
 * The simulated cluster's API server alone, over real TLS and with no controller running: what is applied is validated,
 * defaulted and owned field by field as in a cluster, and stays as it is. Status is what the test says.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { getRequestListener } from '@hono/node-server';
import { VirtualClock } from '../../../sandbox/clock.ts';
import { settings } from '../../../sandbox/cloud/bootstrap.ts';
import { CallLog } from '../../../sandbox/cloud/calls.ts';
import {
  type CertificateAuthority,
  openCertificateAuthority,
} from '../../../sandbox/cloud/certificate-authority.ts';
import { Faults } from '../../../sandbox/cloud/faults.ts';
import { ApiServer } from '../../../sandbox/cloud/kubernetes/api/api-server.ts';
import { answer } from '../../../sandbox/cloud/kubernetes/api/http.ts';
import { CUSTOM_RESOURCE_DEFINITIONS, NAMESPACES } from '../../../sandbox/cloud/kubernetes/api/kinds.ts';
import { ObjectStore } from '../../../sandbox/cloud/kubernetes/api/object-store.ts';
import type { Pod } from '../../../sandbox/cloud/kubernetes/object.ts';
import type { Cluster, Directory } from '../../../sandbox/cloud/neighbours.ts';
import { createWorld, Memory } from '../../../sandbox/cloud/world.ts';
import type { Clients } from '../../../src/clients/clients.ts';
import type { KubernetesApi, ObjectReference } from '../../../src/clients/kubernetes-api.ts';
import { kubernetesApi } from '../../../src/clients/kubernetes-client.ts';

export interface AnApiServer {
  readonly api: KubernetesApi;
  readonly clients: Clients;
  /** Who signed its certificate. */
  readonly authority: CertificateAuthority;
  /** `METHOD path` of every request that was not a GET, since it was last asked. */
  writes(): readonly string[];
  /** Writes a status as a controller would. */
  setStatus(reference: ObjectReference, status: object): Promise<void>;
  /** Changes an object by hand, as `kubectl edit` would, or as another writer. */
  edit(reference: ObjectReference, patch: object, manager?: string, subresource?: 'status' | 'scale'): void;
  stop(): Promise<void>;
}

const cluster: Cluster = {
  id: '/subscriptions/s/resourceGroups/rg-chat/providers/Microsoft.ContainerService/managedClusters/aks-chat',
  name: 'aks-chat',
  location: 'eastasia',
  fqdn: 'localhost',
  kubernetesVersion: '1.34.1',
  isRunning: true,
  nodePools: [],
  kubelet: { clientId: '', principalId: '' },
  localAccountsDisabled: false,
  azureRbac: false,
};
const TOKEN = 'the-local-account';

/** `listens` answers requests to Services; without it nothing runs behind any. */
export async function startApiServer(
  listens?: (request: Request, path: string) => Promise<Response>,
): Promise<AnApiServer> {
  const directory = await mkdtemp(join(tmpdir(), 'api-server-'));
  const authority = await openCertificateAuthority(directory);
  const memory = new Memory(':memory:');
  const clock = new VirtualClock();
  const world = createWorld(memory, clock, settings, new CallLog(), new Faults());
  const server = new ApiServer(new ObjectStore(world, cluster.id), clock);
  for (const name of ['default', 'kube-system']) server.create(NAMESPACES, '', { metadata: { name } });
  addCustomKind(server, 'external-secrets.io', 'SecretStore');
  addCustomKind(server, 'external-secrets.io', 'ExternalSecret');

  let writes: string[] = [];
  const closing = new AbortController();
  const { certPem, keyPem } = await authority.issueServerCertificate(['localhost']);
  const listener = getRequestListener(
    (request) => {
      if (request.method !== 'GET') writes.push(`${request.method} ${new URL(request.url).pathname}`);
      return answer(
        {
          api: server,
          workloads: {
            readLog: () => new Response(''),
            request: (_pod, _port, forwarded, path) => listens?.(forwarded, path),
            endpoints: (_service, port) => (listens ? [{ pod: {} as Pod, port: Number(port) }] : []),
          },
          cluster,
          localToken: TOKEN,
          directory: {
            verifyToken: () => ({ ok: false, code: '', reason: '' }),
          } as Partial<Directory> as Directory,
          authorization: { isAllowed: () => false },
          now: () => clock.now(),
          closing: closing.signal,
        },
        request,
        { host: 'localhost', caller: '' },
      );
    },
    { overrideGlobalObjects: false },
  );
  const edit: AnApiServer['edit'] = (reference, patch, manager = 'kubectl-edit', subresource) => {
    const { apiVersion, kind, name, namespace = '' } = reference;
    const [group = '', version = ''] = apiVersion.includes('/') ? apiVersion.split('/') : ['', apiVersion];
    const found = server
      .kinds()
      .find((one) => one.group === group && one.version === version && one.kind === kind);
    if (!found) throw new Error(`no kind ${kind}`);
    const options = { type: 'merge', manager, ...(subresource ? { subresource } : {}) } as const;
    server.patch(found, namespace, name, { ...patch }, options);
  };
  const https = createServer({ cert: certPem, key: keyPem }, listener);
  await new Promise<void>((resolve) => https.listen(0, '127.0.0.1', resolve));
  const { port } = https.address() as AddressInfo;
  const connection = kubernetesApi(
    {
      server: `https://localhost:${port}`,
      certificateAuthority: Buffer.from(authority.pem).toString('base64'),
      user: { kind: 'token', token: TOKEN },
    },
    async () => '',
    undefined,
  );
  return {
    authority,
    api: await connection,
    // Only clusters are asked for by resources that consist of Kubernetes objects.
    clients: { kubernetes: () => connection } as Partial<Clients> as Clients,
    writes: () => {
      const seen = writes;
      writes = [];
      return seen;
    },
    async setStatus(reference, status) {
      edit(reference, { status }, 'controller', 'status');
    },
    edit,
    async stop() {
      closing.abort();
      https.closeAllConnections();
      await new Promise((resolve) => https.close(resolve));
      clock.change({ held: true });
      memory.close();
      await rm(directory, { recursive: true });
    },
  };
}

function addCustomKind(server: ApiServer, group: string, kind: string): void {
  const plural = `${kind.toLowerCase()}s`;
  const name = `${plural}.${group}`;
  const open = { type: 'object', 'x-kubernetes-preserve-unknown-fields': true };
  server.create(CUSTOM_RESOURCE_DEFINITIONS, '', {
    metadata: { name },
    spec: {
      group,
      scope: 'Namespaced',
      names: { kind, plural, singular: kind.toLowerCase(), listKind: `${kind}List` },
      versions: [
        {
          name: 'v1',
          served: true,
          storage: true,
          subresources: { status: {} },
          schema: { openAPIV3Schema: { type: 'object', properties: { spec: open, status: open } } },
        },
      ],
    },
  });
  const conditions = [{ type: 'Established', status: 'True', reason: 'InitialNamesAccepted', message: '' }];
  const options = { type: 'merge', manager: 'kube-apiserver', subresource: 'status' } as const;
  server.patch(CUSTOM_RESOURCE_DEFINITIONS, '', name, { status: { conditions } }, options);
}
