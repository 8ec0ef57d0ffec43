import { ManagedIdentityCredential } from '@azure/identity';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startTestCloud, type TestCloud } from './start-cloud.ts';

const GRAPH_APP = '00000003-0000-0000-c000-000000000000';
let sandbox: TestCloud;

beforeAll(async () => {
  sandbox = await startTestCloud();
});
afterAll(() => sandbox.stop());

interface Answer {
  readonly status: number;
  readonly body: {
    readonly [name: string]: unknown;
    readonly id?: string;
    readonly value?: { [name: string]: unknown }[];
  };
}

/** Calls as the control plane's identity, or as the operator. */
async function call(
  method: string,
  path: string,
  body?: object,
  as: 'us' | 'operator' = 'us',
  prefer = '',
): Promise<Answer> {
  const credential =
    as === 'us'
      ? new ManagedIdentityCredential({ clientId: sandbox.cloud.world.settings.controlPlane.clientId })
      : sandbox.operator;
  const { token } = await credential.getToken('https://graph.microsoft.com/.default');
  const answer = await fetch(`https://graph.microsoft.com/v1.0${path}`, {
    method,
    headers: {
      authorization: `Bearer ${token}`,
      'content-type': 'application/json',
      ...(prefer ? { prefer } : {}),
    },
    ...(body ? { body: JSON.stringify(body) } : {}),
  });
  const text = await answer.text();
  return { status: answer.status, body: text === '' ? {} : JSON.parse(text) };
}
const settle = (): void => sandbox.pass(20_000);

async function createApp(
  displayName: string,
  as: 'us' | 'operator' = 'us',
): Promise<{ id: string; appId: string }> {
  const { body } = await call('POST', '/applications', { displayName, signInAudience: 'AzureADMyOrg' }, as);
  settle();
  return { id: String(body.id), appId: String(body['appId']) };
}

describe('an application', () => {
  test('is not found until it has been replicated', async () => {
    const created = await call('POST', '/applications', { displayName: 'new', tags: ['mine'] });
    expect(created.status).toBe(201);
    const path = `/applications/${created.body.id}`;
    expect(await call('GET', path)).toMatchObject({
      status: 404,
      body: { error: { code: 'Request_ResourceNotFound' } },
    });
    expect((await call('POST', `${path}/addPassword`, {})).status).toBe(404);
    expect(await call('POST', '/servicePrincipals', { appId: created.body['appId'] })).toMatchObject({
      status: 400,
      body: { error: { code: 'Request_BadRequest', details: [{ code: 'NoBackingApplicationObject' }] } },
    });
    expect((await call('GET', "/applications?$filter=displayName eq 'new'")).body.value).toEqual([]);
    settle();
    expect((await call('GET', path)).status).toBe(200);
    expect((await call('GET', `/applications(appId='${created.body['appId']}')`)).body.id).toBe(
      created.body.id,
    );
    const found = await call('GET', "/applications?$filter=tags/any(t:t eq 'mine')&$select=id");
    expect(found.body.value).toEqual([{ id: created.body.id }]);
  });

  test('is made once under a unique name, however often it is put there', async () => {
    const put = () =>
      call(
        'PATCH',
        "/applications(uniqueName='deployment-one')",
        { displayName: 'one' },
        'us',
        'create-if-missing',
      );
    expect((await put()).status).toBe(201);
    expect(await put()).toMatchObject({
      status: 400,
      body: { error: { details: [{ code: 'ObjectConflict' }] } },
    });
    settle();
    expect((await put()).status).toBe(204);
    const found = await call('GET', "/applications?$filter=uniqueName eq 'deployment-one'");
    expect(found.body.value).toHaveLength(1);
    expect((await call('PATCH', "/applications(uniqueName='nobody')", { displayName: 'x' })).status).toBe(
      404,
    );
  });

  test('keeps what a change does not name', async () => {
    const { id } = await createApp('changed');
    const redirectUris = ['https://a.yourdomain.com/oauth/microsoft/callback'];
    expect((await call('PATCH', `/applications/${id}`, { web: { redirectUris } })).status).toBe(204);
    await call('PATCH', `/applications/${id}`, {
      web: { implicitGrantSettings: { enableIdTokenIssuance: true } },
    });
    expect((await call('GET', `/applications/${id}`)).body['web']).toMatchObject({
      redirectUris,
      implicitGrantSettings: { enableIdTokenIssuance: true, enableAccessTokenIssuance: false },
    });
  });

  test('refuses what the real one refuses', async () => {
    const { id } = await createApp('strict');
    expect(await call('POST', '/applications', { displayName: 'x', colour: 'red' })).toMatchObject({
      status: 400,
      body: { error: { code: 'Request_BadRequest', message: "Invalid property 'colour'." } },
    });
    expect(
      (await call('POST', '/applications', { displayName: 'x', web: { redirectUris: ['nonsense'] } })).status,
    ).toBe(400);
    expect((await call('GET', `/applications/${id}?$expand=owners`)).body).toMatchObject({
      error: { code: 'Request_UnsupportedQuery' },
    });
    expect((await call('GET', '/groups')).body).toMatchObject({
      error: { message: "Resource not found for the segment 'groups'." },
    });
  });

  test('shows a secret once and afterwards only its hint', async () => {
    const { id } = await createApp('secretive');
    const added = await call('POST', `/applications/${id}/addPassword`, {
      passwordCredential: { displayName: 'first' },
    });
    expect(String(added.body['secretText'])).toHaveLength(40);
    settle();
    const shown = (await call('GET', `/applications/${id}`)).body['passwordCredentials'];
    expect(shown).toMatchObject([
      {
        keyId: added.body['keyId'],
        displayName: 'first',
        secretText: null,
        hint: String(added.body['secretText']).slice(0, 3),
      },
    ]);
    expect(
      (await call('POST', `/applications/${id}/removePassword`, { keyId: added.body['keyId'] })).status,
    ).toBe(204);
    expect(
      (await call('POST', `/applications/${id}/removePassword`, { keyId: added.body['keyId'] })).status,
    ).toBe(400);
  });

  test('of somebody else cannot be touched with Application.ReadWrite.OwnedBy', async () => {
    const { id } = await createApp('theirs', 'operator');
    const { principalId } = sandbox.cloud.world.settings.controlPlane;
    expect((await call('GET', `/applications/${id}`)).status).toBe(200);
    expect(await call('PATCH', `/applications/${id}`, { displayName: 'ours' })).toMatchObject({
      status: 403,
      body: { error: { code: 'Authorization_RequestDenied' } },
    });
    const owner = { '@odata.id': `https://graph.microsoft.com/v1.0/directoryObjects/${principalId}` };
    expect((await call('POST', `/applications/${id}/owners/$ref`, owner, 'operator')).status).toBe(204);
    expect((await call('PATCH', `/applications/${id}`, { displayName: 'ours' })).status).toBe(204);
  });

  test('goes with its service principal and consent, and can be restored', async () => {
    const { id, appId } = await createApp('doomed');
    await call('POST', '/servicePrincipals', { appId });
    settle();
    expect((await call('DELETE', `/applications/${id}`)).status).toBe(204);
    expect((await call('GET', `/applications/${id}`)).status).toBe(404);
    expect((await call('GET', `/servicePrincipals(appId='${appId}')`)).status).toBe(404);
    const bin = await call('GET', '/directory/deletedItems/microsoft.graph.application');
    expect(bin.body.value?.map((item) => item['id'])).toContain(id);
    expect((await call('POST', `/directory/deletedItems/${id}/restore`)).status).toBe(200);
    expect((await call('GET', `/applications/${id}`)).status).toBe(200);
    await call('DELETE', `/applications/${id}`);
    expect((await call('DELETE', `/directory/deletedItems/${id}`)).status).toBe(204);
    expect((await call('GET', `/directory/deletedItems/${id}`)).status).toBe(404);
  });
});

describe('consent', () => {
  test('is one grant for all users, changed in place', async () => {
    const { appId } = await createApp('consented');
    const principal = await call('POST', '/servicePrincipals', { appId });
    expect(principal.status).toBe(201);
    expect((await call('POST', '/servicePrincipals', { appId })).status).toBe(409);
    const graph = await call('GET', `/servicePrincipals?$filter=appId eq '${GRAPH_APP}'`);
    const grant = {
      clientId: principal.body.id,
      consentType: 'AllPrincipals',
      resourceId: graph.body.value?.[0]?.['id'],
      scope: 'openid User.Read',
    };
    expect((await call('POST', '/oauth2PermissionGrants', grant)).status).toBe(404);
    settle();
    const made = await call('POST', '/oauth2PermissionGrants', grant);
    expect(made.status).toBe(201);
    expect((await call('POST', '/oauth2PermissionGrants', grant)).status).toBe(409);
    settle();
    const path = `/oauth2PermissionGrants/${made.body.id}`;
    expect((await call('PATCH', path, { scope: 'openid email' })).status).toBe(204);
    expect((await call('PATCH', path, { scope: 'openid Everything.Read' })).status).toBe(400);
    const found = await call('GET', `/oauth2PermissionGrants?$filter=clientId eq '${principal.body.id}'`);
    expect(found.body.value).toMatchObject([{ scope: 'openid email', consentType: 'AllPrincipals' }]);
    expect((await call('DELETE', path)).status).toBe(204);
  });
});
