import { createHmac } from 'node:crypto';
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { AzureKeyCredential, EventGridPublisherClient } from '@azure/eventgrid';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { FindingChange } from '../../src/notifications/change.ts';
import { cloudEventOf } from '../../src/notifications/cloud-event.ts';
import { refusedWith } from '../../src/notifications/refusal.ts';
import { tellWebhook } from '../../src/notifications/webhook.ts';

const KEY = Buffer.from('a key that both of them know').toString('base64');
const now = new Date('2026-11-24T10:00:00.000Z');
const change: FindingChange = {
  id: 'chat/server-state/server-stopped/2026-11-24T09:59:00.000Z/appeared',
  deployment: 'chat',
  change: 'appeared',
  at: '2026-11-24T09:59:00.000Z',
  finding: {
    id: 'server-stopped',
    resource: 'azure/postgres-server',
    severity: 'error',
    what: 'The server is stopped.',
    evidence: 'state Stopped',
    breaks: 'Nobody can sign in.',
    remedy: 'Start it.',
    since: '2026-11-24T09:59:00.000Z',
  },
};

let server: Server;
let url = '';
let status = 204;
let got: { headers: IncomingHttpHeaders; body: string }[] = [];
beforeAll(async () => {
  server = createServer(async (request, response) => {
    got.push({ headers: request.headers, body: await text(request) });
    response.writeHead(status, { location: 'https://elsewhere.example.com/' }).end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook?key=hidden`;
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
});
beforeEach(() => {
  status = 204;
  got = [];
});

const tell = (): Promise<void> => tellWebhook({ url, signingKey: `whsec_${KEY}` }, change, now);

describe('the webhook', () => {
  test('gets a CloudEvent that its key has signed', async () => {
    await tell();
    const [{ headers, body } = { headers: {}, body: '' }] = got;
    expect(JSON.parse(body)).toEqual({
      specversion: '1.0',
      id: change.id,
      source: '/deployments/chat',
      type: 'OpenWebUI.ControlPlane.FindingAppeared',
      subject: 'azure/postgres-server',
      time: change.at,
      datacontenttype: 'application/json',
      data: { ...change.finding, deployment: 'chat' },
    });
    const id = String(headers['webhook-id']);
    const signed = `${id}.${now.getTime() / 1000}.${body}`;
    const signature = createHmac('sha256', Buffer.from(KEY, 'base64')).update(signed).digest('base64');
    expect(headers).toMatchObject({
      'content-type': 'application/cloudevents+json',
      'webhook-timestamp': String(now.getTime() / 1000),
      'webhook-signature': `v1,${signature}`,
    });
  });

  test('gets the same id for the same change, and one without full stops, which part what is signed', async () => {
    await tell();
    await tell();
    await tellWebhook(
      { url, signingKey: `whsec_${KEY}` },
      { ...change, id: change.id.replace('appeared', 'cleared') },
      now,
    );
    const [first, again, other] = got.map(({ headers }) => String(headers['webhook-id']));
    expect(change.id).toContain('.');
    expect(first).toMatch(/^msg_[0-9a-f]{40}$/);
    expect(again).toBe(first);
    expect(other).not.toBe(first);
  });

  test.each([302, 400, 410, 500])('has not taken it when it answers %i', async (answer) => {
    status = answer;
    await expect(tell()).rejects.toThrow(`the webhook answered ${answer}`);
    expect(got).toHaveLength(1);
  });

  test.each([
    { answer: 302, refusal: undefined },
    { answer: 413, refusal: 413 },
    { answer: 429, refusal: undefined },
    { answer: 500, refusal: undefined },
  ])(
    'has refused a change for what it is by $refusal when it answers $answer',
    async ({ answer, refusal }) => {
      status = answer;
      const failure = await tell().catch((error: unknown) => error);
      expect(refusedWith('webhook', failure)).toBe(refusal);
    },
  );

  test('is named by no error, for its URL may hold a key', async () => {
    const nowhere = tellWebhook(
      { url: 'http://127.0.0.1:1/hook?key=hidden', signingKey: `whsec_${KEY}` },
      change,
      now,
    );
    await expect(nowhere).rejects.toThrow(/^the webhook did not answer \(\w+\)$/);
  });
});

describe('an Event Grid topic', () => {
  test.each([
    { answer: 400, refusal: 400 },
    { answer: 401, refusal: undefined },
    { answer: 413, refusal: 413 },
    { answer: 503, refusal: undefined },
  ])(
    'has refused a change for what it is by $refusal when it answers $answer',
    async ({ answer, refusal }) => {
      status = answer;
      const options = { retryOptions: { maxRetries: 0 }, allowInsecureConnection: true };
      const topic = new EventGridPublisherClient(url, 'CloudEvent', new AzureKeyCredential('key'), options);
      const { id, source, type, subject, data } = cloudEventOf(change);
      const failure = await topic
        .send([{ id, source, type, subject, data }])
        .catch((error: unknown) => error);
      expect(got).toHaveLength(1);
      expect(failure).toMatchObject({ name: 'RestError', statusCode: answer });
      expect(refusedWith('topic', failure)).toBe(refusal);
    },
  );
});
