/**
 * Who made the changes that were found: as the event says that told of the write, or else as the cloud's own log does. That
 * shows a write only minutes later, and earlier ones first, so it is asked again after the next looks, for an hour: whoever
 * wrote last before the change was seen made it. In a cluster the field managers tell at once.
 */
import { isDeepStrictEqual } from 'node:util';
import { isOneOf, isPartOf } from '../clients/activity-log.ts';
import type { ChangeLog } from '../clients/change-log.ts';
import type { Clients } from '../clients/clients.ts';
import { toFailure } from '../clients/cloud-failure.ts';
import type { Activities } from '../orchestrations/activities.ts';
import { parseSpec } from '../spec/parse-spec.ts';
import type { DeploymentSpec } from '../spec/spec.ts';
import type { DriftActor, DriftRecord } from '../store/drift.ts';
import type { EventRecord } from '../store/inbox.ts';
import type { Store } from '../store/store.ts';
import type { Implementation } from './implementation.ts';

const HOUR = 3_600_000;
/** Things the logs are asked about in one go: they have small budgets of their own. */
const MOST_QUESTIONS = 20;
/** More come within an hour only in a storm, and then there is the log. */
const RECENT_EVENTS = 200;

type Asked = DriftRecord & { readonly resourceId: string };
type Named = DriftRecord & { readonly actor: DriftActor };

export const nameActors =
  (store: Store, clientsFor: (subscriptionId: string) => Clients): Implementation<Activities['nameActors']> =>
  async ({ deployment, now }) => {
    try {
      const record = await store.findDeployment(deployment);
      const parsed = record && parseSpec(deployment, record.spec);
      if (!parsed?.ok) return { ok: true };
      const asked = (await store.drift.list(deployment)).flatMap((drift): Asked[] => {
        const { actor, resourceId, since, foundSince = since } = drift;
        const mayChange = actor === undefined || isLogged(actor);
        const isAsked = mayChange && resourceId !== undefined && Date.parse(foundSince) > now - HOUR;
        return isAsked ? [{ ...drift, resourceId }] : [];
      });
      if (asked.length === 0) return { ok: true };
      const clients = clientsFor(parsed.spec.subscriptionId);
      const own = await clients.ownNames();
      const events = await store.inbox.events(deployment, RECENT_EVENTS);
      const told = named(asked, (drift) => actorIn(events, drift, own));
      await enter(store, deployment, told);

      const rest = asked.filter(({ resource, path }) => !told.some((known) => is(known, resource, path)));
      const byId = Map.groupBy(rest, ({ resourceId }) => resourceId);
      const failed: unknown[] = [];
      for (const [resourceId, records] of [...byId].slice(0, MOST_QUESTIONS)) {
        try {
          await enter(store, deployment, await askLog(clients, parsed.spec, resourceId, records));
        } catch (error) {
          // The other clouds' logs are asked all the same.
          failed.push(error);
        }
      }
      return failed.length === 0 ? { ok: true } : { ok: false, failure: toFailure(failed[0]) };
    } catch (error) {
      return { ok: false, failure: toFailure(error) };
    }
  };

async function askLog(
  clients: Clients,
  spec: DeploymentSpec,
  resourceId: string,
  records: readonly Asked[],
): Promise<readonly Named[]> {
  const { log, how } = logOf(clients, spec, records);
  const writes = await log.writes(resourceId, new Date(Math.min(...records.map(earliest))));
  return named(records, (drift) => {
    const write = writes.find(({ at }) => mayHaveMade(drift, at));
    return write && { name: write.caller, how, at: write.at };
  });
}

function logOf(
  clients: Clients,
  { tunnel }: DeploymentSpec,
  [first]: readonly Asked[],
): { readonly log: ChangeLog; readonly how: DriftActor['how'] } {
  const [cloud] = first?.resource.split('/') ?? [];
  if (cloud === 'entra') return { log: clients.directoryAudit(), how: 'audit-log' };
  if (cloud === 'cloudflare') return { log: clients.cloudflareAudit(tunnel.accountId), how: 'audit-log' };
  return { log: clients.activityLog(), how: 'activity-log' };
}

/** Into the records as they are by now: what the log takes long to tell may be about a value that is another since. */
async function enter(store: Store, deployment: string, known: readonly Named[]): Promise<void> {
  for (const { resource, path, found, actor } of known) {
    await store.drift.change(deployment, resource, path, (drift) =>
      isBetter(actor, drift.actor) && isDeepStrictEqual(drift.found, found) ? { ...drift, actor } : undefined,
    );
  }
}

const isLogged = ({ how }: DriftActor): boolean => how === 'activity-log' || how === 'audit-log';

/** A log may have shown a later write since. */
const isBetter = (actor: DriftActor, known: DriftActor | undefined): boolean =>
  known === undefined || (isLogged(known) && (actor.at ?? '') > (known.at ?? ''));

const is = (drift: DriftRecord, resource: DriftRecord['resource'], path: string): boolean =>
  drift.resource === resource && drift.path === path;

const named = (
  records: readonly Asked[],
  actorOf: (drift: Asked) => DriftActor | undefined,
): readonly Named[] =>
  records.flatMap((drift) => {
    const actor = actorOf(drift);
    return actor ? [{ ...drift, actor }] : [];
  });

/** By the latest event of a write to what the change is about; our own writes come back as events, too. */
function actorIn(
  events: readonly EventRecord[],
  drift: Asked,
  own: readonly string[],
): DriftActor | undefined {
  const [latest] = events
    .filter(
      ({ subject, caller, occurredAt }) =>
        caller !== undefined &&
        !isOneOf(own, caller) &&
        isPartOf(subject, drift.resourceId) &&
        mayHaveMade(drift, occurredAt),
    )
    .toSorted((one, other) => other.occurredAt.localeCompare(one.occurredAt));
  return latest?.caller === undefined
    ? undefined
    : { name: latest.caller, how: 'event', at: latest.occurredAt };
}

/** It was made after the last look that found all as asked. */
const earliest = ({ lastAsAskedAt, since }: DriftRecord): number =>
  lastAsAskedAt === undefined ? Date.parse(since) - HOUR : Date.parse(lastAsAskedAt);

/** And not after it was last seen: that is somebody's next change. */
const mayHaveMade = (drift: DriftRecord, at: string): boolean =>
  Date.parse(at) >= earliest(drift) && Date.parse(at) <= Date.parse(drift.lastSeenAt);
