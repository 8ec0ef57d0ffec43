/** Of the chain that a chat goes through: what is asked, and which link is found. */
import { afterEach, describe, expect, test, vi } from 'vitest';
import { canAUserChat } from '../../../src/checks/site/can-a-user-chat.ts';
import type { KubernetesApi } from '../../../src/clients/kubernetes-api.ts';
import type { SiteAnswer } from '../../../src/clients/site.ts';
import { aRound } from '../a-round.ts';
import { anInside, gone, type Reply, silence } from './an-inside.ts';

afterEach(() => {
  vi.useRealTimers();
});

const served: SiteAnswer = { isServed: true, said: 'HTTP 200' };
const walk = (api: KubernetesApi, site: Promise<SiteAnswer> = Promise.resolve(served)) =>
  canAUserChat.run(aRound({ clients: { kubernetes: async () => api, site: () => site } }));

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

  test('is neither broken nor seen to serve, when all links inside the cluster answer', async () => {
    const api = anInside();
    expect(await walk(api, Promise.resolve(challenged))).toMatchObject([
      { id: 'site-challenged', resource: 'cloudflare/dns-record', severity: 'info' },
    ]);
    // The page that cannot be seen from outside is asked for inside.
    expect(api.asked).toContainEqual({ whom: 'open-webui', method: 'GET', path: '/' });
  });

  test('is broken where a link inside the cluster is', async () => {
    const found = await walk(anInside({ reply: brokenPods(0) }), Promise.resolve(challenged));
    expect(found.map(({ id }) => id)).toEqual(['chain-broken-at-database']);
  });
});
