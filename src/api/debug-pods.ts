/**
 * POST /api/deployments/{name}/debug-pods starts a pod for looking into things by hand, and DELETE …/debug-pods/{kind}
 * takes it away before its time. Asked for again, it stays for longer only if it has to be started again.
 */
import type { HttpHandler } from '@azure/functions';
import { z } from 'zod';
import type { ResourceKey } from '../graph/resource.ts';
import { debugPodKinds } from '../resources/scope.ts';
import { readBody } from '../spec/read-body.ts';
import { enterOperation } from './enter-operation.ts';
import { findDeployment } from './find-deployment.ts';
import { bodyProblems, refuse } from './problem.ts';
import { type ApiDependencies, answering } from './respond.ts';

const MINUTES = 'must be a whole number from 1 to 240';
const bodySchema = z.strictObject({
  kind: z.enum(debugPodKinds, `must be one of ${debugPodKinds.join(', ')}`),
  minutes: z.number(MINUTES).int(MINUTES).min(1, MINUTES).max(240, MINUTES).default(30),
});

const look: readonly ResourceKey[] = ['azure/images', 'kubernetes/network-policy', 'kubernetes/debug-pods'];

export const postDebugPods = (dependencies: ApiDependencies): HttpHandler =>
  answering(async (request, context) => {
    const { store, now = () => new Date() } = dependencies;
    const found = await findDeployment(store, request.params['name']);
    if (!found)
      return refuse(request, context, 'not-found', { detail: 'There is no deployment of this name.' });
    const body = await readBody(request);
    if (!body.ok) return refuse(request, context, bodyProblems[body.reason], { detail: `${body.message}.` });
    const parsed = bodySchema.safeParse(body.value);
    if (!parsed.success) {
      const errors = parsed.error.issues.map(({ path, message }) => ({
        field: path.join('.') || 'body',
        message,
      }));
      return refuse(request, context, 'invalid-request', { detail: 'Nothing was changed.', errors });
    }
    const { kind, minutes } = parsed.data;
    const time = now();
    const until = new Date(time.getTime() + minutes * 60_000).toISOString();
    const record = await store.changeDeployment(found.name, ({ wishes }) => ({
      wishes: {
        ...wishes,
        debugPods: [...wishes.debugPods.filter((pod) => pod.kind !== kind), { kind, until }],
      },
    }));
    // The pod ends by itself; so that it is also gone, somebody looks when its time is up.
    await store.inbox.putRequest({
      id: `debug-pod-ends-${kind}`,
      deployment: found.name,
      kind: 'maintenance',
      cause: { kind: 'timer', what: `the time of the debug pod ${kind} is up` },
      look: ['kubernetes/debug-pods'],
      requestedAt: time.toISOString(),
      notBefore: until,
    });
    return enterOperation(dependencies, request, context, { record, kind: 'maintenance', look, now: time });
  });

export const deleteDebugPod = (dependencies: ApiDependencies): HttpHandler =>
  answering(async (request, context) => {
    const { store, now = () => new Date() } = dependencies;
    const found = await findDeployment(store, request.params['name']);
    if (!found)
      return refuse(request, context, 'not-found', { detail: 'There is no deployment of this name.' });
    const kind = z.enum(debugPodKinds).safeParse(request.params['kind']).data;
    if (kind === undefined || !found.wishes.debugPods.some((pod) => pod.kind === kind)) {
      return refuse(request, context, 'not-found', { detail: 'Nobody has asked for such a debug pod here.' });
    }
    const record = await store.changeDeployment(found.name, ({ wishes }) => ({
      wishes: { ...wishes, debugPods: wishes.debugPods.filter((pod) => pod.kind !== kind) },
    }));
    return enterOperation(dependencies, request, context, { record, kind: 'maintenance', look, now: now() });
  });
