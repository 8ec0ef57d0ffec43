/** The live view of reactions, over a control plane's API that is dictated here. */
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Writable } from 'node:stream';
import { afterEach, describe, expect, test } from 'vitest';
import {
  ControlPlane,
  type Operation,
  type ReceivedEvent,
  RefusedError,
  type Step,
} from '../../sandbox/control-plane.ts';
import { watchReactions } from '../../sandbox/reactions.ts';
import { ReactionsView } from '../../sandbox/terminal/reactions.ts';

class Screen extends Writable {
  text = '';
  override _write(chunk: Buffer, _: string, done: () => void): void {
    this.text += chunk.toString();
    done();
  }
  get lines(): string[] {
    return this.text.split('\n').filter((line) => line !== '');
  }
}

const event = (changed: Partial<ReceivedEvent> = {}): ReceivedEvent => ({
  id: 'event-1',
  type: 'Microsoft.KeyVault.SecretNewVersionCreated',
  subject: 'webui-secret-key',
  occurredAt: '2026-11-24T10:00:00.000Z',
  receivedAt: '2026-11-24T10:00:01.000Z',
  what: 'webui-secret-key has a new version',
  outcome: 'pending',
  ...changed,
});
const step = (changed: Partial<Step> = {}): Step => ({
  key: 'kubernetes/external-secrets',
  title: 'External Secrets',
  state: 'waiting',
  did: 'repaired',
  reason: 'the new value has not arrived',
  ...changed,
});
const operation = (changed: Partial<Operation> = {}): Operation => ({
  id: 'op-1',
  deployment: { name: 'open-webui' },
  state: 'running',
  cause: { what: 'the regular look' },
  requestedAt: '2026-11-24T10:00:01.000Z',
  steps: [step()],
  criticalPath: { seconds: 0, steps: [] },
  ...changed,
});
const led = { id: 'op-1', url: 'http://here/api/operations/op-1' };

describe('the live view', () => {
  const open = (): { screen: Screen; view: ReactionsView } => {
    const screen = new Screen();
    return { screen, view: new ReactionsView(screen, () => 60) };
  };

  test('tells of an event once at each stage, until it is proven', () => {
    const { screen, view } = open();
    view.showEvents([]);
    for (let times = 0; times < 2; times += 1) view.showEvents([event()]);
    for (let times = 0; times < 2; times += 1)
      view.showEvents([event({ outcome: 'pending', operation: led })]);
    expect(view.underWay).toEqual(['op-1']);
    for (let times = 0; times < 2; times += 1) view.showOperation(operation());
    view.showOperation(operation({ steps: [step({ state: 'ready' })] }));
    const proven = event({
      outcome: 'acted',
      operation: led,
      provenAt: '2026-11-24T10:01:31.000Z',
      secondsToProof: 90,
    });
    view.showEvents([proven]);
    view.showOperation(
      operation({
        state: 'succeeded',
        finishedAt: '2026-11-24T10:01:31.000Z',
        steps: [step({ state: 'ready' })],
      }),
    );
    expect(screen.lines).toEqual([
      '→ webui-secret-key has a new version  10:00:01',
      '  leads to operation op-1',
      '    ◐ kubernetes/external-secrets pushed; the new value has not arrived',
      '    ✔ kubernetes/external-secrets repaired',
      "✔ webui-secret-key has a new version: proven after 1m30s of the clouds' time, 1500 ms of yours  10:01:31",
      "  operation op-1 succeeded after 1m30s of the clouds' time, 1500 ms of yours",
    ]);
    expect(view.underWay).toEqual([]);
  });

  test('spends one line on what changed nothing, and on what does not matter', () => {
    const { screen, view } = open();
    view.showEvents([]);
    view.showEvents([
      event({ id: 'event-2', outcome: 'ignored', reason: 'it is of another vault' }),
      event({ outcome: 'nothing-differed', operation: led }),
    ]);
    expect(screen.lines).toEqual([
      '· webui-secret-key has a new version: nothing differed  10:00:01',
      '· webui-secret-key has a new version: ignored, it is of another vault  10:00:01',
    ]);
  });

  test('says that several events led to one operation, and why something failed', () => {
    const { screen, view } = open();
    view.showEvents([]);
    const under = { outcome: 'pending', operation: led } as const;
    view.showEvents([
      event({ id: 'event-2', what: 'cf-tunnel-token has a new version', ...under }),
      event(under),
    ]);
    const failure = { code: 'LoginFailed', message: 'the new password does not log in' };
    view.showOperation(operation({ steps: [step({ state: 'failed', failure })] }));
    view.showOperation(operation({ state: 'failed', steps: [step({ state: 'failed', failure })], failure }));
    view.showEvents([event({ outcome: 'failed', operation: led, reason: failure.message })]);
    expect(screen.lines).toEqual([
      '→ webui-secret-key has a new version  10:00:01',
      '  leads to operation op-1',
      '→ cf-tunnel-token has a new version  10:00:01',
      '  joins operation op-1',
      '    ✘ kubernetes/external-secrets failed: the new password does not log in',
      "  operation op-1 failed after 0s of the clouds' time, 0 ms of yours: the new password does not log in",
      '✘ webui-secret-key has a new version: the new password does not log in',
    ]);
  });

  test('tells of an image that failed, and does not call its event proven', () => {
    const { screen, view } = open();
    const [first, second] = ['sha256:1', 'sha256:2'].map((digest) => ({
      ...{ digest, repository: 'open-webui', reason: 'It crashes again and again: exit code 1.' },
    }));
    const of = (...images: (typeof first)[]) => images.filter((image) => image !== undefined);
    view.showQuarantine(of(first));
    view.showEvents([]);
    const pushed = { what: 'the image open-webui:v2 was pushed', version: 'sha256:2', operation: led };
    view.showEvents([event({ ...pushed, outcome: 'pending' })]);
    for (let times = 0; times < 2; times += 1) view.showQuarantine(of(first, second));
    const reason = 'given up, and the last good image runs. It crashes again and again: exit code 1.';
    view.showEvents([event({ ...pushed, outcome: 'failed', reason })]);
    view.showQuarantine(of(second));
    expect(screen.lines).toEqual([
      '→ the image open-webui:v2 was pushed  10:00:01',
      '  leads to operation op-1',
      '    ✘ open-webui@sha256:2 is quarantined: It crashes again and again: exit code 1.',
      '      the last good image is put back, and this one is not tried again',
      '✘ the image open-webui:v2 was pushed: given up, and the last good image runs. It crashes again and again: exit code 1.',
      '    open-webui@sha256:1 may be tried again',
    ]);
  });

  test('lets an operation that no event led to speak only when it does something', () => {
    const { screen, view } = open();
    const quiet = step({ state: 'ready', did: 'nothing' });
    view.showOperation(operation({ id: 'op-2', state: 'succeeded', steps: [quiet] }));
    expect(screen.lines).toEqual([]);
    view.showOperation(operation({ id: 'op-3', steps: [quiet, step({ state: 'ready' })] }));
    expect(screen.lines).toEqual([
      '→ the regular look  10:00:01',
      '  leads to operation op-3',
      '    ✔ kubernetes/external-secrets repaired',
    ]);
  });

  test('does not repeat what happened before it looked', () => {
    const { screen, view } = open();
    view.skip('op-1');
    view.showEvents([event({ outcome: 'acted', operation: led, provenAt: '', secondsToProof: 1 })]);
    view.showOperation(operation({ state: 'succeeded' }));
    expect(screen.lines).toEqual([]);
  });
});

describe('the watch', () => {
  let server: Server | undefined;
  const ending = new AbortController();
  afterEach(() => {
    ending.abort();
    server?.close();
  });

  async function serve(answer: (path: string) => { status: number; body: object } | 'cut') {
    server = createServer((request, response) => {
      const said = answer(`${request.method} ${request.url}`);
      if (said === 'cut') return void request.socket.destroy();
      response.writeHead(said.status, { 'operation-location': 'http://here/api/operations/op-9' });
      response.end(JSON.stringify(said.body));
    });
    await new Promise<void>((resolve) => server?.listen(0, '127.0.0.1', resolve));
    const functions = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    return new ControlPlane({ functions, functionsKey: 'key' });
  }

  test('outlives a host that is away, that refuses, and that does not know events yet', async () => {
    const troubles: ({ status: number; body: object } | 'cut')[] = [
      'cut',
      { status: 503, body: {} },
      { status: 404, body: { title: 'Not found' } },
    ];
    const controlPlane = await serve((path) => {
      const trouble = troubles.shift();
      if (trouble) return trouble;
      if (path.endsWith('/events'))
        return { status: 200, body: { events: [event({ outcome: 'pending', operation: led })] } };
      if (path.includes('/operations/')) return { status: 200, body: operation() };
      return { status: 200, body: { name: 'open-webui', lastOperation: { id: 'op-1', state: 'running' } } };
    });
    const screen = new Screen();
    const watching = watchReactions(
      controlPlane,
      'open-webui',
      new ReactionsView(screen, () => 60),
      ending.signal,
      1,
    );
    await expect.poll(() => screen.lines.length).toBe(5);
    ending.abort();
    await watching;
    expect(screen.lines.map((line) => line.slice(0, 24))).toEqual([
      '→ the regular look  10:0',
      '  leads to operation op-',
      '    ◐ kubernetes/externa',
      '→ webui-secret-key has a',
      '  joins operation op-1',
    ]);
  });

  test('is of an API that also rotates and lifts quarantines', async () => {
    const asked: string[] = [];
    const controlPlane = await serve((path) => {
      asked.push(path);
      return path.includes('unknown')
        ? { status: 404, body: { title: 'Not found' } }
        : { status: 202, body: {} };
    });
    expect(await controlPlane.rotate('open-webui', ['postgres-password'])).toBe('op-9');
    expect(await controlPlane.liftQuarantine('open-webui', 'sha256:ab')).toBe('op-9');
    expect(asked).toEqual([
      'POST /api/deployments/open-webui/rotate',
      'DELETE /api/deployments/open-webui/quarantine/sha256%3Aab',
    ]);
    await expect(controlPlane.rotate('unknown', [])).rejects.toThrow(RefusedError);
  });
});
