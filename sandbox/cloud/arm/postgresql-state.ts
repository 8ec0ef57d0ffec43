/** A flexible server as its provider keeps it, and the state that it shows. */
import type { Frame } from './frame/frame.ts';
import { objectAt } from './frame/json.ts';
import { Refusal } from './frame/refusal.ts';
import type { StateWords, Stored } from './frame/resource-type.ts';
import type { ServerBody } from './postgresql-body.ts';

/** The first is what @azure/arm-postgresql-flexible 9 sends. */
export const POSTGRESQL_API_VERSIONS = ['2025-08-01', '2024-08-01', '2023-12-01-preview', '2022-12-01'];
export const FLEXIBLE_SERVERS = 'Microsoft.DBforPostgreSQL/flexibleServers';
export const DATABASES = `${FLEXIBLE_SERVERS}/databases`;
export const SERVER_SUFFIX = '.postgres.database.azure.com';
const WEEK = 7 * 24 * 3600 * 1000;
/** A server that has just become Ready still refuses its first writes. */
const SETTLING = 3_000;

export type ServerHidden = {
  /** Creation has ended well. */
  created: boolean;
  /** Virtual milliseconds since 1970. */
  readyAt?: number;
  stoppedAt?: number;
  tierChangedAt?: number;
  /** In the delegated subnet. */
  address?: string;
};
export type Server = Stored<ServerBody, ServerHidden>;

export const stateWords: StateWords = {
  path: ['properties', 'state'],
  creating: 'Provisioning',
  updating: 'Updating',
  deleting: 'Dropping',
  succeeded: 'Ready',
  // A server has no failed state: it is what it was before; see stateOf.
  failed: 'Ready',
};

export const serverBusy = {
  code: 'ServerIsBusy',
  message:
    "Cannot complete operation while server '{name}' is busy processing another operation. Try again later.",
  family: true,
};

export function serverOf(frame: Frame, id: string): Server | undefined {
  const stored = frame.store.get<ServerBody, ServerHidden>(id);
  return stored?.type === FLEXIBLE_SERVERS ? stored : undefined;
}

/** A stopped server starts by itself after seven days. */
function isStopped({ hidden: { stoppedAt } }: Server, now: number): boolean {
  return stoppedAt !== undefined && now - stoppedAt < WEEK;
}

export function stateOf(server: Server, now: number): string {
  if (server.operationId !== undefined) {
    return server.hidden.created ? String(objectAt(server.body, 'properties')['state']) : 'Provisioning';
  }
  if (!server.hidden.created) return 'Disabled';
  return isStopped(server, now) ? 'Stopped' : 'Ready';
}

/** Refuses work on a server that does not run, or that has only just come up. */
export function requireRunning(server: Server, now: number): void {
  if (server.operationId !== undefined) return;
  const state = stateOf(server, now);
  if (state === 'Stopped') {
    throw new Refusal(
      400,
      'ServerStoppedError',
      `The operation could not be completed because the server '${server.name}' is stopped. Start the server and retry.`,
    );
  }
  if (state === 'Disabled') {
    throw new Refusal(409, 'ServerIsNotReady', `The server '${server.name}' is in state '${state}'.`);
  }
  if (now - (server.hidden.readyAt ?? 0) < SETTLING) {
    throw new Refusal(409, serverBusy.code, serverBusy.message.replace('{name}', server.name));
  }
}
