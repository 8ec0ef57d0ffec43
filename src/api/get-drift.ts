/** GET /api/deployments/{name}/drift: what others have changed, who, and what became of it. Newest first. */
import type { HttpHandler } from '@azure/functions';
import { z } from 'zod';
import { type DriftRecord, isUnsettled } from '../store/drift.ts';
import { onDeployment } from './on-deployment.ts';
import { refuse } from './problem.ts';
import { type ApiDependencies, operationUrl, respond } from './respond.ts';

/** `unsettled`: whatever is different still. */
const states = ['unsettled', 'open', 'repaired', 'reported', 'adopted', 'fought', 'paused', 'gone'] as const;
const stateSchema = z.enum(states).optional();

export const getDrift = ({ store }: ApiDependencies): HttpHandler =>
  onDeployment(store, async (record, request, context) => {
    const state = stateSchema.safeParse(request.query.get('state') ?? undefined);
    if (!state.success) {
      const errors = [{ field: 'state', message: `must be one of ${states.join(', ')}` }];
      return refuse(request, context, 'invalid-request', { detail: 'The query is not right.', errors });
    }
    const isAsked = (drift: DriftRecord): boolean =>
      state.data === undefined ||
      (state.data === 'unsettled' ? isUnsettled(drift) : drift.state === state.data);
    const shown = ({ pushedAt: _, lastAsAskedAt: __, operationId, ...drift }: DriftRecord) => ({
      ...drift,
      ...(operationId === undefined
        ? {}
        : { operation: { id: operationId, url: operationUrl(request, operationId) } }),
    });
    return respond(200, { drift: (await store.drift.list(record.name)).filter(isAsked).map(shown) });
  });
