/** POST /api/deployments/{name}/restart: the pods of a workload are replaced once, as `kubectl rollout restart` does it. */
import type { HttpHandler } from '@azure/functions';
import { z } from 'zod';
import type { ResourceKey } from '../graph/resource.ts';
import { namesOf } from '../naming.ts';
import { wantedResources } from '../resources/index.ts';
import { workloads } from '../resources/scope.ts';
import { parseSpec } from '../spec/parse-spec.ts';
import { problem } from '../spec/problem.ts';
import { askedBody } from './asked-body.ts';
import { enterOperation } from './enter-operation.ts';
import { onDeployment, outdatedSpec } from './on-deployment.ts';
import { refuse } from './problem.ts';
import type { ApiDependencies } from './respond.ts';

const bodySchema = z.strictObject({
  workload: z.enum(workloads, `must be one of ${workloads.join(', ')}`),
});

export const postRestart = (dependencies: ApiDependencies): HttpHandler =>
  onDeployment(dependencies.store, async (found, request, context) => {
    const { store, now = () => new Date() } = dependencies;
    const body = await askedBody(request, context, bodySchema);
    if (!body.ok) return body.refusal;
    const { workload } = body.value;
    const key: ResourceKey = `kubernetes/${workload}`;
    const parsed = parseSpec(found.name, found.spec);
    if (!parsed.ok) {
      return refuse(request, context, 'invalid-spec', { ...outdatedSpec, errors: parsed.problems });
    }
    const wanted = wantedResources({ spec: parsed.spec, names: namesOf(found.name, parsed.spec) });
    if (!wanted.some((resource) => resource.key === key)) {
      const errors = [problem('workload', `must be one that the spec asks for, and ${workload} is not`)];
      return refuse(request, context, 'invalid-request', { detail: 'Nothing was changed.', errors });
    }
    const time = now();
    const record = await store.changeDeployment(found.name, ({ wishes }) => ({
      wishes: { ...wishes, restartAfter: { ...wishes.restartAfter, [workload]: time.toISOString() } },
    }));
    const look = [key];
    return enterOperation(dependencies, request, context, { record, kind: 'maintenance', look, now: time });
  });
