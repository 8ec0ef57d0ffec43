import { rmSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Secret } from '../../sandbox/cloud/key-vault/secrets.ts';
import { makeDirectory } from '../a-directory.ts';
import { StandInAzure, startTestCloud, type TestCloud } from './start-cloud.ts';

const DAY = 86_400_000;
const HOST = 'kv-test.vault.azure.net';
const VAULT = '/subscriptions/s/resourceGroups/rg/providers/Microsoft.KeyVault/vaults/kv-test';
const START = Date.UTC(2026, 10, 23);

let azure: StandInAzure;
let directory: string;
let sandbox: TestCloud;

/** The same world each time, as after a restart. */
const start = (): Promise<TestCloud> => startTestCloud({ directory, held: true, now: START }, azure.compose);

beforeEach(async () => {
  azure = new StandInAzure();
  azure.vaults.set(HOST, {
    id: VAULT,
    tenantId: 't',
    publicNetworkAccess: 'Enabled',
    enableRbacAuthorization: true,
  });
  directory = makeDirectory('cloud-');
  sandbox = await start();
});
afterEach(async () => {
  await sandbox.stop();
  rmSync(directory, { recursive: true, force: true });
});

/** As it lies on disk: nobody has set an alarm for it. */
function givenSecret(name: string, expiresAt: number, announced?: 'near-expiry'): void {
  const seconds = Math.floor(START / 1000);
  sandbox.cloud.world.table<Secret>('key-vault/secrets').set(`${HOST}/${name}`, {
    host: HOST,
    name,
    versions: [
      {
        version: '0'.repeat(32),
        value: 'value',
        enabled: true,
        exp: Math.floor(expiresAt / 1000),
        created: seconds,
        updated: seconds,
        ...(announced ? { announced } : {}),
      },
    ],
  });
}

const restart = async (): Promise<void> => {
  await sandbox.cloud.stop();
  sandbox = await start();
};
const told = (): string[] =>
  sandbox.events.map(({ eventType, subject }) => `${subject}: ${eventType.split('.').at(-1)}`);

describe('the end of a secret', () => {
  test('that came near while the process was away is told after the restart, once', async () => {
    givenSecret('near', START + 10 * DAY);
    givenSecret('over', START - DAY, 'near-expiry');
    givenSecret('far', START + 100 * DAY);
    await restart();
    await expect.poll(told).toEqual(['near: SecretNearExpiry', 'over: SecretExpired']);
    await restart();
    sandbox.pass(DAY);
    expect(told()).toEqual([]);
  });

  test('is told thirty days ahead and at its time, across restarts', async () => {
    givenSecret('one', START + 40 * DAY);
    await restart();
    sandbox.pass(9 * DAY);
    await restart();
    expect(told()).toEqual([]);
    sandbox.pass(2 * DAY);
    await expect.poll(told).toEqual(['one: SecretNearExpiry']);
    expect(sandbox.events[0]).toMatchObject({
      topic: VAULT,
      subject: 'one',
      data: { ObjectName: 'one', EXP: (START + 40 * DAY) / 1000 },
    });
    await restart();
    sandbox.pass(30 * DAY);
    await expect.poll(told).toEqual(['one: SecretExpired']);
  });
});
