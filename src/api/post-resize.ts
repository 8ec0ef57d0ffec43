/**
 * POST /api/deployments/{name}/resize: more room for the share or for the models. A change of the spec; smaller is
 * refused, as no disk can shrink, and a share that shrinks below what is on it loses nothing only by luck.
 */
import type { HttpHandler } from '@azure/functions';
import { z } from 'zod';
import type { Problem } from '../spec/problem.ts';
import { askedBody } from './asked-body.ts';
import { changeSpec } from './change-spec.ts';
import { enterOperation } from './enter-operation.ts';
import { type ApiDependencies, answering } from './respond.ts';

const gib = z.number('must be a number of GiB').optional();
const bodySchema = z
  .strictObject({ shareGiB: gib, ollamaGiB: gib })
  .refine(({ shareGiB, ollamaGiB }) => shareGiB !== undefined || ollamaGiB !== undefined, {
    error: 'must have shareGiB, ollamaGiB or both',
  });

export const postResize = (dependencies: ApiDependencies): HttpHandler =>
  answering(async (request, context) => {
    const body = await askedBody(request, context, bodySchema);
    if (!body.ok) return body.refusal;
    const { shareGiB, ollamaGiB } = body.value;
    const name = request.params['name'] ?? '';
    const change = await changeSpec(dependencies, request, context, name, (given, { storage, ollama }) => {
      const errors = [
        ...smaller('shareGiB', shareGiB, storage.quotaGiB),
        ...smaller('ollamaGiB', ollamaGiB, ollama.storageGiB),
      ];
      if (errors.length > 0) return { errors };
      return {
        spec: {
          ...given,
          ...(shareGiB === undefined ? {} : { storage: { ...given.storage, quotaGiB: shareGiB } }),
          ...(ollamaGiB === undefined ? {} : { ollama: { ...given.ollama, storageGiB: ollamaGiB } }),
        },
        fields: { 'storage.quotaGiB': 'shareGiB', 'ollama.storageGiB': 'ollamaGiB' },
      };
    });
    if (!change.ok) return change.refusal;
    const { record, at: now } = change;
    return enterOperation(dependencies, request, context, { record, kind: 'maintenance', look: 'all', now });
  });

const smaller = (field: string, wanted: number | undefined, is: number): readonly Problem[] =>
  wanted !== undefined && wanted < is
    ? [{ field, message: `must be at least ${is}, as it is now: it can only grow` }]
    : [];
