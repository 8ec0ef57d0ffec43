import { randomUUID } from 'node:crypto';
import { ManagedIdentityCredential } from '@azure/identity';
import { SecretClient } from '@azure/keyvault-secrets';
import Cloudflare from 'cloudflare';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { composeAzure } from '../../sandbox/cloud/azure.ts';
import { CLOUDFLARE_TOKEN_SECRET } from '../../sandbox/cloud/bootstrap.ts';
import { startTestCloud, type TestCloud } from './start-cloud.ts';

const SECRETS_OFFICER = 'b86a8fe4-44ce-4948-aee5-eccb2c155cd7';
let sandbox: TestCloud;
let secrets: SecretClient;

beforeAll(async () => {
  sandbox = await startTestCloud({}, composeAzure);
  const { clientId, vaultName } = sandbox.cloud.world.settings.controlPlane;
  secrets = new SecretClient(
    `https://${vaultName}.vault.azure.net`,
    new ManagedIdentityCredential({ clientId }),
    {
      retryOptions: { maxRetries: 0 },
    },
  );
});
afterAll(() => sandbox.stop());

describe('what stands before the sandbox begins', () => {
  test('lets the control plane read its Cloudflare token and use it', async () => {
    const { value } = await secrets.getSecret(CLOUDFLARE_TOKEN_SECRET);
    const client = new Cloudflare({ apiToken: value ?? '', maxRetries: 0 });
    expect(await client.user.tokens.verify()).toMatchObject({ status: 'active' });
  });

  test('lets it write no secret until a role allows it and the role has propagated', async () => {
    const { subscriptionId, controlPlane } = sandbox.cloud.world.settings;
    await expect(secrets.setSecret('mine', 'x')).rejects.toMatchObject({ statusCode: 403 });
    const scope = `/subscriptions/${subscriptionId}/resourceGroups/${controlPlane.resourceGroup}/providers/Microsoft.KeyVault/vaults/${controlPlane.vaultName}`;
    const { token } = await sandbox.operator.getToken('https://management.azure.com/.default');
    const assigned = await fetch(
      `https://management.azure.com${scope}/providers/Microsoft.Authorization/roleAssignments/${randomUUID()}?api-version=2022-04-01`,
      {
        method: 'PUT',
        headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
        body: JSON.stringify({
          properties: {
            roleDefinitionId: `/subscriptions/${subscriptionId}/providers/Microsoft.Authorization/roleDefinitions/${SECRETS_OFFICER}`,
            principalId: controlPlane.principalId,
            principalType: 'ServicePrincipal',
          },
        }),
      },
    );
    expect(assigned.status).toBe(201);
    await expect(secrets.setSecret('mine', 'x')).rejects.toMatchObject({ statusCode: 403 });
    sandbox.pass(15 * 60_000);
    expect((await secrets.setSecret('mine', 'x')).value).toBe('x');
  });
});
