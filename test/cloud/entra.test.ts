import { ClientSecretCredential } from '@azure/identity';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startTestCloud, type TestCloud } from './start-cloud.ts';

const REDIRECT = 'https://open-webui.yourdomain.com/oauth/microsoft/callback';
const SCOPES = ['openid', 'email', 'profile', 'offline_access', 'User.Read'];
const GRAPH = 'https://graph.microsoft.com/v1.0';
let sandbox: TestCloud;
let tenantId: string;
let app: { id: string; appId: string };
let secret: { secretText: string; keyId: string };

beforeAll(async () => {
  sandbox = await startTestCloud();
  tenantId = sandbox.cloud.world.settings.tenantId;
  app = await post('/applications', {
    displayName: 'app',
    signInAudience: 'AzureADMyOrg',
    web: { redirectUris: [REDIRECT] },
  });
  sandbox.pass(20_000);
  secret = await post(`/applications/${app.id}/addPassword`, {});
});
afterAll(() => sandbox.stop());

async function post<T>(path: string, body: object): Promise<T> {
  const { token } = await sandbox.operator.getToken('https://graph.microsoft.com/.default');
  const answer = await fetch(GRAPH + path, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  if (!answer.ok) throw new Error(await answer.text());
  return (await answer.json()) as T;
}

const signIn = (changed: object = {}) =>
  sandbox.cloud.neighbours.directory.canSignIn({
    clientId: app.appId,
    clientSecret: secret.secretText,
    tenantId,
    redirectUri: REDIRECT,
    scopes: SCOPES,
    ...changed,
  });
const token = (tenant: string, clientId: string, text: string) =>
  new ClientSecretCredential(tenant, clientId, text, { retryOptions: { maxRetries: 0 } }).getToken(
    'https://management.azure.com/.default',
  );

describe('a sign-in', () => {
  test('needs consent, the exact redirect URI, the tenant, and a secret that has arrived and not expired', async () => {
    expect(signIn()).toMatchObject({ ok: false, code: 'AADSTS65001' });
    const principal = await post<{ id: string }>('/servicePrincipals', { appId: app.appId });
    sandbox.pass(20_000);
    await post('/oauth2PermissionGrants', {
      clientId: principal.id,
      consentType: 'AllPrincipals',
      resourceId: '96a94000-0000-4000-8000-000000000003',
      scope: SCOPES.join(' '),
    });
    expect(signIn()).toMatchObject({ code: 'AADSTS65001' });
    sandbox.pass(20_000);
    expect(signIn()).toEqual({ ok: true });

    expect(signIn({ redirectUri: `${REDIRECT}/` })).toMatchObject({ code: 'AADSTS50011' });
    expect(signIn({ tenantId: '11111111-1111-4111-8111-111111111111' })).toMatchObject({
      code: 'AADSTS90002',
    });
    expect(signIn({ tenantId: 'common' })).toMatchObject({ code: 'AADSTS50194' });
    expect(signIn({ clientId: '11111111-1111-4111-8111-111111111111' })).toMatchObject({
      code: 'AADSTS700016',
    });
    expect(signIn({ clientSecret: 'wrong' })).toMatchObject({ code: 'AADSTS7000215' });
    expect(signIn({ scopes: [...SCOPES, 'Mail.Read'] })).toMatchObject({ code: 'AADSTS65001' });
    expect(signIn({ scopes: ['email'] })).toMatchObject({ ok: false });
  });
});

describe('a user who is sent to sign in', () => {
  const authorize = (changed: Record<string, string> = {}, tenant = tenantId) => {
    const query = new URLSearchParams({
      response_type: 'code',
      client_id: app.appId,
      redirect_uri: REDIRECT,
      scope: SCOPES.join(' '),
      state: 'a state',
      login_hint: 'ada@yourdomain.com',
      ...changed,
    });
    return fetch(`https://login.microsoftonline.com/${tenant}/oauth2/v2.0/authorize?${query}`, {
      redirect: 'manual',
    });
  };
  const codeOf = async (answer: Promise<Response>): Promise<string> =>
    new URL((await answer).headers.get('location') ?? '').searchParams.get('code') ?? '';
  const redeem = (code: string, changed: object = {}) =>
    sandbox.cloud.neighbours.directory.redeemCode(
      {
        clientId: app.appId,
        clientSecret: secret.secretText,
        tenantId,
        redirectUri: REDIRECT,
        scopes: SCOPES,
        ...changed,
      },
      code,
    );

  test('comes back with a code that the application redeems once', async () => {
    const answer = await authorize();
    expect(answer.status).toBe(302);
    const location = new URL(answer.headers.get('location') ?? '');
    expect(location.origin + location.pathname).toBe(REDIRECT);
    expect(location.searchParams.get('state')).toBe('a state');
    const code = location.searchParams.get('code') ?? '';
    expect(redeem(code, { clientSecret: 'wrong' })).toMatchObject({ code: 'AADSTS7000215' });
    expect(redeem(code)).toMatchObject({ ok: true, user: { email: 'ada@yourdomain.com', name: 'ada' } });
    expect(redeem(code)).toMatchObject({ code: 'AADSTS54005' });
    expect(redeem('invented')).toMatchObject({ code: 'AADSTS70000' });
  });

  test('has ten minutes', async () => {
    const code = await codeOf(authorize());
    sandbox.pass(600_001);
    expect(redeem(code)).toMatchObject({ code: 'AADSTS70008' });
  });

  test.each([
    ['another redirect URI', { redirect_uri: 'https://elsewhere.yourdomain.com/' }, 400, 'AADSTS50011'],
    ['an unknown application', { client_id: '11111111-1111-4111-8111-111111111111' }, 400, 'AADSTS700016'],
    ['an account of elsewhere', { login_hint: 'eve@example.com' }, 400, 'AADSTS50020'],
    ['no name, for there is no page to ask for one', { login_hint: '' }, 501, 'no sign-in page'],
  ])('is shown an error with %s', async (_, changed, status, text) => {
    const answer = await authorize(changed);
    expect([answer.status, answer.headers.get('location')]).toEqual([status, null]);
    expect(await answer.text()).toContain(text);
  });

  test('is told so in a tenant that does not exist', async () => {
    const answer = await authorize({}, '11111111-1111-4111-8111-111111111111');
    expect(await answer.text()).toContain('AADSTS90002');
  });
});

describe('the token endpoint', () => {
  test('signs an application in with its secret, and says why not by number', async () => {
    const { token: issued } = await token(tenantId, app.appId, secret.secretText);
    expect(
      sandbox.cloud.neighbours.directory.verifyToken(`Bearer ${issued}`, ['https://management.azure.com/']),
    ).toMatchObject({
      ok: true,
      principal: { appId: app.appId, kind: 'service-principal' },
    });
    await expect(token(tenantId, app.appId, 'wrong')).rejects.toThrow('AADSTS7000215');
    await expect(token(tenantId, '11111111-1111-4111-8111-111111111111', 'x')).rejects.toThrow(
      'AADSTS700016',
    );
    await expect(token('11111111-1111-4111-8111-111111111111', app.appId, 'x')).rejects.toThrow(
      /AADSTS90002|endpoints_resolution_error/,
    );
  });

  test('refuses tokens that are forged, for others, or out of date', async () => {
    const { directory } = sandbox.cloud.neighbours;
    const { accessToken } = directory.issueToken(
      sandbox.cloud.world.settings.operator.principalId,
      'https://vault.azure.net',
    );
    const verify = (text: string | null, audience = 'https://vault.azure.net') =>
      directory.verifyToken(text, [audience]);
    expect(verify(null)).toMatchObject({ code: 'AuthenticationFailed' });
    expect(verify(`Bearer ${accessToken}`)).toMatchObject({ ok: true });
    expect(verify(`Bearer ${accessToken}`, 'https://graph.microsoft.com')).toMatchObject({
      code: 'InvalidAuthenticationTokenAudience',
    });
    const [head, body = '', signature] = accessToken.split('.');
    const claims = { ...JSON.parse(Buffer.from(body, 'base64url').toString()), oid: 'somebody else' };
    const forged = `${head}.${Buffer.from(JSON.stringify(claims)).toString('base64url')}.${signature}`;
    expect(verify(`Bearer ${forged}`)).toMatchObject({ code: 'InvalidAuthenticationToken' });
    sandbox.pass(3_600_000);
    expect(verify(`Bearer ${accessToken}`)).toMatchObject({ code: 'ExpiredAuthenticationToken' });
  });

  test('no longer takes a secret after its end', async () => {
    sandbox.pass(2 * 366 * 86_400_000);
    await expect(token(tenantId, app.appId, secret.secretText)).rejects.toThrow('AADSTS7000222');
    expect(signIn()).toMatchObject({ code: 'AADSTS7000222' });
  });
});
