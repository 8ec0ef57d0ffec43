/** A tenant with ARM alone in it, for tests: virtual time that tests jump, SDK clients that talk to it in process. */
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TokenCredential } from '@azure/core-auth';
import { createHttpHeaders, type HttpClient, type PipelineRequest } from '@azure/core-rest-pipeline';
import { VirtualClock } from '../../../sandbox/clock.ts';
import { type Arm, createArm } from '../../../sandbox/cloud/arm/arm.ts';
import { settings } from '../../../sandbox/cloud/bootstrap.ts';
import { CallLog } from '../../../sandbox/cloud/calls.ts';
import { Entra } from '../../../sandbox/cloud/entra.ts';
import { Faults } from '../../../sandbox/cloud/faults.ts';
import { TenantObjects } from '../../../sandbox/cloud/graph/tenant-objects.ts';
import type { Neighbours } from '../../../sandbox/cloud/neighbours.ts';
import { createWorld, Memory, type SourceEvent, type World } from '../../../sandbox/cloud/world.ts';

export const { subscriptionId, tenantId } = settings;
export const location = 'eastasia';
export const MINUTE = 60_000;

export interface Tenant {
  readonly world: World;
  readonly arm: Arm;
  readonly directory: Entra;
  readonly events: SourceEvent[];
  /** Options for any ARM client of the SDKs; polling does not wait. */
  readonly options: { httpClient: HttpClient; retryOptions: { maxRetries: 0 } };
  /** Signs in as a principal; the operator when left out. */
  as(principalId?: string): TokenCredential;
  /** Lets virtual time pass. */
  pass(milliseconds: number): void;
  /** A raw call as the operator. */
  call(method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<Response>;
  close(): Promise<void>;
}

/** Opens a tenant; with the memory of an earlier one, that one as it would be found after a restart. */
export function openTenant(
  others: Partial<Neighbours> = {},
  memory = new Memory(':memory:'),
  clock = new VirtualClock({ held: true, now: Date.parse('2026-11-23T08:00:00Z') }),
  /** Only used once a PostgreSQL server is made. */
  postgresDirectory = join(tmpdir(), `open-webui-tenant-${process.pid}`),
): Tenant {
  const world = createWorld(memory, clock, settings, new CallLog(), new Faults());
  const directory = new Entra(world, new TenantObjects(world));
  const { controlPlane } = settings;
  if (!directory.findPrincipal(controlPlane.principalId)) {
    directory.registerManagedIdentity({
      id: controlPlane.principalId,
      appId: controlPlane.clientId,
      displayName: controlPlane.identityName,
      createdAt: 0,
      graphPermissions: [],
    });
  }
  const events: SourceEvent[] = [];
  world.onEvent((event) => events.push(event));
  const arm = createArm(world, { directory, ...others } as Neighbours, postgresDirectory);
  const fetch = (request: Request): Response | Promise<Response> =>
    arm.fetch(request, { host: 'management.azure.com', caller: '' });
  const as = (principalId = settings.operator.principalId): TokenCredential => ({
    getToken: async () => ({
      token: directory.issueToken(principalId, 'https://management.azure.com').accessToken,
      // Expired at once by real time, so that the clients ask again: tests jump over a token's virtual life.
      expiresOnTimestamp: Date.now(),
    }),
  });
  return {
    world,
    arm,
    directory,
    events,
    options: { httpClient: inProcess(fetch), retryOptions: { maxRetries: 0 } },
    as,
    pass: (milliseconds) => void clock.change({ now: clock.now() + milliseconds }),
    call: async (method, path, body, headers = {}) => {
      const token = await as().getToken([]);
      return fetch(
        new Request(`https://management.azure.com${path}`, {
          method,
          headers: { authorization: `Bearer ${token?.token}`, ...headers },
          ...(body !== undefined && { body: JSON.stringify(body) }),
        }),
      );
    },
    close: () => arm.close(),
  };
}

/** A date with milliseconds: the clients take no number below one second. */
function soon(): string {
  const [date, time] = new Date(Date.now() + 15).toISOString().replace('Z', '').split('T');
  const [year, month, day] = (date ?? '').split('-');
  return `Date ${month}/${day}/${year} ${time} UTC`;
}

/** Retry-After is meant in virtual time, which tests jump: it is made short so that polling asks again at once. */
function inProcess(fetch: (request: Request) => Response | Promise<Response>): HttpClient {
  return {
    sendRequest: async (request: PipelineRequest) => {
      const body = request.body;
      const answer = await fetch(
        new Request(request.url, {
          method: request.method,
          headers: Object.fromEntries(request.headers),
          ...(typeof body === 'string' && { body }),
        }),
      );
      const headers = createHttpHeaders(Object.fromEntries(answer.headers));
      if (headers.has('retry-after')) headers.set('retry-after', soon());
      return { request, status: answer.status, headers, bodyAsText: await answer.text() };
    },
  };
}

/** Lets virtual time pass until the promise of a client that polls has settled. */
export async function throughTime<T>(tenant: Tenant, waiting: PromiseLike<T>): Promise<T> {
  let isSettled = false;
  const settled = Promise.resolve(waiting).finally(() => {
    isSettled = true;
  });
  settled.catch(() => undefined);
  while (!isSettled) {
    tenant.pass(10_000);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  return settled;
}

/** The error code and status of a call that is refused. */
export async function refusalOf(call: PromiseLike<unknown>): Promise<{ status: number; code: string }> {
  try {
    await call;
  } catch (error) {
    const { statusCode, code } = error as { statusCode: number; code: string };
    return { status: statusCode, code };
  }
  throw new Error('the call was not refused');
}

/** A resource group to put things into. */
export async function givenGroup(tenant: Tenant, name = 'rg'): Promise<string> {
  const id = `/subscriptions/${subscriptionId}/resourceGroups/${name}`;
  const answer = await tenant.call('PUT', `${id}?api-version=2025-04-01`, { location });
  if (!answer.ok) throw new Error(await answer.text());
  return id;
}
