/** POST /api/deployments/{name}/accept: a person wants changes that were made in a cloud to be what the spec asks for. */
import { isDeepStrictEqual } from 'node:util';
import type { HttpHandler } from '@azure/functions';
import { z } from 'zod';
import { adopt } from '../spec/adopt.ts';
import type { Problem } from '../spec/problem.ts';
import { isUnsettled } from '../store/drift.ts';
import { askedBody } from './asked-body.ts';
import { changeSpec } from './change-spec.ts';
import { enterOperation } from './enter-operation.ts';
import { onDeployment } from './on-deployment.ts';
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
    const { store } = dependencies;
    const body = await askedBody(request, context, bodySchema);
    if (!body.ok) return body.refusal;
    const open = (await store.drift.list(found.name)).filter(isUnsettled);
    const named = body.value.differences.map(({ resource, path }, index) => ({
      field: `differences[${index}]`,
      resource,
      record: open.find((drift) => drift.resource === resource && drift.path === path),
    }));
    const items = named.flatMap(({ resource, record }) => (record ? [{ resource, difference: record }] : []));
    const change = await changeSpec(dependencies, request, context, found.name, (spec, defaulted) => {
      const { given, refused } = adopt({ name: found.name, spec }, defaulted, items);
      const errors = named.flatMap(({ field, record }): readonly Problem[] => {
        if (!record) return [{ field, message: 'is not a difference that is open now' }];
        const no = refused.find(({ difference }) => difference === record);
        return no ? [{ field, message: no.why }] : [];
      });
      return errors.length > 0 ? { errors } : { spec: given, of: 'differences' };
    });
    if (!change.ok) return change.refusal;
    const { record, at: time } = change;
    const at = time.toISOString();
    for (const { resource, difference } of items) {
      // Another value that was found meanwhile is not what the person has seen.
      await store.drift.change(found.name, resource, difference.path, (drift) =>
        isDeepStrictEqual(drift.found, difference.found)
          ? { ...drift, state: 'adopted', settledAt: at }
          : undefined,
      );
    }
    return enterOperation(dependencies, request, context, {
      record,
      kind: 'provision',
      look: 'all',
      now: time,
    });
  });
