/** The shared budget and the shared snapshot, in the pipelines of the vendors' clients against the simulated ARM. */
import { KeyVaultManagementClient } from '@azure/arm-keyvault';
import { ManagedServiceIdentityClient } from '@azure/arm-msi';
import { NetworkManagementClient } from '@azure/arm-network';
import { ResourceManagementClient } from '@azure/arm-resources';
import { StorageManagementClient } from '@azure/arm-storage';
import { createHttpHeaders, createPipelineRequest } from '@azure/core-rest-pipeline';
import { beforeEach, describe, expect, test, vi } from 'vitest';
import { fromSnapshot } from '../../src/clients/arm-snapshot.ts';
import { isNotFound, toFailure } from '../../src/clients/cloud-failure.ts';
import { createSharedLimits, type SharedLimits } from '../../src/clients/shared-limits.ts';
import {
  givenGroup,
  location,
  MINUTE,
  openTenant,
  subscriptionId,
  type Tenant,
  tenantId,
} from '../cloud/arm/tenant.ts';

const MAX_AGE = 60_000;

let tenant: Tenant;
let limits: SharedLimits;
let calls: string[];
let group: string;
beforeEach(async () => {
  tenant = openTenant();
  limits = createSharedLimits(() => tenant.world.clock.now());
  group = await givenGroup(tenant);
  calls = [];
});

const policies = () =>
  [limits.snapshot.policy, limits.arm.policy].map((policy) => ({ policy, position: 'perRetry' as const }));

function options() {
  const { httpClient, retryOptions } = tenant.options;
  return {
    retryOptions,
    httpClient: {
      sendRequest: (request: Parameters<typeof httpClient.sendRequest>[0]) => {
        const path = new URL(request.url).pathname.replace(`/subscriptions/${subscriptionId}`, '');
        calls.push(`${request.method} ${path}`);
        return httpClient.sendRequest(request);
      },
    },
    additionalPolicies: policies(),
  };
}

const vaults = () => new KeyVaultManagementClient(tenant.as(), subscriptionId, options()).vaults;
const identities = () =>
  new ManagedServiceIdentityClient(tenant.as(), subscriptionId, options()).userAssignedIdentities;

async function givenVaults(...names: string[]): Promise<void> {
  for (const name of names) {
    const path = `${group}/providers/Microsoft.KeyVault/vaults/${name}?api-version=2026-02-01`;
    const properties = { tenantId, sku: { family: 'A', name: 'standard' } };
    expect((await tenant.call('PUT', path, { location, properties })).status).toBeLessThan(300);
  }
  tenant.pass(5 * MINUTE);
}

describe('in a snapshot', () => {
  const LIST = 'GET /providers/microsoft.keyvault/vaults';

  test('a hundred reads at once are one list', async () => {
    await givenVaults('kv-a', 'kv-b');
    const [one, other] = [vaults(), vaults()];
    const found = await Promise.all(
      Array.from({ length: 100 }, (_, at) =>
        fromSnapshot(MAX_AGE, () => (at % 2 ? one.get('rg', 'kv-a') : other.get('RG', 'KV-B'))),
      ),
    );
    expect(calls).toEqual([LIST]);
    expect(new Set(found.map(({ name }) => name))).toEqual(new Set(['kv-a', 'kv-b']));
    expect(found[0]).toEqual(await vaults().get('rg', 'kv-b'));
  });

  test('both generations of the clients read what a GET would have told', async () => {
    await tenant.call(
      'PUT',
      `${group}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/uai?api-version=2024-11-30`,
      {
        location,
      },
    );
    const network = new NetworkManagementClient(tenant.as(), subscriptionId, options());
    await tenant.call(
      'PUT',
      `${group}/providers/Microsoft.Network/virtualNetworks/vnet?api-version=2025-05-01`,
      {
        location,
        properties: {
          addressSpace: { addressPrefixes: ['10.0.0.0/16'] },
          subnets: [{ name: 'nodes', properties: { addressPrefix: '10.0.0.0/20' } }],
        },
      },
    );
    const storage = new StorageManagementClient(tenant.as(), subscriptionId, options());
    await tenant.call(
      'PUT',
      `${group}/providers/Microsoft.Storage/storageAccounts/stsnapshot?api-version=2025-06-01`,
      {
        location,
        kind: 'StorageV2',
        sku: { name: 'Standard_LRS' },
        properties: {},
      },
    );
    const resources = new ResourceManagementClient(tenant.as(), subscriptionId, options());
    tenant.pass(5 * MINUTE);
    const reads: readonly (() => Promise<unknown>)[] = [
      () => identities().get('rg', 'uai'),
      () => network.virtualNetworks.get('rg', 'vnet'),
      () => storage.storageAccounts.getProperties('rg', 'stsnapshot'),
      () => resources.resourceGroups.get('rg'),
    ];
    for (const read of reads) {
      const asked = await read();
      expect(await fromSnapshot(MAX_AGE, read)).toEqual(asked);
    }
    expect(calls.filter((call) => !/resourceGroups\/rg/i.test(call))).toHaveLength(4);
  });

  test('what is not in the list is asked for itself', async () => {
    await givenVaults('kv-a');
    await fromSnapshot(MAX_AGE, () => vaults().get('rg', 'kv-a'));
    await givenVaults('kv-late');
    expect((await fromSnapshot(10 * MINUTE, () => vaults().get('rg', 'kv-late'))).name).toBe('kv-late');
    const absent = await fromSnapshot(10 * MINUTE, () => vaults().get('rg', 'kv-none')).catch(
      (error: unknown) => error,
    );
    expect(isNotFound(absent)).toBe(true);
    expect(calls.filter((call) => call === LIST)).toHaveLength(1);
    expect(calls.filter((call) => call.endsWith('/vaults/kv-none'))).toHaveLength(1);
  });

  test('a write through any client makes it forget', async () => {
    await givenVaults('kv-a');
    await fromSnapshot(MAX_AGE, () => vaults().get('rg', 'kv-a'));
    await vaults().update('rg', 'kv-a', { tags: { now: 'tagged' } });
    const seen = await fromSnapshot(MAX_AGE, () => vaults().get('rg', 'kv-a'));
    expect(seen.tags).toEqual({ now: 'tagged' });
    expect(calls.filter((call) => call === LIST)).toHaveLength(2);
  });

  test('a write to what hangs on a resource makes it forget, too', async () => {
    await givenVaults('kv-a');
    await fromSnapshot(MAX_AGE, () => vaults().get('rg', 'kv-a'));
    const url = `https://management.azure.com/${group}/providers/Microsoft.KeyVault/vaults/kv-a/providers/Microsoft.EventGrid/eventSubscriptions/e`;
    const request = createPipelineRequest({ url, method: 'PUT' });
    await limits.snapshot.policy.sendRequest(request, async () => ({
      request,
      status: 201,
      headers: createHttpHeaders(),
    }));
    await fromSnapshot(MAX_AGE, () => vaults().get('rg', 'kv-a'));
    expect(calls).toEqual([LIST, LIST]);
  });

  test('what is the same for all deployments of a subscription is asked for once', async () => {
    const client = () => new ResourceManagementClient(tenant.as(), subscriptionId, options());
    const read = () => fromSnapshot(MAX_AGE, () => client().providers.get('Microsoft.KeyVault'));
    const found = await Promise.all([read(), read(), read()]);
    expect(found.map(({ registrationState }) => registrationState)).toEqual(Array(3).fill('Registered'));
    expect(calls).toEqual(['GET /providers/Microsoft.KeyVault']);
  });

  test('nothing is older than was agreed to', async () => {
    await givenVaults('kv-a');
    const read = () => fromSnapshot(MAX_AGE, () => vaults().get('rg', 'kv-a'));
    await read();
    tenant.pass(MAX_AGE - 1000);
    await read();
    expect(calls).toEqual([LIST]);
    tenant.pass(2000);
    await read();
    expect(calls).toEqual([LIST, LIST]);
  });

  test('a list that is refused costs one call, and each resource tells for itself', async () => {
    await givenVaults('kv-a', 'kv-b');
    const send = limits.snapshot.policy.sendRequest;
    let lists = 0;
    const refusing = {
      ...options(),
      additionalPolicies: [
        { policy: { name: 'armSnapshot', sendRequest: send }, position: 'perRetry' as const },
        {
          policy: {
            name: 'refusing',
            sendRequest: async (request: Parameters<typeof send>[0], next: Parameters<typeof send>[1]) => {
              const isList = /subscriptions\/[^/]+\/providers/.test(request.url);
              if (isList) lists += 1;
              const answer = await next(request);
              return isList ? { ...answer, status: 500 } : answer;
            },
          },
          position: 'perRetry' as const,
        },
      ],
    };
    const client = new KeyVaultManagementClient(tenant.as(), subscriptionId, refusing).vaults;
    const names = await Promise.all(
      ['kv-a', 'kv-b'].map(async (name) => (await fromSnapshot(MAX_AGE, () => client.get('rg', name))).name),
    );
    expect(names).toEqual(['kv-a', 'kv-b']);
    expect(lists).toBe(1);
  });

  test('a list is read to its last page, and never on another host', async () => {
    const asked: string[] = [];
    const item = (name: string) => ({
      id: `${group}/providers/Microsoft.KeyVault/vaults/${name}`,
      name,
      location,
      properties: { tenantId, sku: { family: 'A', name: 'standard' } },
    });
    const base = `https://management.azure.com/subscriptions/${subscriptionId}/providers/Microsoft.KeyVault/vaults`;
    const pages: Readonly<Record<string, unknown>> = {
      '': { value: [item('kv-1')], nextLink: `${base}?page=2` },
      '2': { value: [item('kv-2')], nextLink: 'https://elsewhere.example.com/?page=3' },
    };
    const paging = {
      ...options(),
      httpClient: {
        sendRequest: async (request: Parameters<Tenant['options']['httpClient']['sendRequest']>[0]) => {
          const url = new URL(request.url);
          asked.push(url.host);
          const page = pages[url.searchParams.get('page') ?? ''] ?? item('kv-3');
          const headers = createHttpHeaders({ 'content-type': 'application/json' });
          const isOne = url.pathname.includes('/resourceGroups/');
          return { request, status: 200, headers, bodyAsText: JSON.stringify(isOne ? item('kv-3') : page) };
        },
      },
    };
    const client = new KeyVaultManagementClient(tenant.as(), subscriptionId, paging).vaults;
    for (const name of ['kv-2', 'kv-1', 'kv-3']) {
      expect((await fromSnapshot(MAX_AGE, () => client.get('rg', name))).name).toBe(name);
    }
    expect(asked).toEqual(Array.from({ length: 3 }, () => 'management.azure.com'));
  });

  test('outside of it every read is made', async () => {
    await givenVaults('kv-a');
    await fromSnapshot(MAX_AGE, () => vaults().get('rg', 'kv-a'));
    await vaults().get('rg', 'kv-a');
    expect(calls).toHaveLength(2);
  });
});

describe('the budget', () => {
  test('is one for all clients, and keeps them under what ARM grants', async () => {
    const [one, other] = [identities(), vaults()];
    const answers = Array.from({ length: 220 }, (_, at) =>
      (at % 2 ? one.get('rg', 'none') : other.get('rg', 'none')).catch(
        (error: unknown) => toFailure(error).code,
      ),
    );
    await vi.waitFor(() => expect(calls).toHaveLength(200));
    tenant.pass(1000);
    const codes = await Promise.all(answers);
    expect(new Set(codes)).toEqual(new Set(['ResourceNotFound']));
  });

  test('is used up for everybody when ARM says so, and the SDK asks only once', async () => {
    const path = `${group}?api-version=2025-04-01`;
    let status = 200;
    while (status === 200) ({ status } = await tenant.call('GET', path));
    expect(status).toBe(429);
    const refused = await vaults()
      .get('rg', 'none')
      .catch((error: unknown) => toFailure(error));
    expect(refused).toMatchObject({ kind: 'retryable', code: 'SubscriptionRequestsThrottled' });
    expect(calls).toHaveLength(1);
    const waiting = identities()
      .get('rg', 'none')
      .catch((error: unknown) => toFailure(error).code);
    await new Promise((resolve) => setImmediate(resolve));
    expect(calls).toHaveLength(1);
    tenant.pass(2000);
    expect(await waiting).toBe('ResourceNotFound');
  });
});
