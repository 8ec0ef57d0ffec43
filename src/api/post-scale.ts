/** POST /api/deployments/{name}/scale: another number of Open WebUI pods, which is a change of the spec. */
import type { HttpHandler } from '@azure/functions';
import { z } from 'zod';
import { askedBody } from './asked-body.ts';
import { changeSpec } from './change-spec.ts';
import { enterOperation } from './enter-operation.ts';
import { type ApiDependencies, answering } from './respond.ts';

/** How many there may be is the spec's to say. */
const bodySchema = z.strictObject({ replicas: z.number('must be a number') });

export const postScale = (dependencies: ApiDependencies): HttpHandler =>
  answering(async (request, context) => {
    const body = await askedBody(request, context, bodySchema);
    if (!body.ok) return body.refusal;
    const { replicas } = body.value;
    const name = request.params['name'] ?? '';
    const change = await changeSpec(dependencies, request, context, name, (given) => ({
      spec: { ...given, webui: { ...given.webui, replicas } },
      fields: { 'webui.replicas': 'replicas' },
    }));
    if (!change.ok) return change.refusal;
    const { record, at: now } = change;
    return enterOperation(dependencies, request, context, { record, kind: 'maintenance', look: 'all', now });
  });
