import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { InvocationContext, type Timer } from '@azure/functions';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { FindingChange } from '../../src/notifications/change.ts';
import { tellWebhook } from '../../src/notifications/webhook.ts';
import type { Store } from '../../src/store/store.ts';
import { deliverNotifications } from '../../src/timers/deliver-notifications.ts';
import { Azurite } from '../store/azurite.ts';

const signingKey = `whsec_${Buffer.from('a key that both of them know').toString('base64')}`;
const minutesAgo = (minutes: number): string => new Date(Date.now() - minutes * 60_000).toISOString();
const change = (id: string, minutes: number): FindingChange => ({
  id: `chat/server-state/${id}/appeared`,
  deployment: 'chat',
  change: 'appeared',
  at: minutesAgo(minutes),
  finding: {
    id,
    resource: 'azure/postgres-server',
    severity: 'error',
    what: 'The server is stopped.',
    evidence: 'state Stopped',
    breaks: 'Nobody can sign in.',
    remedy: 'Start it.',
    since: minutesAgo(minutes),
  },
});

let azurite: Azurite;
let store: Store;
let server: Server;
let taken: string[] = [];
let url = '';
beforeAll(async () => {
  azurite = await Azurite.start();
  store = azurite.openStore();
  server = createServer(async (request, response) => {
    const { id } = JSON.parse(await text(request)).data;
    if (id !== 'too-large') taken.push(id);
    response.writeHead(id === 'too-large' ? 413 : 204).end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook?key=hidden`;
});
afterAll(async () => {
  server.closeAllConnections();
  server.close();
  await azurite.dispose();
});

/** What it has logged. */
async function run(): Promise<string> {
  const lines: string[] = [];
  const context = new InvocationContext({
    logHandler: (level, ...args) => void lines.push(level, ...args.map(String)),
  });
  const webhook = (told: FindingChange): Promise<void> => tellWebhook({ url, signingKey }, told, new Date());
  await deliverNotifications(store.health, { webhook })({} as Timer, context);
  return lines.join('\n');
}

test('a change that is refused is told of in the log, without the URL, and those behind it arrive', async () => {
  const refused = change('too-large', 9);
  await store.health.record('chat', [], [change('stopped', 10), refused, change('full', 8)]);

  expect(await run()).toBe(
    'error\nthe webhook has not taken what has changed about findings:\nWebhookAnswer: the webhook answered 413',
  );
  expect(taken).toEqual(['stopped']);
  expect(await run()).toBe('');
  expect(taken).toEqual(['stopped']);

  // As if the second refusal was some minutes ago.
  await store.health.rememberRefused('webhook', refused, { times: 2, lastAt: minutesAgo(6) });
  expect(await run()).toBe(
    [
      'error',
      'given up on the webhook after 3 tries, for it was refused, last with 413: finding too-large of deployment chat, chat/server-state/too-large/appeared',
    ].join('\n'),
  );
  expect(taken).toEqual(['stopped', 'full']);
  expect(await store.health.pending('webhook', 9)).toEqual([]);
});

test('what has become a day old is told of in the log', async () => {
  taken = [];
  await store.health.record('chat', [], [change('too-old', 24 * 60 + 1), change('new', 1)]);
  expect(await run()).toBe(
    'error\ngiven up on the webhook after a day: finding too-old of deployment chat, chat/server-state/too-old/appeared',
  );
  expect(taken).toEqual(['new']);
});
