/**
 * POST /api/deployments/{name}/rotate: a person wants new values of secrets. Only the wish is stored, with its time; each
 * secret that is older is replaced, in the order that keeps everybody signed in and connected.
 */
import type { HttpHandler } from '@azure/functions';
import { z } from 'zod';
import type { ResourceKey } from '../graph/resource.ts';
import { type Rotation, rotations } from '../resources/scope.ts';
import { readBody } from '../spec/read-body.ts';
import { enterOperation } from './enter-operation.ts';
import { findDeployment } from './find-deployment.ts';
import { bodyProblems, refuse } from './problem.ts';
import { type ApiDependencies, answering } from './respond.ts';

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
    const time = now();
    const asked = Object.fromEntries(parsed.data.what.map((name) => [name, time.toISOString()]));
    const record = await store.changeDeployment(found.name, ({ rotateAfter }) => ({
      rotateAfter: { ...rotateAfter, ...asked },
    }));
    return enterOperation(dependencies, request, context, {
      record,
      kind: 'rotation',
      look: parsed.data.what.flatMap((name) => keepers[name]),
      now: time,
    });
  });
