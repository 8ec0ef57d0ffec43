/**
 * POST /api/deployments/{name}/debug-pods starts a pod for looking into things by hand, and DELETE …/debug-pods/{kind}
 * takes it away before its time. Asked for again, it stays for longer only if it has to be started again.
 */
import type { HttpHandler } from '@azure/functions';
import { z } from 'zod';
import type { ResourceKey } from '../graph/resource.ts';
import { debugPodKinds, type Wishes } from '../resources/scope.ts';
import { askedBody } from './asked-body.ts';
import { enterOperation } from './enter-operation.ts';
import { onDeployment } from './on-deployment.ts';
import { refuse } from './problem.ts';
import type { ApiDependencies } from './respond.ts';

const MINUTES = 'must be a whole number from 1 to 240';
const bodySchema = z.strictObject({
  kind: z.enum(debugPodKinds, `must be one of ${debugPodKinds.join(', ')}`),
  minutes: z.number(MINUTES).int(MINUTES).min(1, MINUTES).max(240, MINUTES).default(30),
});

const look: readonly ResourceKey[] = ['azure/images', 'kubernetes/network-policy', 'kubernetes/debug-pods'];

/** Those whose time is not up. */
export const activeDebugPods = ({ debugPods }: Wishes, now: Date): Wishes['debugPods'] =>
  debugPods.filter(({ until }) => Date.parse(until) > now.getTime());

export const postDebugPods = (dependencies: ApiDependencies): HttpHandler =>
  onDeployment(dependencies.store, async (found, request, context) => {
    const { store, now = () => new Date() } = dependencies;
    const body = await askedBody(request, context, bodySchema);
    if (!body.ok) return body.refusal;
    const { kind, minutes } = body.value;
    const time = now();
    const until = new Date(time.getTime() + minutes * 60_000).toISOString();
    const record = await store.changeDeployment(found.name, ({ wishes }) => ({
      wishes: {
        ...wishes,
        debugPods: [...activeDebugPods(wishes, time).filter((pod) => pod.kind !== kind), { kind, until }],
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
  onDeployment(dependencies.store, async (found, request, context) => {
    const { store, now = () => new Date() } = dependencies;
    const kind = z.enum(debugPodKinds).safeParse(request.params['kind']).data;
    const time = now();
    if (kind === undefined || !activeDebugPods(found.wishes, time).some((pod) => pod.kind === kind)) {
      const detail = `There is no such debug pod here; kinds are ${debugPodKinds.join(' and ')}.`;
      return refuse(request, context, 'not-found', { detail });
    }
    const record = await store.changeDeployment(found.name, ({ wishes }) => ({
      wishes: { ...wishes, debugPods: wishes.debugPods.filter((pod) => pod.kind !== kind) },
    }));
    return enterOperation(dependencies, request, context, { record, kind: 'maintenance', look, now: time });
  });
