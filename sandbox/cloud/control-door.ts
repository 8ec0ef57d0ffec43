/**
 * The sandbox's own door, plain HTTP on this machine: what was called, whether the site is up and why not, the clock,
 * the faults, the delivery of events, Azure's habits and news, and a token for the operator. It shows the world and turns its dials; it does not change resources.
 * Those are changed through the clouds' own APIs.
 */
import { Hono } from 'hono';
import { z } from 'zod';
import type { ClockState } from '../clock.ts';
import { type Announcement, announcements } from './arm/cluster-announcements.ts';
import type { FunctionApp } from './arm/web.ts';
import type { Entra } from './entra.ts';
import type { EventGrid } from './event-grid.ts';
import type { Site } from './site.ts';
import type { World } from './world.ts';

/** How long `GET /clock?after=` waits for a change before it answers with what is. */
const LONGEST_POLL_MILLISECONDS = 25_000;

/** Not an audience of Entra's: there the operator has an API token, a new one each time. */
const CLOUDFLARE = 'https://api.cloudflare.com';

/** The server application of AKS, the same in every tenant. */
const AKS_AUDIENCE = '6dae42f8-4368-4678-94ff-3960e28e3630';

const clockChange = z.strictObject({
  speed: z.number().optional(),
  held: z.boolean().optional(),
  /** Milliseconds since 1970. */
  now: z.number().optional(),
});

/** How a functions host says that it has started: what a deployment would have told Azure. */
const functionApp = z.strictObject({
  baseUrl: z.url(),
  functions: z.array(z.string()),
  /** The system key `eventgrid_extension`. */
  eventGridKey: z.string(),
});

/** What of Azure can be looked at and turned from here. */
export interface AzureDoor {
  readonly eventGrid: EventGrid;
  dials(): object;
  turnDials(wanted: unknown): void;
  fillShare(wanted: unknown): void;
  announce(kind: Announcement): string[];
}

/** What lies beyond the door besides the world itself. */
export interface Beyond {
  endpoints(): object;
  /** What those who want to be told of findings have been told. */
  notifications(): readonly object[];
  setFunctionApp(app: FunctionApp | undefined): Promise<void>;
  /** An API token of the operator's own. */
  cloudflareToken(): string;
  /** Left out where another stands in for Azure. */
  readonly azure?: AzureDoor | undefined;
}

/** The door's routes. */
export function createControlDoor(world: World, entra: Entra, site: Site, beyond: Beyond): Hono {
  const door = new Hono();
  door.get('/health', (context) => context.json({ ok: true }));
  door.get('/endpoints', (context) => context.json(beyond.endpoints()));
  door.get('/notifications', (context) => context.json(beyond.notifications()));
  door.get('/calls', (context) =>
    context.json(world.calls.since(Number(context.req.query('since') ?? 0) || 0)),
  );
  door.get('/pods', (context) => context.json(site.secretSets(context.req.query('host'))));
  door.get('/site', async (context) => context.json(await site.look(context.req.query('host'))));

  const clock = (state: ClockState): object => ({ ...state, now: world.clock.now() });
  door.get('/clock', async (context) => {
    if (Number(context.req.query('after')) === world.clock.state.version) {
      await nextClockState(world, context.req.raw.signal);
    }
    return context.json(clock(world.clock.state));
  });
  door.put('/clock', async (context) => {
    const change = clockChange.parse(await context.req.json());
    const state = world.clock.change({
      ...(change.speed === undefined ? {} : { speed: change.speed }),
      ...(change.held === undefined ? {} : { held: change.held }),
      ...(change.now === undefined ? {} : { now: change.now }),
    });
    world.touch();
    return context.json(clock(state));
  });

  door.get('/faults', (context) => context.json(world.faults.rules));
  door.put('/faults', async (context) => {
    world.faults.replace(await context.req.json());
    return context.json(world.faults.rules);
  });

  door.post('/token', async (context) => {
    const { audience } = z.strictObject({ audience: z.string() }).parse(await context.req.json());
    if (audience === CLOUDFLARE) return context.json({ accessToken: beyond.cloudflareToken() });
    if (!entra.hasAudience(audience))
      return context.json({ error: `nobody has the audience ${audience}` }, 400);
    return context.json(entra.issueToken(world.settings.operator.principalId, audience));
  });

  /** What kubectl wants of a credential plugin: the operator's token for AKS. */
  door.get('/kubectl-credential', (context) => {
    const { accessToken } = entra.issueToken(world.settings.operator.principalId, AKS_AUDIENCE);
    return context.json({
      apiVersion: 'client.authentication.k8s.io/v1',
      kind: 'ExecCredential',
      status: { token: accessToken },
    });
  });

  door.put('/function-app', async (context) => {
    const { functions, ...app } = functionApp.parse(await context.req.json());
    await beyond.setFunctionApp({ ...app, functions: () => functions });
    return context.json({ ok: true });
  });
  door.delete('/function-app', async (context) => {
    await beyond.setFunctionApp(undefined);
    return context.json({ ok: true });
  });

  if (beyond.azure) addAzureRoutes(door, beyond.azure);

  door.notFound((context) =>
    context.json({ error: `${context.req.method} ${context.req.path} does not exist` }, 404),
  );
  door.onError((error, context) => {
    const isCallersFault =
      error instanceof z.ZodError || error instanceof RangeError || error instanceof SyntaxError;
    if (!isCallersFault) console.error('control door', error);
    const message = error instanceof z.ZodError ? z.prettifyError(error) : error.message;
    return context.json({ error: message }, isCallersFault ? 400 : 500);
  });
  return door;
}

/** Deliveries of Event Grid, Azure's habits, and news of AKS. */
function addAzureRoutes(door: Hono, azure: AzureDoor): void {
  const { eventGrid } = azure;
  const events = (): object => ({
    control: eventGrid.control.get(),
    pending: eventGrid.pending(),
    deadLetters: eventGrid.deadLetters().length,
    emitted: eventGrid.log.emitted,
    dropped: eventGrid.log.dropped,
  });
  door.get('/events', (context) => context.json(events()));
  door.put('/events', async (context) => {
    eventGrid.control.replace(await context.req.json());
    return context.json(events());
  });
  door.get('/dials', (context) => context.json(azure.dials()));
  door.put('/dials', async (context) => {
    azure.turnDials(await context.req.json());
    return context.json(azure.dials());
  });
  door.put('/shares', async (context) => {
    azure.fillShare(await context.req.json());
    return context.json({});
  });
  door.post('/announcements', async (context) => {
    const { kind } = z.strictObject({ kind: z.enum(announcements) }).parse(await context.req.json());
    return context.json({ told: azure.announce(kind) });
  });
}

/** Resolves on the next change of the clock, when the caller hangs up, or after the longest poll. */
function nextClockState(world: World, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      stop();
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, LONGEST_POLL_MILLISECONDS);
    const stop = world.clock.onChange(done);
    signal.addEventListener('abort', done, { once: true });
  });
}
