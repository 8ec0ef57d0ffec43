/** What a claim asks for and has, and how far its growth has got: https://kubernetes.io/docs/concepts/storage/persistent-volumes/#expanding-persistent-volumes-claims */
import { z } from 'zod';
import type { KubernetesObject } from '../../clients/kubernetes-api.ts';
import type { Unready } from './kubernetes-object.ts';
import { isLessQuantity } from './quantity.ts';

const claimSchema = z.object({
  metadata: z.object({ name: z.string() }),
  spec: z.object({ resources: z.object({ requests: z.object({ storage: z.string() }) }) }),
  status: z
    .object({
      phase: z.string().optional(),
      capacity: z.object({ storage: z.string().optional() }).default({}),
      conditions: z
        .array(z.object({ type: z.string(), status: z.string(), message: z.string().default('') }))
        .default([]),
    })
    .prefault({}),
});

/** The size a claim asks for. */
export const requestedBy = (claim: KubernetesObject): string =>
  claimSchema.parse(claim).spec.resources.requests.storage;

/** What its volume has is less than what it asks for, and on its way there. */
export function growing(claim: KubernetesObject): Unready {
  const { metadata, spec, status } = claimSchema.parse(claim);
  const { storage: asked } = spec.resources.requests;
  const { storage: has } = status.capacity;
  if (status.phase !== 'Bound' || has === undefined || !isLessQuantity(has, asked)) return undefined;
  const [condition] = status.conditions.filter((one) => one.status === 'True');
  const why = condition ? ` (${condition.type}${condition.message ? `: ${condition.message}` : ''})` : '';
  return {
    state: 'changing',
    reason: `${metadata.name} grows from ${has} to ${asked}${why}`,
    retryAfterSeconds: 10,
  };
}
