import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { apiServer } from '../../../src/checks/azure/api-server.ts';
import type { Clients } from '../../../src/clients/clients.ts';
import type { KubernetesApi } from '../../../src/clients/kubernetes-api.ts';
import { aRound } from '../a-round.ts';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

const cluster = { id: '/cluster', fqdn: 'aks.example.com', powerState: { code: 'Running' } };
const grant = {
  scope: '/cluster',
  principalId: 'control-plane',
  roleDefinitionId: '/roleDefinitions/b1ff04bb-8a4e-4dc4-8eb5-8693973ce19b',
};
const look = (list: KubernetesApi['list']) =>
  apiServer.run(
    aRound({
      clients: {
        authorization: (() => ({
          roleAssignments: {
            listForScope: async function* () {
              yield grant;
            },
          },
        })) as unknown as Clients['authorization'],
        ownPrincipalId: async () => 'control-plane',
        kubernetes: async () => ({ list }) as Partial<KubernetesApi> as KubernetesApi,
      },
      known: { cluster },
    }),
  );

test('an API server that takes the connection and says nothing is silent, before the time of the check is over', async () => {
  const found = look(() => new Promise(() => undefined));
  await vi.advanceTimersByTimeAsync(15_000);
  expect(await Promise.race([found, Promise.resolve('nothing was found')])).toMatchObject([
    {
      id: 'api-server-silent',
      severity: 'error',
      evidence:
        'aks.example.com: no answer within 10 seconds, although Azure reports the cluster as running.',
    },
  ]);
});

test('an API server that takes some seconds answers', async () => {
  const found = look(() => new Promise((resolve) => setTimeout(resolve, 8_000, [])));
  await vi.advanceTimersByTimeAsync(8_000);
  expect(await found).toEqual([]);
});
