/**
 * POST /api/deployments/{name}/pause switches automation off for a while, for all of a deployment or some resources: it is
 * looked at and told about, and nothing is written. POST …/resume ends that before its time.
 */
import { createHash } from 'node:crypto';
import type { HttpHandler } from '@azure/functions';
import { z } from 'zod';
import type { ResourceKey } from '../graph/resource.ts';
import type { Pause } from '../store/store.ts';
import { activePauses } from './active-pauses.ts';
import { askedBody } from './asked-body.ts';
import { enterOperation } from './enter-operation.ts';
import { onDeployment } from './on-deployment.ts';
import { refuse } from './problem.ts';
import { resourceKeys } from './resource-keys.ts';
import type { ApiDependencies } from './respond.ts';

const LONGEST_MINUTES = 7 * 24 * 60;
const MINUTES = `must be a whole number from 1 to ${LONGEST_MINUTES} (7 days)`;
const UNTIL = 'must be a time such as 2026-11-24T18:00:00Z';
const pauseSchema = z
  .strictObject({
    resources: resourceKeys.optional(),
    reason: z
      .string('must say why')
      .trim()
      .min(1, 'must say why')
      .max(300, 'must be at most 300 characters')
      .regex(/^[^\p{Cc}]*$/u, 'must be one line of text'),
    minutes: z.number(MINUTES).int(MINUTES).min(1, MINUTES).max(LONGEST_MINUTES, MINUTES).optional(),
    until: z.iso.datetime({ offset: true, error: UNTIL }).optional(),
  })
  .refine(({ minutes, until }) => (minutes === undefined) !== (until === undefined), {
    path: ['minutes'],
    error: 'must be given, or until; not both',
  });
const resumeSchema = z.strictObject({ resources: resourceKeys.optional() });

export const postPause = (dependencies: ApiDependencies): HttpHandler =>
  onDeployment(dependencies.store, async (found, request, context) => {
    const { store, now = () => new Date() } = dependencies;
    const body = await askedBody(request, context, pauseSchema);
    if (!body.ok) return body.refusal;
    const { resources, reason, minutes, until } = body.value;
    const time = now();
    const end = until === undefined ? time.getTime() + (minutes ?? 0) * 60_000 : Date.parse(until);
    if (end <= time.getTime() || end > time.getTime() + LONGEST_MINUTES * 60_000) {
      const errors = [{ field: 'until', message: 'must be in the future, and at most 7 days from now' }];
      return refuse(request, context, 'invalid-request', { detail: 'Nothing was changed.', errors });
    }
    const pause = { reason, since: time.toISOString(), until: new Date(end).toISOString() };
    const added: readonly Pause[] = resources
      ? [...new Set(resources)].map((resource) => ({ resource, ...pause }))
      : [pause];
    const record = await store.changeDeployment(found.name, ({ pauses }) => ({
      pauses: [
        ...activePauses(pauses, time).filter(
          ({ resource }) => !added.some((one) => one.resource === resource),
        ),
        ...added,
      ],
    }));
    // When it ends by itself, what it held back is due.
    await store.inbox.putRequest({
      id: `pause-ends-${pause.until}-${hashOf(resources ?? [])}`,
      deployment: found.name,
      kind: 'maintenance',
      cause: { kind: 'timer', what: 'a pause is over' },
      look: resources ?? 'all',
      requestedAt: time.toISOString(),
      notBefore: pause.until,
    });
    return enterOperation(dependencies, request, context, {
      record,
      kind: 'maintenance',
      look: resources ?? 'all',
      now: time,
    });
  });

/** Pauses of different resources may end together; a key of the store cannot hold the names of them all. */
const hashOf = (resources: readonly ResourceKey[]): string =>
  createHash('sha256').update(resources.toSorted().join(' ')).digest('hex').slice(0, 16);

export const postResume = (dependencies: ApiDependencies): HttpHandler =>
  onDeployment(dependencies.store, async (found, request, context) => {
    const { store, now = () => new Date() } = dependencies;
    const body = await askedBody(request, context, resumeSchema, { isOptional: true });
    if (!body.ok) return body.refusal;
    const { resources } = body.value;
    const time = now();
    const active = activePauses(found.pauses, time);
    const ended = (resource: ResourceKey | undefined): boolean =>
      resources === undefined || (resource !== undefined && resources.includes(resource));
    const unknown = (resources ?? []).filter((key) => !active.some(({ resource }) => resource === key));
    if (unknown.length > 0) {
      const errors = unknown.map((key) => ({
        field: 'resources',
        message: `${key} is not paused on its own; to end the pause of the whole deployment leave resources out`,
      }));
      return refuse(request, context, 'invalid-request', { detail: 'Nothing was changed.', errors });
    }
    const record = await store.changeDeployment(found.name, ({ pauses }) => ({
      pauses: activePauses(pauses, time).filter(({ resource }) => !ended(resource)),
    }));
    return enterOperation(dependencies, request, context, {
      record,
      kind: 'maintenance',
      look: resources ?? 'all',
      now: time,
    });
  });
