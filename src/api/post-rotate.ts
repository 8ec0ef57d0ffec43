/**
 * POST /api/deployments/{name}/rotate: a person wants new values of secrets. Only the wish is stored, with its time; each
 * secret that is older is replaced, in the order that keeps everybody signed in and connected.
 */
import type { HttpHandler } from '@azure/functions';
import { z } from 'zod';
import type { ResourceKey } from '../graph/resource.ts';
import { type Rotation, rotations } from '../resources/scope.ts';
import { askedBody } from './asked-body.ts';
import { enterOperation } from './enter-operation.ts';
import { onDeployment } from './on-deployment.ts';
import type { ApiDependencies } from './respond.ts';

const one = z.enum(rotations, `must be one of ${rotations.join(', ')}`);
const bodySchema = z.strictObject({
  what: z.union([one.transform((name) => [name]), z.array(one).min(1, 'must name at least one')], {
    error: `must be a list of some of ${rotations.join(', ')}`,
  }),
});

/** Which resource keeps each of them. */
const keepers: Readonly<Record<Rotation, readonly ResourceKey[]>> = {
  'client-secret': ['entra/client-secret'],
  'postgres-password': ['azure/postgres-password'],
  'storage-key': ['azure/storage-credentials'],
  'tunnel-token': ['cloudflare/tunnel-token'],
  'webui-secret-key': ['azure/webui-secret-key'],
};

export const postRotate = (dependencies: ApiDependencies): HttpHandler =>
  onDeployment(dependencies.store, async (found, request, context) => {
    const { store, now = () => new Date() } = dependencies;
    const body = await askedBody(request, context, bodySchema, { list: 'what' });
    if (!body.ok) return body.refusal;
    const time = now();
    const asked = Object.fromEntries(body.value.what.map((name) => [name, time.toISOString()]));
    const record = await store.changeDeployment(found.name, ({ rotateAfter }) => ({
      rotateAfter: { ...rotateAfter, ...asked },
    }));
    return enterOperation(dependencies, request, context, {
      record,
      kind: 'rotation',
      look: body.value.what.flatMap((name) => keepers[name]),
      now: time,
    });
  });
