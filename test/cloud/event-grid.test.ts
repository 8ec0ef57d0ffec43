import { createServer, type IncomingHttpHeaders, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { EventGridManagementClient, type EventSubscription } from '@azure/arm-eventgrid';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { settings } from '../../sandbox/cloud/bootstrap.ts';
import { TenantObjects } from '../../sandbox/cloud/graph/tenant-objects.ts';
import { Graph } from '../../sandbox/cloud/graph.ts';
import { Memory } from '../../sandbox/cloud/world.ts';
import {
  givenGroup,
  location,
  MINUTE,
  openTenant,
  refusalOf,
  subscriptionId,
  type Tenant,
  tenantId,
  throughTime,
} from './arm/tenant.ts';
import { listAll } from './start-cloud.ts';

const GROUP = settings.controlPlane.resourceGroup;
const SUBSCRIPTION = `/subscriptions/${subscriptionId}`;
const VAULT = `${SUBSCRIPTION}/resourceGroups/${GROUP}/providers/Microsoft.KeyVault/vaults/${settings.controlPlane.vaultName}`;
const SITE = `${SUBSCRIPTION}/resourceGroups/${GROUP}/providers/Microsoft.Web/sites/${settings.controlPlane.functionAppName}`;
const FUNCTION = `${SITE}/functions/onEvent`;
const STORAGE = `${SUBSCRIPTION}/resourceGroups/${GROUP}/providers/Microsoft.Storage/storageAccounts/${settings.controlPlane.storageAccountName}`;
const KEY = 'key-of-the-event-grid-extension';

interface Received {
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: unknown;
}

let memory: Memory;
let tenant: Tenant;
let client: EventGridManagementClient;
let server: Server;
let base: string;
let received: Received[];
/** Status by the number of the attempt, then the last again. */
let statuses: number[];
let answersHandshake: boolean;

beforeEach(async () => {
  received = [];
  statuses = [200];
  answersHandshake = true;
  server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const body: unknown = JSON.parse(Buffer.concat(chunks).toString() || 'null');
      if (request.headers['aeg-event-type'] === 'SubscriptionValidation') {
        const [event] = body as { data: { validationCode: string } }[];
        response.writeHead(200, { 'content-type': 'application/json' });
        response.end(
          answersHandshake ? JSON.stringify({ validationResponse: event?.data.validationCode }) : '{}',
        );
        return;
      }
      if (request.method === 'OPTIONS') {
        response.writeHead(200, {
          'webhook-allowed-origin': String(request.headers['webhook-request-origin']),
        });
        response.end();
        return;
      }
      received.push({ url: request.url ?? '', headers: request.headers, body });
      response.writeHead(statuses[Math.min(received.length, statuses.length) - 1] ?? 500);
      response.end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  memory = new Memory(':memory:');
  await open();
});

afterEach(async () => {
  await tenant.close();
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

async function open(): Promise<void> {
  const clock = tenant?.world.clock;
  tenant = openTenant({}, memory, memory.table<string>('test').has('open') ? clock : undefined);
  memory.table<string>('test').set('open', 'yes');
  client = new EventGridManagementClient(tenant.as(), subscriptionId, tenant.options);
  await tenant.arm.setFunctionApp({ baseUrl: base, functions: () => ['onEvent'], eventGridKey: KEY });
}

async function givenTopic(
  source = VAULT,
  topicType = 'Microsoft.KeyVault.vaults',
  at = location,
): Promise<void> {
  await throughTime(
    tenant,
    client.systemTopics.beginCreateOrUpdateAndWait(GROUP, 'topic', { location: at, source, topicType }),
  );
}

function subscribe(more: Partial<EventSubscription> = {}): Promise<EventSubscription> {
  return throughTime(
    tenant,
    client.systemTopicEventSubscriptions.beginCreateOrUpdateAndWait(GROUP, 'topic', 'ours', {
      destination: { endpointType: 'AzureFunction', resourceId: FUNCTION },
      ...more,
    }),
  );
}

function emitSecret(name: string, eventType = 'Microsoft.KeyVault.SecretNewVersionCreated'): void {
  tenant.world.emit({
    topic: VAULT,
    subject: name,
    eventType,
    dataVersion: '1',
    data: { ObjectName: name, EXP: 5 },
  });
}

const deadLettersIn = (blobContainerName: string) => ({
  endpointType: 'StorageBlob' as const,
  resourceId: STORAGE,
  blobContainerName,
});

async function givenContainer(name: string): Promise<void> {
  const id = `${STORAGE}/blobServices/default/containers/${name}`;
  const answer = await tenant.call('PUT', `${id}?api-version=2025-08-01`, { properties: {} });
  expect(answer.status).toBe(201);
}

/** Client id of an application that the operator registered. */
async function givenApplication(): Promise<string> {
  const { accessToken } = tenant.directory.issueToken(
    settings.operator.principalId,
    'https://graph.microsoft.com',
  );
  const graph = new Graph(tenant.world, tenant.directory, new TenantObjects(tenant.world));
  const answer = await graph.fetch(
    new Request('https://graph.microsoft.com/v1.0/applications', {
      method: 'POST',
      headers: { authorization: `Bearer ${accessToken}`, 'content-type': 'application/json' },
      body: JSON.stringify({ displayName: 'webhook of the control plane' }),
    }),
    { host: 'graph.microsoft.com', caller: '' },
  );
  expect(answer.status).toBe(201);
  return ((await answer.json()) as { appId: string }).appId;
}

/** Lets virtual time go on in small steps until there have been so many requests. */
async function requests(count: number, step = 1_000): Promise<void> {
  await vi.waitFor(
    () => {
      tenant.pass(step);
      expect(received.length).toBeGreaterThanOrEqual(count);
    },
    { timeout: 10_000, interval: 5 },
  );
}

/** Waits in virtual time until nothing is under way any more. */
async function quiet(): Promise<void> {
  await vi.waitFor(
    () => {
      tenant.pass(MINUTE);
      expect(tenant.arm.eventGrid.pending()).toBe(0);
    },
    { timeout: 10_000, interval: 2 },
  );
}

const subjects = (): unknown[] =>
  received.flatMap(({ body }) => (body as { subject: string }[]).map(({ subject }) => subject));

describe('system topics', () => {
  test('there is one per source, where the source is', async () => {
    await givenTopic();
    const [topic] = await listAll(client.systemTopics.listByResourceGroup(GROUP));
    expect(topic).toMatchObject({ name: 'topic', source: VAULT, provisioningState: 'Succeeded' });
    const again = { location, source: VAULT, topicType: 'Microsoft.KeyVault.vaults' };
    expect(await refusalOf(client.systemTopics.beginCreateOrUpdate(GROUP, 'second', again))).toMatchObject({
      status: 400,
    });
  });

  test('are refused for a source that is not there, another place, or another type', async () => {
    for (const wrong of [
      { source: `${VAULT}2` },
      { location: 'westeurope' },
      { topicType: 'Microsoft.ContainerRegistry.Registries' },
    ]) {
      const body = { location, source: VAULT, topicType: 'Microsoft.KeyVault.vaults', ...wrong };
      expect(await refusalOf(client.systemTopics.beginCreateOrUpdate(GROUP, 'topic', body))).toMatchObject({
        status: 400,
      });
    }
  });
});

describe('delivery to a function', () => {
  test('brings the envelope of Event Grid under the extension’s key', async () => {
    await givenTopic();
    const made = await subscribe();
    expect(made).toMatchObject({
      provisioningState: 'Succeeded',
      retryPolicy: { maxDeliveryAttempts: 30, eventTimeToLiveInMinutes: 1440 },
      eventDeliverySchema: 'EventGridSchema',
    });
    emitSecret('db-password');
    await requests(1);
    expect(received[0]?.url).toBe(`/runtime/webhooks/EventGrid?functionName=onEvent&code=${KEY}`);
    expect(received[0]?.headers).toMatchObject({
      'aeg-event-type': 'Notification',
      'aeg-subscription-name': 'OURS',
      'aeg-delivery-count': '0',
    });
    expect(received[0]?.body).toEqual([
      {
        id: expect.stringMatching(/^[0-9a-f-]{36}$/),
        topic: VAULT,
        subject: 'db-password',
        eventType: 'Microsoft.KeyVault.SecretNewVersionCreated',
        eventTime: expect.stringMatching(/^2026-11-23T.*Z$/),
        data: { ObjectName: 'db-password', EXP: 5 },
        dataVersion: '1',
        metadataVersion: '1',
      },
    ]);
    await quiet();
    expect(received).toHaveLength(1);
  });

  test('is a CloudEvent when that was asked for', async () => {
    await givenTopic();
    await subscribe({ eventDeliverySchema: 'CloudEventSchemaV1_0' });
    emitSecret('db-password');
    await requests(1);
    expect(received[0]?.headers['content-type']).toMatch(/^application\/cloudevents\+json/);
    expect(received[0]?.body).toMatchObject({
      specversion: '1.0',
      source: VAULT,
      type: 'Microsoft.KeyVault.SecretNewVersionCreated',
      subject: 'db-password',
    });
  });

  test('is refused while the function is not deployed', async () => {
    await givenTopic();
    const wish = {
      destination: { endpointType: 'AzureFunction' as const, resourceId: `${SITE}/functions/other` },
    };
    expect(
      await refusalOf(client.systemTopicEventSubscriptions.beginCreateOrUpdate(GROUP, 'topic', 'ours', wish)),
    ).toEqual({ status: 400, code: 'InvalidRequest' });
  });

  test('filters by type, subject and data', async () => {
    await givenTopic();
    await subscribe({
      filter: {
        includedEventTypes: ['Microsoft.KeyVault.SecretNewVersionCreated'],
        subjectBeginsWith: 'DB-',
        subjectEndsWith: 'word',
        advancedFilters: [
          { operatorType: 'StringIn', key: 'data.ObjectName', values: ['DB-password', 'db-other-word'] },
          { operatorType: 'NumberIn', key: 'data.EXP', values: [5] },
          { operatorType: 'IsNotNull', key: 'data.ObjectName' },
          { operatorType: 'StringNotContains', key: 'data.Missing', values: ['x'] },
        ],
      },
    });
    emitSecret('db-password', 'Microsoft.KeyVault.SecretNearExpiry');
    emitSecret('web-password');
    emitSecret('db-third-word');
    emitSecret('db-password');
    await quiet();
    expect(subjects()).toEqual(['db-password']);
  });

  test('is repeated on the service’s schedule until it succeeds', async () => {
    await givenTopic();
    await subscribe();
    statuses = [500, 503, 500, 200];
    const times: number[] = [];
    emitSecret('db-password');
    for (let count = 1; count <= 4; count += 1) {
      await requests(count);
      times.push(tenant.world.clock.now());
    }
    const waits = times.slice(1).map((time, index) => time - (times[index] ?? 0));
    // At least the schedule's waits; the test steps on by whole seconds and the server takes real time.
    expect(waits[0]).toBeGreaterThanOrEqual(9_000);
    expect(waits[1]).toBeGreaterThanOrEqual(29_000);
    expect(waits[2]).toBeGreaterThanOrEqual(59_000);
    expect(received.map(({ headers }) => headers['aeg-delivery-count'])).toEqual(['0', '1', '2', '3']);
    expect(new Set(received.map(({ body }) => (body as { id: string }[])[0]?.id)).size).toBe(1);
    await quiet();
    expect(received).toHaveLength(4);
  });

  test('ends after the allowed attempts, and the event is kept as a dead letter', async () => {
    await givenTopic();
    await givenContainer('dead');
    await subscribe({
      retryPolicy: { maxDeliveryAttempts: 2 },
      deadLetterDestination: deadLettersIn('dead'),
    });
    statuses = [500];
    emitSecret('db-password');
    await quiet();
    expect(received).toHaveLength(2);
    expect(tenant.arm.eventGrid.deadLetters()).toMatchObject([
      {
        subject: 'db-password',
        deadLetterReason: 'MaxDeliveryAttemptsExceeded',
        deliveryAttempts: 2,
        lastHttpStatusCode: 500,
      },
    ]);
  });

  test('is lost for good when the dead-letter container is not there for hours', async () => {
    await givenTopic();
    await subscribe({ deadLetterDestination: deadLettersIn('missing') });
    statuses = [400];
    emitSecret('db-password');
    const published = tenant.world.clock.now();
    await quiet();
    expect(tenant.arm.eventGrid.deadLetters()).toEqual([]);
    expect(tenant.world.clock.now() - published).toBeGreaterThan(4 * 60 * MINUTE);
  });

  test('is kept as a dead letter when the container comes within hours', async () => {
    await givenTopic();
    await subscribe({ deadLetterDestination: deadLettersIn('late') });
    statuses = [400];
    emitSecret('db-password');
    await requests(1);
    tenant.pass(60 * MINUTE);
    await givenContainer('late');
    await quiet();
    expect(tenant.arm.eventGrid.deadLetters()).toHaveLength(1);
  });

  test('has no dead letters in an account that is not there', async () => {
    await givenTopic();
    const elsewhere = { ...deadLettersIn('dead'), resourceId: `${STORAGE}x` };
    const wish = {
      destination: { endpointType: 'AzureFunction' as const, resourceId: FUNCTION },
      deadLetterDestination: elsewhere,
    };
    expect(
      await refusalOf(client.systemTopicEventSubscriptions.beginCreateOrUpdate(GROUP, 'topic', 'ours', wish)),
    ).toMatchObject({ status: 400 });
  });

  test('is given up at once after 400, and dropped without a dead-letter container', async () => {
    await givenTopic();
    await subscribe();
    statuses = [400];
    emitSecret('db-password');
    await quiet();
    expect(received).toHaveLength(1);
    expect(tenant.arm.eventGrid.deadLetters()).toEqual([]);
  });

  test('waits for a host that is down, across a restart of the cloud', async () => {
    await givenTopic();
    await subscribe();
    await tenant.arm.setFunctionApp(undefined);
    emitSecret('db-password');
    tenant.pass(2_000);
    await tenant.close();
    await open();
    await requests(1, 10_000);
    await quiet();
    expect(subjects()).toEqual(['db-password']);
  });

  test('loses, repeats and delays as it is dialled', async () => {
    await givenTopic();
    await subscribe();
    tenant.arm.eventGrid.control.replace({ dropShare: 1 });
    emitSecret('lost');
    tenant.arm.eventGrid.control.replace({ repeatShare: 1, reorder: true });
    emitSecret('twice');
    await quiet();
    expect(subjects()).toEqual(['twice', 'twice']);
    const { log } = tenant.arm.eventGrid;
    expect(log.emitted.map(({ subject, dropped = false }) => [subject, dropped])).toEqual([
      ['lost', true],
      ['twice', false],
    ]);
    expect(log.dropped).toEqual([log.emitted[0]]);
    expect(log.dropped[0]).toMatchObject({
      id: expect.any(String),
      type: 'Microsoft.KeyVault.SecretNewVersionCreated',
      subscription: 'ours',
    });
    expect(() => tenant.arm.eventGrid.control.replace({ dropShare: 2 })).toThrow();
  });
});

describe('what happens in a resource group', () => {
  test('reaches subscribers of the group and of the subscription, under their topics', async () => {
    const group = await givenGroup(tenant, 'MC_nodes');
    for (const scope of [group, SUBSCRIPTION]) {
      const made = await throughTime(
        tenant,
        client.eventSubscriptions.beginCreateOrUpdateAndWait(scope, 'ours', {
          destination: { endpointType: 'AzureFunction', resourceId: FUNCTION },
          filter: {
            includedEventTypes: ['Microsoft.Resources.ResourceWriteSuccess'],
            advancedFilters: [
              {
                operatorType: 'StringIn',
                key: 'data.operationName',
                values: ['Microsoft.ManagedIdentity/userAssignedIdentities/write'],
              },
            ],
          },
        }),
      );
      expect(made.provisioningState).toBe('Succeeded');
    }
    for (const place of [group, `${SUBSCRIPTION}/resourceGroups/${GROUP}`]) {
      await tenant.call(
        'PUT',
        `${place}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/id-new?api-version=2024-11-30`,
        { location },
      );
    }
    await quiet();
    const topics = received.flatMap(({ body }) =>
      (body as { topic: string; subject: string }[]).map((event) => event.topic),
    );
    expect(topics.sort()).toEqual([SUBSCRIPTION, SUBSCRIPTION, group].sort());
  });
});

describe('a webhook', () => {
  const hook = (): Partial<EventSubscription> => ({
    destination: { endpointType: 'WebHook', endpointUrl: `${base}/hook?code=secret` },
  });

  test('gets events after it has passed the handshake, and its secret is not shown', async () => {
    await givenTopic();
    const made = await subscribe(hook());
    expect(JSON.stringify(made)).not.toContain('secret');
    expect(made.destination).toMatchObject({ endpointType: 'WebHook', endpointBaseUrl: `${base}/hook` });
    emitSecret('db-password');
    await requests(1);
    expect(received[0]?.url).toBe('/hook?code=secret');
  });

  test('passes the handshake of CloudEvents', async () => {
    await givenTopic();
    const made = await subscribe({ ...hook(), eventDeliverySchema: 'CloudEventSchemaV1_0' });
    expect(made.provisioningState).toBe('Succeeded');
  });

  test('behind Entra is called with a token of Event Grid for its application', async () => {
    const application = await givenApplication();
    await givenTopic();
    const secured = {
      endpointType: 'WebHook' as const,
      azureActiveDirectoryTenantId: tenantId,
      azureActiveDirectoryApplicationIdOrUri: application,
    };
    const made = await subscribe({ destination: { ...secured, endpointUrl: `${base}/hook?code=secret` } });
    expect(made.destination).toMatchObject(secured);
    emitSecret('db-password');
    await requests(1);
    const { authorization = null } = received[0]?.headers ?? {};
    expect(tenant.directory.verifyToken(authorization, [application])).toMatchObject({
      ok: true,
      principal: { displayName: 'Microsoft.EventGrid' },
    });
    expect(tenant.directory.verifyToken(authorization, ['https://management.azure.com'])).toMatchObject({
      ok: false,
    });
  });

  test('is refused with half a sign-in, another tenant, or an application that is not there', async () => {
    const application = await givenApplication();
    await givenTopic();
    for (const wrong of [
      { azureActiveDirectoryTenantId: tenantId },
      { azureActiveDirectoryApplicationIdOrUri: application },
      { azureActiveDirectoryTenantId: subscriptionId, azureActiveDirectoryApplicationIdOrUri: application },
      { azureActiveDirectoryTenantId: tenantId, azureActiveDirectoryApplicationIdOrUri: subscriptionId },
    ]) {
      const wish = {
        destination: { endpointType: 'WebHook' as const, endpointUrl: `${base}/hook`, ...wrong },
      };
      expect(
        await refusalOf(
          client.systemTopicEventSubscriptions.beginCreateOrUpdate(GROUP, 'topic', 'ours', wish),
        ),
      ).toMatchObject({ status: 400 });
    }
  });

  test('that does not answer the handshake gets no subscription that works', async () => {
    await givenTopic();
    answersHandshake = false;
    await expect(subscribe(hook())).rejects.toThrow(/Url validation/);
    const kept = await client.systemTopicEventSubscriptions.get(GROUP, 'topic', 'ours');
    expect(kept.provisioningState).toBe('Failed');
    emitSecret('db-password');
    await quiet();
    expect(received).toEqual([]);
  });
});
