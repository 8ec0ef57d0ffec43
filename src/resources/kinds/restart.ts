/**
 * New pods for a Deployment, the way `kubectl rollout restart` gets them: an annotation of the pod template with the time,
 * which makes it another template. Whoever restarts the pods later by hand has done what was asked for; that is left as it is.
 * https://kubernetes.io/docs/reference/kubectl/generated/kubectl_rollout/kubectl_rollout_restart/
 */
import { z } from 'zod';
import type { KubernetesObject } from '../../clients/kubernetes-api.ts';
import type { Once } from './kubernetes-object.ts';

export const RESTARTED_AT = 'kubectl.kubernetes.io/restartedAt';

const templated = z.looseObject({
  template: z.looseObject({
    metadata: z.looseObject({ annotations: z.record(z.string(), z.string()).default({}) }).prefault({}),
  }),
});

const restartedAtOf = (deployment: KubernetesObject | undefined): string | undefined =>
  templated.safeParse(deployment?.['spec']).data?.template.metadata.annotations[RESTARTED_AT];

/** As kubectl writes it, in whole seconds: so both can be compared. */
const inSeconds = (time: string): string => `${new Date(time).toISOString().slice(0, 19)}Z`;

export const restart = (after: string): Once => ({
  after,
  ask(object, found) {
    const asked = inSeconds(after);
    const last = restartedAtOf(found);
    const isDone = last !== undefined && Date.parse(last) >= Date.parse(asked);
    const spec = templated.parse(object['spec']);
    const { metadata } = spec.template;
    const annotations = { ...metadata.annotations, [RESTARTED_AT]: isDone ? last : asked };
    return {
      ...object,
      spec: { ...spec, template: { ...spec.template, metadata: { ...metadata, annotations } } },
    };
  },
});
