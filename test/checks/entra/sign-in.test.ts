/** What a refused token request says about the client secret, and what it does not. */
import { describe, expect, test } from 'vitest';
import { clientSecretCheck } from '../../../src/checks/entra/sign-in.ts';
import type { Clients } from '../../../src/clients/clients.ts';
import { toFailure } from '../../../src/clients/cloud-failure.ts';
import { aRound, aSecret, aVault, secretsOf } from '../a-round.ts';

const graph = (() => ({
  pathUnchecked: () => ({ get: async () => ({ status: '200', body: { passwordCredentials: [] } }) }),
})) as unknown as Clients['graph'];

const refusedWith = (code: string) =>
  clientSecretCheck.run(
    aRound({
      clients: {
        graph,
        secrets: secretsOf(aSecret('openwebui-client-secret', 'a-value')),
        login: async () => ({ isAccepted: false, code }),
      },
      known: {
        vault: aVault,
        'app registration': { id: 'object', appId: 'app' },
        'service principal': { id: 'principal' },
      },
    }),
  );

describe('a refused sign-in of the application', () => {
  test.each(['AADSTS7000215', 'AADSTS7000222'])('with %s is the fault of the secret', async (code) => {
    expect(await refusedWith(code)).toMatchObject([
      {
        severity: 'error',
        breaks: expect.stringContaining('Nobody can sign in'),
        repair: 'POST /api/deployments/chat/repair',
      },
    ]);
  });

  test.each(['AADSTS50196', 'AADSTS90033'])('with %s passes, and says nothing', async (code) => {
    const failure = toFailure(await refusedWith(code).catch((error: unknown) => error));
    expect(failure).toMatchObject({ kind: 'retryable', code });
  });

  test('by a policy for workload identities is no outage: people do not sign in by it', async () => {
    const [finding, ...others] = await refusedWith('AADSTS53003');
    expect(others).toEqual([]);
    expect(finding).toMatchObject({
      id: 'application-refused',
      severity: 'warning',
      what: 'A conditional access policy keeps the application itself from signing in.',
      remedy: expect.stringContaining('workload identities'),
    });
    expect(finding?.breaks).not.toContain('Nobody');
    expect(finding).not.toHaveProperty('repair');
  });

  test('with a code that nobody knows is no outage, either', async () => {
    const [finding] = await refusedWith('AADSTS12345');
    expect(finding).toMatchObject({ id: 'application-refused', severity: 'warning' });
    expect(finding?.breaks).not.toContain('Nobody');
  });
});
