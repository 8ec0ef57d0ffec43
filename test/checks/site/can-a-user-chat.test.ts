/** Of the chain that a chat goes through: what is asked, and which link is found. */
import { afterEach, describe, expect, test, vi } from 'vitest';
import type { CheckScope } from '../../../src/checks/check.ts';
import { canAUserChat } from '../../../src/checks/site/can-a-user-chat.ts';
import { toFailure } from '../../../src/clients/cloud-failure.ts';
import { type KubernetesApi, KubernetesError } from '../../../src/clients/kubernetes-api.ts';
import type { SiteAnswer } from '../../../src/clients/site.ts';
import { aRound } from '../a-round.ts';
import { foundBefore } from '../found-before.ts';
import { anInside, gone, type Reply, silence } from './an-inside.ts';

afterEach(() => {
  vi.useRealTimers();
});

const served: SiteAnswer = { isServed: true, said: 'HTTP 200' };
const walk = (
  api: KubernetesApi,
  site: Promise<SiteAnswer> = Promise.resolve(served),
  fields: Partial<CheckScope> = {},
) =>
  canAUserChat.run({ ...aRound({ clients: { kubernetes: async () => api, site: () => site } }), ...fields });

/** Pods by their numbers, which do not get at the database. */
const brokenPods =
  (...numbers: readonly number[]): Reply =>
  ({ whom, path }) =>
    path === '/health/db' && numbers.some((number) => whom === `open-webui-${number}:8080`)
      ? { status: 500, body: { status: false } }
      : undefined;

describe('the database of Open WebUI', () => {
  test('is asked for at each ready pod, and at no Service that would choose one', async () => {
    const api = anInside({ pods: 3 });
    expect(await walk(api)).toEqual([]);
    const asked = api.asked.filter(({ path }) => path === '/health/db').map(({ whom }) => whom);
    expect(asked.toSorted()).toEqual(['open-webui-0:8080', 'open-webui-1:8080', 'open-webui-2:8080']);
  });

  test('is found broken for a share of the pods, in the same words whichever they are', async () => {
    const found = await walk(anInside({ pods: 3, reply: brokenPods(0, 2) }));
    expect(found).toMatchObject([
      {
        id: 'chain-broken-at-database',
        severity: 'error',
        what: 'Some pods of Open WebUI do not get at their database.',
        breaks: 'Users whose requests come to these pods cannot chat.',
      },
    ]);
    expect(found[0]?.evidence).toMatch(/^2 of 3 pods: \/health\/db answers HTTP 500; before it answered: /);
    expect(await walk(anInside({ pods: 3, reply: brokenPods(1, 2) }))).toEqual(found);
  });

  test('is found broken for all of them without a count', async () => {
    const [finding] = await walk(anInside({ pods: 3, reply: brokenPods(0, 1, 2) }));
    expect(finding?.evidence).toMatch(/^\/health\/db answers HTTP 500;/);
    expect(finding?.breaks).toBe('Users cannot chat.');
  });

  test('is found broken also where a log cannot be read, with the words of the pods that have some', async () => {
    const log: KubernetesApi['log'] = async ({ name }) => {
      if (name === 'open-webui-1') return 'FATAL: password authentication failed for user "openwebui"';
      throw new KubernetesError(500, 'InternalError', 'error dialing backend: No agent available');
    };
    const reply = brokenPods(0, 1);
    expect(await walk(anInside({ pods: 2, reply, log }))).toMatchObject([
      { id: 'chain-broken-at-database', resource: 'azure/postgres-connection-string' },
    ]);
    expect(await walk(anInside({ pods: 1, reply, log }))).toMatchObject([
      { id: 'chain-broken-at-database', what: 'Open WebUI does not get at its database.' },
    ]);
  });

  test('is found broken in time also where a node is silent about a log', async () => {
    vi.useFakeTimers();
    const found = walk(anInside({ reply: brokenPods(0), log: () => new Promise(() => undefined) }));
    await vi.advanceTimersByTimeAsync(5_000);
    const told = await Promise.race([found, Promise.resolve('nothing was found')]);
    expect(told).toMatchObject([{ id: 'chain-broken-at-database' }]);
  });

  test('is not known to be broken where pods cannot be listed', async () => {
    const refused = new KubernetesError(500, 'InternalError', 'etcdserver: no leader');
    const api = anInside({ reply: brokenPods(0) });
    const list: KubernetesApi['list'] = async (what, selector) => {
      if (what.kind === 'Pod' && selector?.labels === 'app=open-webui') throw refused;
      return api.list(what, selector);
    };
    await expect(walk({ ...api, list })).rejects.toBe(refused);
  });

  test('is not broken because a pod has gone in the meantime', async () => {
    const reply: Reply = ({ whom }) => (whom === 'open-webui-1:8080' ? gone() : undefined);
    expect(await walk(anInside({ pods: 3, reply }))).toEqual([]);
  });
});

describe('the time that it takes', () => {
  test('is not that of all links together: nothing waits for the site', async () => {
    const { promise, resolve } = Promise.withResolvers<SiteAnswer>();
    const api = anInside();
    const found = walk(api, promise);
    await vi.waitFor(() => {
      const paths = api.asked.map(({ path }) => path);
      expect(paths).toEqual(expect.arrayContaining(['/health', '/health/db', '/api/tags']));
    });
    resolve(served);
    expect(await found).toEqual([]);
  });

  test('is less than a check has, also where the site and then the page inside are silent', async () => {
    vi.useFakeTimers();
    const late = new Promise<SiteAnswer>((resolve) => {
      setTimeout(resolve, 10_000, { isServed: false, said: 'no answer (TimeoutError)' });
    });
    const found = walk(anInside({ reply: ({ path }) => (path === '/' ? silence() : undefined) }), late);
    await vi.advanceTimersByTimeAsync(19_000);
    const told = await Promise.race([found, Promise.resolve('nothing was found')]);
    expect(told).toMatchObject([{ id: 'chain-broken-at-open-webui' }]);
  });
});

describe('a site that Cloudflare guards by a challenge', () => {
  const challenged: SiteAnswer = { isServed: false, said: 'HTTP 403', isChallenged: true };

  /** What is found, and what keeps it from being known. */
  const look = async (api: KubernetesApi, before?: string) => {
    const found = { severity: 'error', since: '2026-11-24T11:00:00.000Z' } as const;
    const fields = before === undefined ? {} : { foundBefore: foundBefore({ ...found, id: before }) };
    try {
      return { found: await walk(api, Promise.resolve(challenged), fields) };
    } catch (error) {
      return { unknown: toFailure(error) };
    }
  };
  const unseen = {
    unknown: {
      code: 'SiteChallenged',
      message: expect.stringMatching(
        /cannot be seen\. Let the outbound address of the control plane through/,
      ),
    },
  };

  test('is neither broken nor known to serve, when all links inside the cluster answer', async () => {
    const api = anInside();
    const { unknown } = await look(api);
    expect({ unknown }).toMatchObject(unseen);
    // What a check says of itself is cut at 400 characters.
    expect(`${unknown?.code}: ${unknown?.message}`.length).toBeLessThanOrEqual(400);
    // The page that cannot be seen from outside is asked for inside.
    expect(api.asked).toContainEqual({ whom: 'open-webui', method: 'GET', path: '/' });
  });

  test('is not known to be well again when it was down, whatever is behind it', async () => {
    expect(await look(anInside(), 'chain-broken-at-site')).toMatchObject(unseen);
    expect(await look(anInside({ reply: brokenPods(0) }), 'chain-broken-at-site')).toMatchObject(unseen);
  });

  test.each(['site-name', 'connector', 'service', 'open-webui', 'database', 'ollama', 'model'])(
    'lets it be seen that the link %s is well again, and is no mere news then',
    async (link) => {
      expect(await look(anInside(), `chain-broken-at-${link}`)).toMatchObject({
        found: [{ id: 'site-challenged', resource: 'cloudflare/dns-record', severity: 'warning' }],
      });
    },
  );

  test('goes on being told of as it was', async () => {
    expect(await look(anInside(), 'site-challenged')).toMatchObject(unseen);
  });

  test('is broken where a link inside the cluster is', async () => {
    const found = await walk(anInside({ reply: brokenPods(0) }), Promise.resolve(challenged));
    expect(found.map(({ id }) => id)).toEqual(['chain-broken-at-database']);
  });
});
