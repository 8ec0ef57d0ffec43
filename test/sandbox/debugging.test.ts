/** Looking into a running deployment by hand, as the README shows it: debug pods for a while, and logs. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { kubectl } from '../kubectl.ts';
import { callsSince, isMutation, type Sample, startSample } from './sample.ts';

const run = promisify(execFile);

describe('looking into a deployment by hand', () => {
  let sample: Sample;
  beforeAll(async () => {
    sample = await startSample({ speed: 120 });
    expect((await sample.ask()).failure).toBeUndefined();
  }, 180_000);
  afterAll(async () => {
    await sample?.stop();
  });

  const call: Sample['call'] = (...given) => sample.call(...given);
  const until = async (operation: { readonly id: string }) => {
    let seen: { state: string; failure?: unknown } = { state: '' };
    await expect
      .poll(
        async () => {
          seen = await sample.api.operation(operation.id);
          return seen.state;
        },
        { timeout: 60_000 },
      )
      .toMatch(/succeeded|failed/);
    return seen;
  };
  const pods = async (): Promise<string[]> => {
    const args = ['--kubeconfig', sample.sandbox.endpoints.kubeconfig, '-n', 'open-webui', 'get', 'pods'];
    const { stdout } = await run(kubectl(), [...args, '-o', 'name']);
    return stdout.split('\n').filter((name) => name.includes('/debug-'));
  };

  test('psql and netshoot come when asked for, each by an operation', async () => {
    for (const kind of ['psql', 'netshoot']) {
      const { status, body } = await call('POST', 'debug-pods', { kind, minutes: 60 });
      expect(status).toBe(202);
      expect(await until(body.operation)).toMatchObject({ state: 'succeeded', kind: 'maintenance' });
    }
    expect(await pods()).toEqual(['pod/debug-netshoot', 'pod/debug-psql']);
  }, 120_000);

  test('one goes when it is sent away, the other when its time is up, and then nothing is written', async () => {
    const { body } = await call('DELETE', 'debug-pods/netshoot');
    expect((await until(body.operation)).state).toBe('succeeded');
    expect(await pods()).toEqual(['pod/debug-psql']);
    await expect.poll(pods, { timeout: 60_000 }).toEqual([]);
    expect((await call('DELETE', 'debug-pods/netshoot')).status).toBe(404);
    const { next } = await callsSince(sample, 0);
    const again = await sample.ask();
    expect(again.state).toBe('succeeded');
    expect((await callsSince(sample, next)).calls.filter(isMutation)).toEqual([]);
  }, 120_000);

  test('logs are the end of what each pod has written', async () => {
    const { status, body } = await call('GET', 'logs/open-webui?tail=5');
    expect(status).toBe(200);
    expect(body.pods).toHaveLength(3);
    for (const { lines } of body.pods) {
      expect(lines.length).toBeGreaterThan(0);
      expect(lines.length).toBeLessThanOrEqual(5);
      expect(lines[0]).toMatch(/^\d{4}-\d\d-\d\dT/);
    }
    expect((await call('GET', 'logs/open-webui?previous=true')).body.pods[0].why).toContain('previous');
  });

  test('logs of the operators are a call, too, wherever they are installed', async () => {
    const linesOf = async (operator: string): Promise<string> => {
      const { status, body } = await call('GET', `logs/${operator}`);
      expect(status).toBe(200);
      return body.pods.flatMap(({ lines }: { lines: string[] }) => lines).join('\n');
    };
    expect(await linesOf('external-secrets')).toContain('starting manager');
    expect(await linesOf('reloader')).toContain('Starting Reloader');
    const { status, body } = await call('GET', 'logs/coredns');
    expect(status).toBe(404);
    expect(body.detail).toBe(
      'There are logs of open-webui, ollama, cloudflared, redis, external-secrets, reloader.',
    );
  });

  test.each([
    { method: 'POST', path: 'debug-pods', body: { kind: 'bash' }, field: 'kind' },
    { method: 'POST', path: 'debug-pods', body: { kind: 'psql', minutes: 1000 }, field: 'minutes' },
    { method: 'GET', path: 'logs/open-webui?tail=0', body: undefined, field: 'tail' },
  ])('what makes no sense is refused by naming $field', async ({ method, path, body, field }) => {
    const answer = await call(method, path, body);
    expect(answer.status).toBe(400);
    expect(answer.body.errors).toMatchObject([{ field }]);
  });
});
