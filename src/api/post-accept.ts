/** POST /api/deployments/{name}/accept: a person wants changes that were made in a cloud to be what the spec asks for. */
import type { HttpHandler } from '@azure/functions';
import { z } from 'zod';
import { adopt } from '../spec/adopt.ts';
import { parseSpec } from '../spec/parse-spec.ts';
import type { Problem } from '../spec/problem.ts';
import { isUnsettled } from '../store/drift.ts';
import { ConflictError, type DeploymentRecord } from '../store/store.ts';
import { askedBody } from './asked-body.ts';
import { enterOperation } from './enter-operation.ts';
import { onDeployment } from './on-deployment.ts';
import { refuse } from './problem.ts';
import { resourceKey } from './resource-keys.ts';
import type { ApiDependencies } from './respond.ts';

const bodySchema = z.strictObject({
  differences: z
    .array(
      z.strictObject({ resource: resourceKey, path: z.string('must be a path as GET …/drift tells it') }),
    )
    .min(1, 'must name at least one')
    .max(100, 'must name at most 100'),
});

export const postAccept = (dependencies: ApiDependencies): HttpHandler =>
  onDeployment(dependencies.store, async (found, request, context) => {
    const { store, now = () => new Date() } = dependencies;
    const body = await askedBody(request, context, bodySchema);
    if (!body.ok) return body.refusal;
    const parsed = parseSpec(found.name, found.spec);
    if (!parsed.ok) {
      const detail = 'The stored spec is not valid under the rules of today: put a valid one first.';
      return refuse(request, context, 'invalid-spec', { detail, errors: parsed.problems });
    }

    const open = (await store.drift.list(found.name)).filter(isUnsettled);
    const named = body.value.differences.map(({ resource, path }, index) => ({
      field: `differences.${index}`,
      resource,
      record: open.find((drift) => drift.resource === resource && drift.path === path),
    }));
    const items = named.flatMap(({ resource, record }) => (record ? [{ resource, difference: record }] : []));
    const { given, refused } = adopt(found, parsed.spec, items);
    const errors = named.flatMap(({ field, record }): readonly Problem[] => {
      if (!record) return [{ field, message: 'is not a difference that is open now' }];
      const no = refused.find(({ difference }) => difference === record);
      return no ? [{ field, message: no.why }] : [];
    });
    if (errors.length > 0) {
      return refuse(request, context, 'invalid-request', { detail: 'Nothing was changed.', errors });
    }

    const time = now();
    let record: DeploymentRecord;
    try {
      record = await store.putDeployment(found.name, given, time, { ifMatch: [found.etag] });
    } catch (error) {
      if (!(error instanceof ConflictError)) throw error;
      return refuse(request, context, 'changed-meanwhile', {
        detail: `Nothing was written: ${error.message}.`,
      });
    }
    const at = time.toISOString();
    await store.drift.put(
      found.name,
      named.flatMap(({ record: drift }) =>
        drift ? [{ ...drift, state: 'adopted' as const, settledAt: at }] : [],
      ),
    );
    return enterOperation(dependencies, request, context, {
      record,
      kind: 'provision',
      look: 'all',
      now: time,
    });
  });
