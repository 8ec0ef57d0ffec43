/**
 * Those who are told by the control plane when something is wrong: an Event Grid topic, and somebody's webhook that
 * checks signatures as https://www.standardwebhooks.com asks of receivers. Both turn away what they would turn away in the
 * real world, and what they took can be read at the control door.
 */
import { createHmac, timingSafeEqual } from 'node:crypto';
import { z } from 'zod';
import { NOTIFICATION_HOOK_HOST, NOTIFICATION_TOPIC } from './bootstrap.ts';
import type { Neighbours } from './neighbours.ts';
import type { CallContext, Service, Table, World } from './world.ts';

const AUDIENCE = 'https://eventgrid.azure.net';
const SEND = 'Microsoft.EventGrid/events/send/action';
/** Of the specification: what is older or newer may be a replay. */
const TOLERANCE_SECONDS = 300;
const KEPT = 1_000;

const cloudEvent = z.looseObject({
  specversion: z.literal('1.0'),
  id: z.string().min(1),
  source: z.string().min(1),
  type: z.string().min(1),
});

export interface Notification {
  readonly channel: 'topic' | 'webhook';
  /** Virtual, ISO 8601. */
  readonly at: string;
  readonly event: z.output<typeof cloudEvent>;
}

export class Notifications implements Service {
  readonly name = 'notifications';
  readonly #world: World;
  readonly #neighbours: Pick<Neighbours, 'directory' | 'authorization'>;
  readonly #taken: Table<readonly Notification[]>;
  readonly #key: Table<string>;

  constructor(world: World, neighbours: Pick<Neighbours, 'directory' | 'authorization'>) {
    this.#world = world;
    this.#neighbours = neighbours;
    this.#taken = world.table('notifications/taken');
    this.#key = world.table('notifications/key');
  }

  /** In the order in which they came. */
  get taken(): readonly Notification[] {
    return this.#taken.get('all') ?? [];
  }

  /** The receiver's own half of what the two share: base64. */
  shareKey(key: string): void {
    this.#key.set('key', key);
  }

  matches(host: string): boolean {
    return host === NOTIFICATION_TOPIC.host || host === NOTIFICATION_HOOK_HOST;
  }

  async fetch(request: Request, call: CallContext): Promise<Response> {
    const { pathname } = new URL(request.url);
    if (call.host === NOTIFICATION_HOOK_HOST) {
      return request.method === 'POST' && pathname === '/open-webui'
        ? this.#hook(request, call)
        : new Response('Not Found', { status: 404 });
    }
    return request.method === 'POST' && pathname === '/api/events'
      ? this.#topic(request, call)
      : new Response('Not Found', { status: 404 });
  }

  async #hook(request: Request, call: CallContext): Promise<Response> {
    const body = await request.text();
    const id = request.headers.get('webhook-id') ?? '';
    const sentAt = request.headers.get('webhook-timestamp') ?? '';
    const wanted = createHmac('sha256', Buffer.from(this.#key.get('key') ?? '', 'base64'))
      .update(`${id}.${sentAt}.${body}`)
      .digest();
    const isSigned = (request.headers.get('webhook-signature') ?? '').split(' ').some((signature) => {
      const [version, value = ''] = signature.split(',');
      const given = Buffer.from(value, 'base64');
      return version === 'v1' && given.length === wanted.length && timingSafeEqual(given, wanted);
    });
    const age = Math.abs(this.#world.clock.now() / 1000 - Number(sentAt));
    if (!isSigned || !(age <= TOLERANCE_SECONDS)) return new Response('bad signature', { status: 401 });
    call.caller = 'signed';
    return this.#take('webhook', [JSON.parse(body)], 204);
  }

  async #topic(request: Request, call: CallContext): Promise<Response> {
    const verified = this.#neighbours.directory.verifyToken(request.headers.get('authorization'), [AUDIENCE]);
    if (!verified.ok) return refusal(401, 'Unauthorized', verified.reason);
    const { id, displayName } = verified.principal;
    call.caller = displayName;
    if (!this.#neighbours.authorization.isAllowed(id, NOTIFICATION_TOPIC.id, { dataAction: SEND })) {
      return refusal(403, 'Forbidden', `The principal ${id} may not send events to this topic.`);
    }
    const form = request.headers.get('content-type')?.split(';')[0];
    if (form !== 'application/cloudevents-batch+json') {
      return refusal(400, 'BadRequest', `The topic takes application/cloudevents-batch+json, not ${form}.`);
    }
    return this.#take('topic', await request.json(), 200);
  }

  #take(channel: Notification['channel'], body: unknown, status: 200 | 204): Response {
    const events = z.array(cloudEvent).safeParse(body);
    if (!events.success) return refusal(400, 'BadRequest', z.prettifyError(events.error));
    const at = new Date(this.#world.clock.now()).toISOString();
    const taken = events.data.map((event): Notification => ({ channel, at, event }));
    this.#taken.set('all', [...this.taken, ...taken].slice(-KEPT));
    return new Response(null, { status });
  }
}

const refusal = (status: number, code: string, message: string): Response =>
  Response.json({ error: { code, message } }, { status });
