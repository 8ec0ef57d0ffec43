import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { z } from 'zod';
import { TenantObjects } from '../../../sandbox/cloud/graph/tenant-objects.ts';
import type { Clients } from '../../../src/clients/clients.ts';
import { graphBody, graphDone, graphPath } from '../../../src/clients/graph.ts';
import { markOf } from '../../../src/naming.ts';
import { adminConsent } from '../../../src/resources/entra/admin-consent.ts';
import { application } from '../../../src/resources/entra/application.ts';
import { clientSecret } from '../../../src/resources/entra/client-secret.ts';
import { servicePrincipal } from '../../../src/resources/entra/service-principal.ts';
import type { Scope } from '../../../src/resources/scope.ts';
import { startTestCloud, type TestCloud } from '../../cloud/start-cloud.ts';
import { allowVault, clientsOf, position, scopeOf, turn, untilReady, writesSince } from '../a-stack.ts';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const VAULT = 'kv-chat.vault.azure.net';
const vault = { vaultUrl: `https://${VAULT}/` };

let sandbox: TestCloud;
let clients: Clients;
const scope = (): Scope => scopeOf(clients, sandbox.cloud.world);
/** SDKs keep tokens by the process' own date, so that goes along. */
const pass = (milliseconds: number): void => {
  sandbox.pass(milliseconds);
  vi.setSystemTime(sandbox.cloud.world.clock.now());
};

beforeAll(async () => {
  vi.useFakeTimers({ toFake: ['Date'] });
  sandbox = await startTestCloud();
  allowVault(sandbox, VAULT);
  clients = clientsOf(sandbox.environment, sandbox.cloud.world);
  grantTheLeast();
});
afterAll(async () => {
  vi.useRealTimers();
  await sandbox.stop();
});

/** What the README says that everything here needs; to read the audit log takes more, which would hide what is missing. */
function grantTheLeast(): void {
  const { servicePrincipals } = new TenantObjects(sandbox.cloud.world);
  const ours = servicePrincipals.get(sandbox.cloud.world.settings.controlPlane.principalId);
  if (!ours) throw new Error('the control plane has no identity');
  const graphPermissions = ['Application.ReadWrite.OwnedBy', 'DelegatedPermissionGrant.ReadWrite.All'];
  servicePrincipals.set(ours.id, { ...ours, graphPermissions });
}

const applicationsInTenant = async (): Promise<readonly { id: string; displayName: string }[]> => {
  const schema = z.object({ value: z.array(z.object({ id: z.string(), displayName: z.string() })) });
  return (await graphBody(schema, graphPath(clients.graph())`/applications`.get())).value;
};
const credentials = async (
  objectId: string,
): Promise<readonly { keyId: string; displayName: string | null }[]> => {
  const schema = z.object({
    passwordCredentials: z.array(z.object({ keyId: z.string(), displayName: z.string().nullable() })),
  });
  return (await graphBody(schema, graphPath(clients.graph())`/applications/${objectId}`.get()))
    .passwordCredentials;
};

/** What the client secret needs. */
const signedUp = async (here: () => Scope) => {
  const app = await untilReady(application, here, {}, pass);
  const principal = await untilReady(servicePrincipal, here, { application: app }, pass);
  return { application: app, servicePrincipal: principal, vault };
};
const stored = async () => clients.secrets(vault.vaultUrl).getSecret('openwebui-client-secret');
const versions = async (): Promise<number> => {
  let count = 0;
  const secrets = clients.secrets(vault.vaultUrl);
  for await (const _ of secrets.listPropertiesOfSecretVersions('openwebui-client-secret')) count += 1;
  return count;
};
const canLogIn = async (clientId: string, clientSecret: string): Promise<boolean> => {
  const { tenantId } = sandbox.cloud.world.settings;
  return (await clients.login({ tenantId, clientId, clientSecret })).isAccepted;
};

describe('entra', () => {
  test('everything becomes ready, and another look writes nothing', async () => {
    const app = await untilReady(application, scope, {}, pass);
    const principal = await untilReady(servicePrincipal, scope, { application: app }, pass);
    const withPrincipal = { application: app, servicePrincipal: principal };
    await untilReady(adminConsent, scope, withPrincipal, pass);
    const deps = { ...withPrincipal, vault };
    const secret = await untilReady(clientSecret, scope, deps, pass);
    expect(secret.secret).toMatchObject({ name: 'openwebui-client-secret', vaultUrl: vault.vaultUrl });
    expect(JSON.stringify(secret)).not.toContain(
      (await clients.secrets(vault.vaultUrl).getSecret('openwebui-client-secret')).value,
    );

    const since = position(sandbox.cloud.world);
    expect(await turn(application, scope(), {})).toEqual({ state: 'ready', outputs: app });
    expect(await turn(servicePrincipal, scope(), { application: app })).toMatchObject({ state: 'ready' });
    expect(await turn(adminConsent, scope(), withPrincipal)).toMatchObject({ state: 'ready' });
    expect(await turn(clientSecret, scope(), deps)).toEqual({
      state: 'ready',
      outputs: secret,
    });
    expect(writesSince(sandbox.cloud.world, since)).toEqual([]);
  });

  test('people can sign in with what is in the vault', async () => {
    const { value: secret = '' } = await clients.secrets(vault.vaultUrl).getSecret('openwebui-client-secret');
    const { clientId } = await untilReady(application, scope, {}, pass);
    const { tenantId } = sandbox.cloud.world.settings;
    const answer = await fetch(`https://login.microsoftonline.com/${tenantId}/oauth2/v2.0/token`, {
      method: 'POST',
      body: new URLSearchParams({
        grant_type: 'client_credentials',
        client_id: clientId,
        client_secret: secret,
        scope: 'https://graph.microsoft.com/.default',
      }),
    });
    expect(await answer.json()).toMatchObject({ token_type: 'Bearer' });
  });

  test('a lost reply to the creation does not make a second application', async () => {
    const other = (): Scope => scopeOf(clients, sandbox.cloud.world, {}, 'twice');
    sandbox.cloud.world.faults.replace([
      { id: 'lost', service: 'graph', method: 'PATCH', times: 2, fault: { kind: 'cut-after' } },
    ]);
    const before = (await applicationsInTenant()).length;
    await untilReady(application, other, {}, pass);
    sandbox.cloud.world.faults.replace([]);
    pass(HOUR);
    expect(await applicationsInTenant()).toHaveLength(before + 1);
  });

  describe.each([
    ['429', { kind: 'answer', status: 429, retryAfterSeconds: 1 }],
    ['500', { kind: 'answer', status: 500 }],
    ['cut before it was heard', { kind: 'cut-before' }],
    ['cut after it was heard', { kind: 'cut-after' }],
    ['cut short', { kind: 'truncate' }],
  ])('when one call fails (%s)', (name, fault) => {
    test.each([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11])(
      'number %i, it converges all the same',
      async (skip) => {
        const deployment = `f${skip}-${name.replaceAll(/[^a-z0-9]/g, '').slice(0, 14)}`;
        const here = (): Scope => scopeOf(clients, sandbox.cloud.world, {}, deployment);
        const before = (await applicationsInTenant()).length;
        sandbox.cloud.world.faults.replace([{ id: 'one', service: 'graph', skip, times: 1, fault }]);
        const app = await untilReady(application, here, {}, pass);
        const principal = await untilReady(servicePrincipal, here, { application: app }, pass);
        await untilReady(adminConsent, here, { application: app, servicePrincipal: principal }, pass);
        const deps = { application: app, servicePrincipal: principal, vault };
        await untilReady(clientSecret, here, deps, pass);
        sandbox.cloud.world.faults.replace([]);
        pass(HOUR);
        expect(await applicationsInTenant()).toHaveLength(before + 1);
      },
    );
  });

  test('not being allowed to look is not absence', async () => {
    const forbidden = { kind: 'answer', status: 403 };
    sandbox.cloud.world.faults.replace([{ id: 'no', service: 'graph', method: 'GET', fault: forbidden }]);
    const app = { clientId: 'x', objectId: 'y' };
    await expect(application.observe(scope(), {})).rejects.toThrow();
    await expect(servicePrincipal.observe(scope(), { application: app })).rejects.toThrow();
    const deps = { application: app, servicePrincipal: { id: 'z' }, vault };
    await expect(clientSecret.observe(scope(), deps)).rejects.toThrow();
    sandbox.cloud.world.faults.replace([]);
  });

  test('what somebody changed is put back, and what is beside it stays', async () => {
    const app = await untilReady(application, scope, {}, pass);
    await graphDone(
      graphPath(clients.graph())`/applications/${app.objectId}`.patch({
        body: {
          notes: 'ask Ann',
          web: { redirectUris: ['https://elsewhere.example.com/callback'] },
          tags: [markOf('chat'), 'HideApp'],
        },
      }),
    );
    pass(HOUR);
    const seen = await application.observe(scope(), {});
    expect(seen).toMatchObject({ state: 'drifted', differences: [{ path: 'web.redirectUris' }] });
    await untilReady(application, scope, {}, pass);
    const schema = z.object({ notes: z.string(), tags: z.array(z.string()) });
    const found = await graphBody(schema, graphPath(clients.graph())`/applications/${app.objectId}`.get());
    expect(found).toEqual({ notes: 'ask Ann', tags: [markOf('chat'), 'HideApp'] });
  });

  test("an application of that name without our tag is somebody else's", async () => {
    const other = (): Scope => scopeOf(clients, sandbox.cloud.world, {}, 'foreign');
    await graphDone(
      graphPath(clients.graph())`/applications(uniqueName='${other().names.application}')`.patch({
        headers: { Prefer: 'create-if-missing' },
        body: { displayName: 'theirs' },
      }),
    );
    pass(HOUR);
    const since = position(sandbox.cloud.world);
    expect(await turn(application, other(), {})).toMatchObject({ state: 'foreign' });
    await application.remove(other(), {}, { state: 'foreign', reason: '' });
    expect(writesSince(sandbox.cloud.world, since)).toEqual([]);
  });

  test('a credential that did not reach the vault is replaced, and removed when the next has been in use', async () => {
    const deps = await signedUp(scope);
    const { application: app } = deps;
    const { keyId } = await untilReady(clientSecret, scope, deps, pass);
    sandbox.cloud.world.faults.replace([
      { id: 'vault', service: 'key-vault', method: 'PUT', times: 1, fault: { kind: 'answer', status: 503 } },
    ]);
    // Somebody deletes the credential, and the vault is down when its replacement should be stored.
    await graphDone(
      graphPath(clients.graph())`/applications/${app.objectId}/removePassword`.post({ body: { keyId } }),
    );
    pass(HOUR);
    await expect(clientSecret.ensure(scope(), deps, { state: 'absent' })).rejects.toThrow();
    pass(HOUR);
    const orphan = (await credentials(app.objectId))[0]?.keyId;
    const replaced = await untilReady(clientSecret, scope, deps, pass);
    expect(replaced.keyId).not.toBe(orphan);
    expect((await credentials(app.objectId)).map((one) => one.keyId)).toContain(orphan);

    pass(3 * HOUR);
    await untilReady(clientSecret, scope, deps, pass);
    pass(HOUR);
    expect((await credentials(app.objectId)).map((one) => one.keyId)).toEqual([replaced.keyId]);
  });

  test('is replaced some weeks before its end, and the old one stays while pods may use it', async () => {
    const deps = await signedUp(scope);
    const { application: app } = deps;
    const { keyId, expiresAt } = await untilReady(clientSecret, scope, deps, pass);
    pass(Date.parse(expiresAt) - sandbox.cloud.world.clock.now() - 29 * DAY);
    expect(await clientSecret.observe(scope(), deps)).toMatchObject({
      differences: [{ path: 'openwebui-client-secret.expiresOn', isDue: true }],
    });
    const next = await untilReady(clientSecret, scope, deps, pass);
    expect(next.keyId).not.toBe(keyId);
    expect(Date.parse(next.expiresAt)).toBeGreaterThan(Date.parse(expiresAt) + 365 * DAY);
    expect((await credentials(app.objectId)).map((one) => one.keyId)).toEqual(
      expect.arrayContaining([keyId, next.keyId]),
    );
  });

  describe('a rotation that somebody asks for', () => {
    /** Every look of this test knows of the wish. */
    const wishing = (wish: Date) => (): Scope => ({ ...scope(), rotateAfter: { 'client-secret': wish } });
    const wishNow = () => wishing(new Date(sandbox.cloud.world.clock.now() + 7));

    test('adds one that logs in before it is handed on, and revokes the old one after a while', async () => {
      const deps = await signedUp(scope);
      const { clientId, objectId } = deps.application;
      await untilReady(clientSecret, scope, deps, pass);
      pass(3 * HOUR);
      const before = await untilReady(clientSecret, scope, deps, pass);
      const { value: old = '' } = await stored();
      const count = await versions();
      const wished = wishNow();
      expect(await clientSecret.observe(wished(), deps)).toMatchObject({
        differences: [{ path: 'openwebui-client-secret.version', isDue: true }],
      });
      const first = await turn(clientSecret, wished(), deps);
      expect(first).toMatchObject({ state: 'changing' });
      const after = await untilReady(clientSecret, wished, deps, pass);
      const { value: fresh = '', properties } = await stored();
      expect(after.secret.version).not.toBe(before.secret.version);
      expect(properties.expiresOn?.toISOString()).toBe(after.expiresAt.replace(/\.\d+/, '.000'));
      expect(await canLogIn(clientId, fresh)).toBe(true);
      expect(await canLogIn(clientId, old)).toBe(true);

      const since = position(sandbox.cloud.world);
      pass(HOUR);
      expect(await turn(clientSecret, wished(), deps)).toEqual({ state: 'ready', outputs: after });
      expect(writesSince(sandbox.cloud.world, since)).toEqual([]);
      expect(await canLogIn(clientId, old)).toBe(true);

      pass(2 * HOUR);
      expect(await clientSecret.observe(wished(), deps)).toMatchObject({
        differences: [{ path: 'passwordCredentials', found: [before.keyId], isDue: true }],
      });
      await untilReady(clientSecret, wished, deps, pass);
      pass(HOUR);
      expect(await canLogIn(clientId, old)).toBe(false);
      expect(await canLogIn(clientId, fresh)).toBe(true);
      expect((await credentials(objectId)).map((one) => one.keyId)).toEqual([after.keyId]);
      expect(await versions()).toBe(count + 1);
    });

    test.each([
      ['the new credential is added', { service: 'graph', method: 'POST', path: 'addPassword' }],
      ['it is in the vault', { service: 'key-vault', method: 'PUT' }],
      ['Entra has been asked to let it in', { service: 'entra', path: 'login.*oauth2/v2.0/token' }],
    ])('makes one version although the connection is lost when %s', async (_, call) => {
      const deps = await signedUp(scope);
      await untilReady(clientSecret, scope, deps, pass);
      pass(3 * HOUR);
      await untilReady(clientSecret, scope, deps, pass);
      const count = await versions();
      const wished = wishNow();
      sandbox.cloud.world.faults.replace([{ id: 'lost', ...call, times: 1, fault: { kind: 'cut-after' } }]);
      const after = await untilReady(clientSecret, wished, deps, pass);
      sandbox.cloud.world.faults.replace([]);
      expect(await versions()).toBe(count + 1);
      pass(3 * HOUR);
      await untilReady(clientSecret, wished, deps, pass);
      pass(HOUR);
      expect((await credentials(deps.application.objectId)).map(({ keyId }) => keyId)).toContain(after.keyId);
    });

    test('leaves one that somebody puts there by hand afterwards, and learns which it is', async () => {
      const deps = await signedUp(scope);
      await untilReady(clientSecret, scope, deps, pass);
      const answer = await graphBody(
        z.object({ keyId: z.string(), secretText: z.string() }),
        graphPath(clients.graph())`/applications/${deps.application.objectId}/addPassword`.post({
          body: { passwordCredential: { displayName: 'by hand' } },
        }),
      );
      pass(HOUR);
      const wished = wishNow();
      pass(5_000);
      await clients.secrets(vault.vaultUrl).setSecret('openwebui-client-secret', answer.secretText);
      const count = await versions();
      const since = position(sandbox.cloud.world);
      const taken = await untilReady(clientSecret, wished, deps, pass);
      expect(taken.keyId).toBe(answer.keyId);
      expect((await stored()).properties).toMatchObject({
        expiresOn: new Date(taken.expiresAt.replace(/\.\d+/, '.000')),
        tags: { keyId: answer.keyId },
      });
      expect(await versions()).toBe(count);
      expect(writesSince(sandbox.cloud.world, since)).toEqual([
        expect.stringMatching(/^PATCH \/secrets\/openwebui-client-secret\//),
      ]);
    });
  });

  test('consent that somebody took back is given again, and what they added is kept', async () => {
    const app = await untilReady(application, scope, {}, pass);
    const principal = await untilReady(servicePrincipal, scope, { application: app }, pass);
    const deps = { application: app, servicePrincipal: principal };
    const grantsSchema = z.object({ value: z.array(z.object({ id: z.string(), scope: z.string() })) });
    const grants = async () =>
      (
        await graphBody(
          grantsSchema,
          graphPath(clients.graph())`/oauth2PermissionGrants`.get({
            queryParameters: { $filter: `clientId eq '${principal.id}'` },
          }),
        )
      ).value;
    const [grant] = await grants();
    await graphDone(
      graphPath(clients.graph())`/oauth2PermissionGrants/${grant?.id ?? ''}`.patch({
        body: { scope: 'openid email GroupMember.Read.All' },
      }),
    );
    pass(HOUR);
    await untilReady(adminConsent, scope, deps, pass);
    const [mended] = await grants();
    expect(mended?.scope.split(' ').toSorted()).toEqual(
      ['GroupMember.Read.All', 'User.Read', 'email', 'offline_access', 'openid', 'profile'].toSorted(),
    );
  });

  test('removal takes the application with all that hangs on it, twice without harm', async () => {
    const app = await untilReady(application, scope, {}, pass);
    const ready = { state: 'ready' as const, outputs: app };
    for (let times = 0; times < 2; times += 1) {
      await application.remove(scope(), {}, ready);
      pass(HOUR);
      expect(await application.observe(scope(), {})).toEqual({ state: 'absent' });
    }
    expect((await applicationsInTenant()).map(({ id }) => id)).not.toContain(app.objectId);
  });
});
