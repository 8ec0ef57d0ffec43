import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { EventSubscription } from '@azure/arm-eventgrid';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { settings } from '../../../sandbox/cloud/bootstrap.ts';
import type { Clients } from '../../../src/clients/clients.ts';
import { toFailure } from '../../../src/clients/cloud-failure.ts';
import { createClients } from '../../../src/clients/create-clients.ts';
import { createCredential } from '../../../src/clients/credential.ts';
import { readConfig } from '../../../src/config.ts';
import { wishesOf } from '../../../src/resources/azure/event-filters.ts';
import { eventSubscriptions } from '../../../src/resources/azure/event-subscriptions.ts';
import type { StackResource } from '../../../src/resources/index.ts';
import type { Scope } from '../../../src/resources/scope.ts';
import { specOf } from '../spec.ts';
import { surroundings } from '../surroundings.ts';
import { type SimulatedAzure, startSimulatedAzure } from './simulated-azure.ts';

const { controlPlane, subscriptionId, tenantId } = settings;
const ownGroup = `/subscriptions/${subscriptionId}/resourceGroups/${controlPlane.resourceGroup}`;
const site = `${ownGroup}/providers/Microsoft.Web/sites/${controlPlane.functionAppName}`;
const storage = `${ownGroup}/providers/Microsoft.Storage/storageAccounts/${controlPlane.storageAccountName}`;
const vaultUrl = `https://${controlPlane.vaultName}.vault.azure.net`;
const resource: StackResource = eventSubscriptions;

let azure: SimulatedAzure;
let server: Server;
let base: string;
let requests: IncomingMessage[];

beforeAll(async () => {
  server = createServer((request, response) => {
    requests.push(request);
    response.writeHead(200, { 'webhook-allowed-origin': '*' }).end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  azure = await startSimulatedAzure(400);
});
afterAll(async () => {
  await azure.stop();
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});
beforeEach(() => {
  requests = [];
});

/** The control plane with these settings of its app. */
function clientsWith(more: Readonly<Record<string, string>>): Clients {
  const config = readConfig({
    AZURE_CLIENT_ID: controlPlane.clientId,
    AzureWebJobsStorage: 'UseDevelopmentStorage=true',
    CLOUDFLARE_TOKEN_SECRET: `${vaultUrl}/secrets/cloudflare-api-token`,
    HTTPS_PROXY: azure.cloud.endpoints.proxy,
    ...more,
  });
  return createClients(config, createCredential(config), subscriptionId);
}
let toFunction: Clients | undefined;
function scope(): Scope {
  toFunction ??= clientsWith({ FUNCTION_APP_ID: site, EVENT_DEAD_LETTER_STORAGE_ID: storage });
  return { ...azure.scope(), clients: toFunction };
}

const deploy = (functions: readonly string[]): Promise<Response> =>
  fetch(`${azure.cloud.endpoints.sandbox}/function-app`, {
    method: 'PUT',
    body: JSON.stringify({ baseUrl: base, functions, eventGridKey: 'key' }),
  });

const dependencies = async () => ({
  group: await azure.settle(scope(), resource.dependsOn['group'] as StackResource),
  vault: await azure.settle(scope(), resource.dependsOn['vault'] as StackResource),
  registry: await azure.settle(scope(), resource.dependsOn['registry'] as StackResource),
  cluster: await azure.settle(scope(), resource.dependsOn['cluster'] as StackResource),
});
const wishes = async () => wishesOf(scope(), (await dependencies()) as never);

/** The subscription that ends so, with where it hangs. */
async function find(what: string): Promise<EventSubscription & { on: string; called: string }> {
  const wish = (await wishes()).find(({ name }) => name.endsWith(`-${what}`));
  if (!wish) throw new Error(`nothing is wished for ${what}`);
  const found = await azure.operator.eventGrid().eventSubscriptions.get(wish.on, wish.name);
  return { ...found, on: wish.on, called: wish.name };
}

/** A person changes one. */
async function change(what: string, more: Partial<EventSubscription>): Promise<void> {
  const { on, called, ...found } = await find(what);
  const { eventSubscriptions: all } = azure.operator.eventGrid();
  await azure.finish(all.beginCreateOrUpdate(on, called, { ...found, ...more }));
}

const writtenPaths = (mark: number): string[] =>
  azure.writesSince(mark).map((call) => call.replace(/^(\w+) .*\/providers\/Microsoft\.EventGrid/, '$1 …'));

describe('without a place to deliver to', () => {
  test('it is ready, and says that only the sweep looks', async () => {
    const clients = { eventDelivery: () => undefined } as Partial<Clients> as Clients;
    const bare: Scope = { ...specOf(), clients, now: new Date(0), ...surroundings() };
    const seen = await resource.observe(bare, {});
    expect(seen).toMatchObject({
      state: 'ready',
      notices: [{ id: 'events-not-delivered', severity: 'warning' }],
    });
    await resource.ensure(bare, {}, seen);
  });
});

describe('with a function', () => {
  test('that is not deployed yet, Event Grid’s refusal is one that passes', async () => {
    await deploy(['other']);
    await dependencies();
    const seen = await azure.look(scope(), resource);
    expect(seen).toEqual({ state: 'absent' });
    const failure = await resource.ensure(scope(), (await dependencies()) as never, seen).then(
      () => undefined,
      (error: unknown) => toFailure(error),
    );
    expect(failure).toMatchObject({ kind: 'retryable', code: 'DestinationNotReady' });
  }, 60_000);

  test('what happens to vault, registry, cluster and nodes is sent to it', async () => {
    await deploy(['receiveEvent']);
    await azure.settle(scope(), resource);
    const all = await wishes();
    expect(all.map(({ name }) => name)).toEqual(
      ['secrets', 'images', 'cluster', 'nodes', 'pools'].map((what) => `open-webui-chat-${what}`),
    );
    expect(await find('secrets')).toMatchObject({
      provisioningState: 'Succeeded',
      destination: { endpointType: 'AzureFunction', resourceId: `${site}/functions/receiveEvent` },
      eventDeliverySchema: 'CloudEventSchemaV1_0',
      retryPolicy: { maxDeliveryAttempts: 30, eventTimeToLiveInMinutes: 1440 },
      deadLetterDestination: { resourceId: storage, blobContainerName: 'event-dead-letters' },
      filter: {
        includedEventTypes: [
          'Microsoft.KeyVault.SecretExpired',
          'Microsoft.KeyVault.SecretNearExpiry',
          'Microsoft.KeyVault.SecretNewVersionCreated',
        ],
      },
    });
    expect(await find('nodes')).toMatchObject({
      filter: {
        subjectBeginsWith: expect.stringMatching(
          /\/MC_[^/]+\/providers\/Microsoft.Compute\/virtualMachineScaleSets\/$/,
        ),
        isSubjectCaseSensitive: false,
        advancedFilters: [
          {
            operatorType: 'StringIn',
            key: 'data.operationName',
            values: [
              'Microsoft.Compute/virtualMachineScaleSets/write',
              'Microsoft.Compute/virtualMachineScaleSets/delete',
            ],
          },
        ],
      },
    });
  }, 60_000);

  test('a second look writes nothing', async () => {
    const mark = azure.mark();
    const seen = await azure.look(scope(), resource);
    expect(seen).toEqual({ state: 'ready', outputs: {} });
    expect(azure.writesSince(mark)).toEqual([]);
  });

  test('a new pool arrives, and nothing else of the same places', async () => {
    const { agentPools } = azure.operator.clusters();
    const { resourceGroup, cluster } = scope().names;
    const before = (await events()).length;
    await azure.finish(
      agentPools.createOrUpdate(resourceGroup, cluster, 'extra', {
        count: 1,
        vmSize: 'Standard_D4s_v5',
        vnetSubnetID: (await agentPools.get(resourceGroup, cluster, 'system')).vnetSubnetID,
      } as never),
    );
    await azure.operator
      .storage()
      .storageAccounts.create(resourceGroup, 'stnoise', {
        location: 'eastasia',
        kind: 'StorageV2',
        sku: { name: 'Standard_LRS' },
      })
      .submitted();
    const after = (await events()).slice(before);
    expect(after.map(({ type, subscription }) => `${subscription} ${type}`)).toEqual([
      'open-webui-chat-nodes Microsoft.Resources.ResourceWriteSuccess',
      'open-webui-chat-pools Microsoft.Resources.ResourceWriteSuccess',
    ]);
    await expect.poll(() => requests.length).toBe(2);
    expect(requests[0]?.url).toBe('/runtime/webhooks/EventGrid?functionName=receiveEvent&code=key');
  });

  test.each<[string, string, () => Promise<void>]>([
    [
      'filter',
      'filter',
      () => change('images', { filter: { includedEventTypes: ['Microsoft.ContainerRegistry.ChartPushed'] } }),
    ],
    ['subject', 'filter', () => change('nodes', { filter: { subjectEndsWith: 'nothing' } })],
    ['retry policy', 'retryPolicy', () => change('pools', { retryPolicy: { maxDeliveryAttempts: 1 } })],
    [
      'destination',
      'destination',
      () => change('cluster', { destination: { endpointType: 'WebHook', endpointUrl: `${base}/theirs` } }),
    ],
    [
      'end',
      'expirationTimeUtc',
      () => change('secrets', { expirationTimeUtc: new Date(azure.cloud.world.clock.now() + 9e9) }),
    ],
  ])('another %s is set right, by one write', async (_, path, spoil) => {
    await spoil();
    const mark = azure.mark();
    const seen = await azure.look(scope(), resource);
    const paths = seen.state === 'drifted' ? seen.differences.map((one) => one.path.split('.')[1]) : [];
    expect([...new Set(paths)]).toEqual([path]);
    await azure.settle(scope(), resource);
    expect(azure.writesSince(mark)).toHaveLength(1);
  });

  test('one that somebody deleted comes back, and the container that somebody deleted', async () => {
    const { on, called } = await find('images');
    await azure.finish(azure.operator.eventGrid().eventSubscriptions.beginDelete(on, called));
    await azure.operator
      .storage()
      .blobContainers.delete(
        controlPlane.resourceGroup,
        controlPlane.storageAccountName,
        'event-dead-letters',
      );
    const mark = azure.mark();
    expect(await azure.look(scope(), resource)).toMatchObject({
      state: 'drifted',
      differences: [{ path: 'open-webui-chat-images' }, { path: 'event-dead-letters' }],
    });
    await azure.settle(scope(), resource);
    expect(azure.writesSince(mark)).toHaveLength(2);
  });

  test('one that delivers in another form is made anew, for its form cannot be changed', async () => {
    const { on, called, ...found } = await find('secrets');
    const { eventSubscriptions: all } = azure.operator.eventGrid();
    await azure.finish(all.beginDelete(on, called));
    await azure.finish(
      all.beginCreateOrUpdate(on, called, { ...found, eventDeliverySchema: 'EventGridSchema' }),
    );
    const mark = azure.mark();
    await azure.settle(scope(), resource);
    expect((await find('secrets')).eventDeliverySchema).toBe('CloudEventSchemaV1_0');
    expect(writtenPaths(mark).map((call) => call.split(' ')[0])).toEqual(['DELETE', 'PUT']);
  });

  test('one without our label is somebody’s, and stays', async () => {
    await change('cluster', { labels: ['theirs'] });
    const mark = azure.mark();
    const seen = await azure.look(scope(), resource);
    expect(seen).toMatchObject({
      state: 'foreign',
      reason: expect.stringContaining('open-webui-chat-cluster'),
    });
    await resource.remove(scope(), (await dependencies()) as never, seen);
    expect(azure.writesSince(mark)).toEqual([]);
    await change('cluster', { labels: ['managed-by=open-webui-control-plane deployment=chat'] });
    await azure.settle(scope(), resource);
  });

  test.each(['eventSubscriptions', 'event-dead-letters'])(
    'not being allowed to look at %s is never absence',
    async (path) => {
      const fault = { kind: 'answer', status: 403, code: 'AuthorizationFailed', message: 'not you' } as const;
      azure.cloud.world.faults.replace([{ id: 'refuse', path, fault }]);
      const failure = await azure.look(scope(), resource).then(
        (seen) => seen.state,
        (error: unknown) => toFailure(error).kind,
      );
      azure.cloud.world.faults.replace([]);
      expect(failure).toBe('retryable');
    },
  );

  test('all of them go when they are removed; the container stays', async () => {
    await azure.settle(scope(), resource);
    await azure.clear(scope(), resource);
    for (const { on, name } of await wishes()) {
      const { eventSubscriptions: all } = azure.operator.eventGrid();
      await expect(all.get(on, name)).rejects.toMatchObject({ statusCode: 404 });
    }
    const containers = azure.operator.storage().blobContainers;
    const kept = await containers.get(
      controlPlane.resourceGroup,
      controlPlane.storageAccountName,
      'event-dead-letters',
    );
    expect(kept.name).toBe('event-dead-letters');
  });
});

describe('with a webhook behind Entra', () => {
  let clients: Clients;

  beforeAll(async () => {
    const answer = await azure.operator
      .graph()
      .path('/applications')
      .post({ body: { displayName: 'events' }, headers: { 'content-type': 'application/json' } });
    const { appId } = answer.body as { appId: string };
    await azure.operator.secrets(`${vaultUrl}/`).setSecret('event-webhook', `${base}/hook?code=hush`);
    clients = clientsWith({
      EVENT_WEBHOOK_SECRET: `${vaultUrl}/secrets/event-webhook`,
      EVENT_WEBHOOK_AUDIENCE: appId,
      EVENT_WEBHOOK_TENANT_ID: tenantId,
    });
  });
  const webhookScope = (): Scope => ({ ...azure.scope(), clients });

  test('Event Grid signs in to it, and its URL is shown nowhere', async () => {
    await azure.settle(webhookScope(), resource);
    const { destination } = await find('secrets');
    expect(destination).toMatchObject({
      endpointType: 'WebHook',
      azureActiveDirectoryTenantId: tenantId,
      endpointBaseUrl: `${base}/hook`,
    });
    expect(requests.every(({ headers }) => headers.authorization?.startsWith('Bearer '))).toBe(true);
    const mark = azure.mark();
    const seen = await azure.look(webhookScope(), resource);
    expect(seen).toMatchObject({ state: 'ready', notices: [{ id: 'no-dead-letters', severity: 'info' }] });
    expect(JSON.stringify(seen)).not.toContain('hush');
    expect(azure.writesSince(mark)).toEqual([]);
  }, 60_000);

  test('the same subscriptions go to the function once that is asked for', async () => {
    await deploy(['receiveEvent']);
    const seen = await azure.look(scope(), resource);
    expect(seen).toMatchObject({ state: 'drifted' });
    expect(JSON.stringify(seen)).not.toContain('hush');
    await azure.settle(scope(), resource);
    expect((await find('pools')).destination).toMatchObject({ endpointType: 'AzureFunction' });
  }, 60_000);
});

interface LoggedEvent {
  readonly type: string;
  readonly subscription: string;
}

async function events(): Promise<readonly LoggedEvent[]> {
  const answer = await fetch(`${azure.cloud.endpoints.sandbox}/events`);
  return ((await answer.json()) as { emitted: LoggedEvent[] }).emitted;
}
