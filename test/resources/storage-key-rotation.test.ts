/** The storage key of a whole running stack is rotated, there and back, while Open WebUI serves. */
import http from 'node:http';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { KubernetesApi } from '../../src/clients/kubernetes-api.ts';
import { retiredStorageKey } from '../../src/resources/azure/retired-storage-key.ts';
import { usersOfVolume } from '../../src/resources/kubernetes/data-volume.ts';
import type { Scope } from '../../src/resources/scope.ts';
import { type SimulatedAzure, startSimulatedAzure } from './azure/simulated-azure.ts';

let azure: SimulatedAzure;
let api: KubernetesApi;
let restoreProxy: (() => void) | undefined;

beforeAll(async () => {
  azure = await startSimulatedAzure(300);
  // As NODE_USE_ENV_PROXY does for the app: not only the SDKs of Azure are to find the proxy.
  restoreProxy = http.setGlobalProxyFromEnv(process.env);
  await azure.settle(azure.scope(), retiredStorageKey);
  const { resourceGroup, cluster } = azure.scope().names;
  api = await azure.scope().clients.kubernetes(resourceGroup, cluster);
}, 300_000);
afterAll(async () => {
  restoreProxy?.();
  await azure?.stop();
});

const clock = () => azure.cloud.world.clock;
/** As the engine does, every look of it reads the time afresh. */
const wishNow = (): (() => Scope) => {
  const wish = new Date(clock().now());
  return () => ({
    ...azure.scope(),
    rotateAfter: { 'storage-key': wish },
    get now() {
      return new Date(clock().now());
    },
  });
};
const settleAll = async (wished: () => Scope): Promise<void> => {
  azure.unsettle();
  await azure.settle(wished(), retiredStorageKey);
};
const keys = async (): Promise<Readonly<Record<string, string>>> => {
  const { resourceGroup, storageAccount } = azure.scope().names;
  const listed = await azure.operator.storage().storageAccounts.listKeys(resourceGroup, storageAccount);
  return Object.fromEntries((listed.keys ?? []).map(({ keyName, value }) => [keyName ?? '', value ?? '']));
};
const stored = async (): Promise<string> => {
  const vaultUrl = `https://${azure.scope().names.vault}.vault.azure.net/`;
  return (await azure.operator.secrets(vaultUrl).getSecret('storage-account-key')).value ?? '';
};
const users = (claim: string) => usersOfVolume(api, azure.scope().names.namespace, claim);

describe('a rotation of the storage key', () => {
  test.each([
    ['key1', 'key2', 'open-webui-data', 'open-webui-data-key2'],
    ['key2', 'key1', 'open-webui-data-key2', 'open-webui-data'],
  ])(
    'from %s to %s moves all pods to the other mount and makes the old key invalid',
    async (from, to, oldClaim, newClaim) => {
      const before = await keys();
      expect(await stored()).toBe(before[from]);
      const replicas = (await users(oldClaim)).length;
      expect(replicas).toBeGreaterThan(0);
      await clock().wait(5_000);
      const wished = wishNow();
      await clock().wait(5_000);
      const mark = azure.mark();
      await settleAll(wished);
      const after = await keys();
      expect(after[to]).toBe(before[to]);
      expect(after[from]).not.toBe(before[from]);
      expect(await stored()).toBe(after[to]);
      expect(await users(oldClaim)).toEqual([]);
      expect(await users(newClaim)).toHaveLength(replicas);
      const writes = azure.writesSince(mark);
      expect(writes.filter((call) => call.includes('regenerateKey'))).toHaveLength(1);
      expect(writes.filter((call) => call.includes('/deployments/open-webui'))).toHaveLength(1);

      const quiet = azure.mark();
      await clock().wait(60_000);
      await settleAll(wished);
      expect(azure.writesSince(quiet)).toEqual([]);
    },
    120_000,
  );
});
