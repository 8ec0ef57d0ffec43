/** Who changed something in the directory, by the audit log of the simulated tenant. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { CONTROL_PLANE_GRAPH_PERMISSIONS } from '../../sandbox/cloud/bootstrap.ts';
import { TenantObjects } from '../../sandbox/cloud/graph/tenant-objects.ts';
import type { Clients } from '../../src/clients/clients.ts';
import { graphDone, graphPath } from '../../src/clients/graph.ts';
import { startTestCloud, type TestCloud } from '../cloud/start-cloud.ts';
import { clientsOf } from '../resources/a-stack.ts';

const MINUTE = 60_000;

let sandbox: TestCloud;
let clients: Clients;
let since: Date;
beforeAll(async () => {
  sandbox = await startTestCloud();
  clients = clientsOf(sandbox.environment, sandbox.cloud.world);
});
afterAll(() => sandbox.stop());
beforeEach(() => {
  since = new Date(sandbox.cloud.world.clock.now());
});

const operator = (): string => sandbox.cloud.world.settings.operator.userPrincipalName;
const writes = (id: string, from = since) => clients.directoryAudit().writes(id, from);
const callers = async (id: string) => (await writes(id)).map(({ caller }) => caller);
const wait = (minutes = 6): void => sandbox.pass(minutes * MINUTE);

async function asOperator(
  method: string,
  path: string,
  body: object,
): Promise<{ id: string; appId: string }> {
  const { token } = await sandbox.operator.getToken('https://graph.microsoft.com/.default');
  const answer = await fetch(`https://graph.microsoft.com/v1.0${path}`, {
    method,
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  expect(answer.ok).toBe(true);
  return answer.status === 204 ? { id: '', appId: '' } : ((await answer.json()) as never);
}

/** An application that the control plane has made, and that is known everywhere. */
async function ourApplication(displayName: string): Promise<{ id: string; appId: string }> {
  const answer = await graphDone(graphPath(clients.graph())`/applications`.post({ body: { displayName } }));
  sandbox.pass(MINUTE);
  return answer.body as never;
}

describe('who changed something in the directory', () => {
  test('is told some minutes later, and never the control plane itself', async () => {
    const { id } = await ourApplication('one');
    await asOperator('PATCH', `/applications/${id}`, { displayName: 'other' });
    const done = new Date(sandbox.cloud.world.clock.now()).toISOString();
    expect(await writes(id)).toEqual([]);
    wait();
    const [told, ...more] = await writes(id);
    expect(more).toEqual([]);
    expect(told?.caller).toBe(operator());
    expect(told?.at && told.at >= since.toISOString() && told.at <= done).toBe(true);
  });

  test('is who added a password, and not who changed another application, nor who did so before', async () => {
    const [one, two] = [await ourApplication('with password'), await ourApplication('without')];
    await asOperator('POST', `/applications/${one.id}/addPassword`, {});
    wait();
    expect(await callers(one.id)).toEqual([operator()]);
    expect(await callers(two.id)).toEqual([]);
    expect(await writes(one.id, new Date(sandbox.cloud.world.clock.now()))).toEqual([]);
  });

  test('is who took consent back, by whom it had been given to', async () => {
    const { appId } = await ourApplication('consented');
    const principal = await asOperator('POST', '/servicePrincipals', { appId });
    sandbox.pass(MINUTE);
    const { id: graph } = await asOperatorReads(
      `/servicePrincipals(appId='00000003-0000-0000-c000-000000000000')`,
    );
    const grant = {
      clientId: principal.id,
      consentType: 'AllPrincipals',
      resourceId: graph,
      scope: 'openid',
    };
    const answer = await graphDone(graphPath(clients.graph())`/oauth2PermissionGrants`.post({ body: grant }));
    sandbox.pass(MINUTE);
    const from = new Date(sandbox.cloud.world.clock.now());
    await asOperator('PATCH', `/oauth2PermissionGrants/${(answer.body as { id: string }).id}`, {
      scope: 'email',
    });
    wait();
    expect(await writes(principal.id, from)).toMatchObject([{ caller: operator() }]);
  });

  test('is an application by its name', async () => {
    const { id } = await ourApplication('changed by an application');
    const objects = new TenantObjects(sandbox.cloud.world);
    const pipeline = sandbox.cloud.neighbours.directory.addManagedIdentity('id-pipeline');
    const known = objects.servicePrincipals.get(pipeline.id);
    if (known) {
      objects.servicePrincipals.set(pipeline.id, {
        ...known,
        graphPermissions: ['Application.ReadWrite.All'],
      });
    }
    sandbox.pass(MINUTE);
    const { accessToken } = sandbox.cloud.neighbours.directory.issueToken(
      pipeline.id,
      'https://graph.microsoft.com',
    );
    const answer = await fetch(`https://graph.microsoft.com/v1.0/applications/${id}`, {
      method: 'PATCH',
      headers: { authorization: `Bearer ${accessToken}`, 'content-type': 'application/json' },
      body: JSON.stringify({ displayName: 'by a pipeline' }),
    });
    expect(answer.status).toBe(204);
    wait();
    expect(await callers(id)).toEqual(['id-pipeline']);
  });

  test.each(['AuditLog.Read.All', 'Directory.Read.All'])('is nobody without %s', async (missing) => {
    const { id } = await ourApplication(`without ${missing}`);
    await asOperator('PATCH', `/applications/${id}`, { displayName: 'unread' });
    wait();
    const objects = new TenantObjects(sandbox.cloud.world);
    const ours = objects.servicePrincipals.get(sandbox.cloud.world.settings.controlPlane.principalId);
    if (!ours) throw new Error('the control plane has no identity');
    const fewer = CONTROL_PLANE_GRAPH_PERMISSIONS.filter((name) => name !== missing);
    objects.servicePrincipals.set(ours.id, { ...ours, graphPermissions: fewer });
    expect(await writes(id)).toEqual([]);
    objects.servicePrincipals.set(ours.id, ours);
    expect(await callers(id)).toEqual([operator()]);
  });

  test('is a failure where Graph does not answer', async () => {
    sandbox.cloud.world.faults.replace([
      { id: 'down', service: 'graph', fault: { kind: 'answer', status: 503 } },
    ]);
    await expect(writes('x')).rejects.toMatchObject({ statusCode: 503 });
    sandbox.cloud.world.faults.replace([]);
  });
});

async function asOperatorReads(path: string): Promise<{ id: string }> {
  const { token } = await sandbox.operator.getToken('https://graph.microsoft.com/.default');
  const answer = await fetch(`https://graph.microsoft.com/v1.0${path}`, {
    headers: { authorization: `Bearer ${token}` },
  });
  return (await answer.json()) as { id: string };
}
