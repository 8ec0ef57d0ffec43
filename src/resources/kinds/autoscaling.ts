/**
 * The number of replicas of a Deployment, where an autoscaler has it. It sets the number through the `scale` subresource
 * as the controller manager, and the field is then its own in `managedFields`; that entry outlives the autoscaler, so both
 * are asked for. What somebody sets with `kubectl scale` is nobody's, and is put back.
 * https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/
 */
import { z } from 'zod';
import type { KubernetesApi, KubernetesObject } from '../../clients/kubernetes-api.ts';
import type { Dependencies, Outputs, Resource } from '../../graph/resource.ts';
import type { Scope } from '../scope.ts';

const entrySchema = z.object({
  manager: z.literal('kube-controller-manager'),
  subresource: z.literal('scale'),
  fieldsV1: z.object({ 'f:spec': z.object({ 'f:replicas': z.unknown() }) }),
});
const isScaleEntry = (entry: unknown): boolean => entrySchema.safeParse(entry).success;

const wasScaled = (found: KubernetesObject | undefined): boolean =>
  (found?.metadata.managedFields ?? []).some(isScaleEntry);

const autoscalerSchema = z.object({
  spec: z.object({ scaleTargetRef: z.object({ kind: z.string(), name: z.string() }) }),
});

/** Whether an autoscaler has set its replicas and is still there. One call, and none where no autoscaler ever was. */
export async function isAutoscaled(api: KubernetesApi, deployment: KubernetesObject): Promise<boolean> {
  if (!wasScaled(deployment)) return false;
  const { kind, metadata } = deployment;
  const autoscalers = await api.list({
    apiVersion: 'autoscaling/v2',
    kind: 'HorizontalPodAutoscaler',
    namespace: metadata.namespace ?? '',
  });
  return autoscalers
    .map((autoscaler) => autoscalerSchema.parse(autoscaler).spec.scaleTargetRef)
    .some((target) => target.kind === kind && target.name === metadata.name);
}

const specSchema = z.object({ spec: z.looseObject({}) });

/** `yielded` of a manifest; its resource is one `besideAutoscalers`. */
export function withoutReplicasOfAutoscaler(
  object: KubernetesObject,
  found: KubernetesObject | undefined,
): KubernetesObject {
  if (!wasScaled(found)) return object;
  const { replicas: _, ...spec } = specSchema.parse(object).spec;
  return { ...object, spec };
}

/** The resource, which sees entries in `managedFields` of those autoscalers only that are still there. */
export const besideAutoscalers = <Deps extends Dependencies, Out extends Outputs, Others>(
  resource: Resource<Scope, Deps, Out> & Others,
): Resource<Scope, Deps, Out> & Others => ({
  ...resource,
  observe: (scope, deps) => resource.observe(withoutLeftovers(scope), deps),
  ensure: (scope, deps, seen) => resource.ensure(withoutLeftovers(scope), deps, seen),
});

/** One look connects and asks for its Deployment more than once, and for autoscalers once. */
function withoutLeftovers(scope: Scope): Scope {
  let isScaled: Promise<boolean> | undefined;
  const forgetting = (api: KubernetesApi): KubernetesApi => ({
    ...api,
    async find(reference) {
      const found = await api.find(reference);
      if (!found || !wasScaled(found)) return found;
      isScaled ??= isAutoscaled(api, found);
      return (await isScaled) ? found : withoutScaleEntry(found);
    },
  });
  const { clients } = scope;
  return {
    ...scope,
    clients: {
      ...clients,
      kubernetes: async (resourceGroup, cluster) =>
        forgetting(await clients.kubernetes(resourceGroup, cluster)),
    },
  };
}

function withoutScaleEntry(found: KubernetesObject): KubernetesObject {
  const managedFields = (found.metadata.managedFields ?? []).filter((entry) => !isScaleEntry(entry));
  return { ...found, metadata: { ...found.metadata, managedFields } };
}
