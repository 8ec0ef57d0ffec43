/** Objects without a life of their own: they are there and say what they should, or somebody has changed them. */
import type { KubernetesObject } from '../../clients/kubernetes-api.ts';
import type { Dependencies } from '../../graph/resource.ts';
import {
  differencesOf,
  findServed,
  type KubernetesObjects,
  manifestOf,
} from '../../resources/kinds/kubernetes-object.ts';
import { disruptionBudget } from '../../resources/kubernetes/disruption-budget.ts';
import { networkPolicy } from '../../resources/kubernetes/network-policy.ts';
import type { Check, CheckFinding, CheckScope } from '../check.ts';
import { repairOf } from '../repair.ts';
import { clusterOf } from './cluster.ts';

/** A resource, of whose manifests those asked for need nothing but the spec. */
export type Plain = Pick<KubernetesObjects<Dependencies, never>, 'objects'>;
export const plain = (resource: Pick<KubernetesObjects<never, never>, 'objects'>): Plain =>
  resource as unknown as Plain;

export interface WishedObject {
  readonly wanted: KubernetesObject;
  readonly found: KubernetesObject | undefined;
  /** Paths of the fields below `spec` that are not as wished, with both values. */
  readonly wrong: readonly string[];
}

export async function wishedObjects(
  scope: CheckScope,
  resource: Plain,
  kind?: string,
): Promise<readonly WishedObject[]> {
  const api = await clusterOf(scope);
  const manifests = resource.objects(scope, {}).filter((one) => kind === undefined || one.kind === kind);
  return Promise.all(
    manifests.map(async (manifest) => {
      const wanted = manifestOf(manifest, scope, {});
      const { apiVersion, kind, metadata } = wanted;
      const found = await findServed(api, { apiVersion, kind, ...metadata });
      const prefix = `${kind} ${metadata.name}: spec.`;
      const wrong = found
        ? differencesOf(wanted, found)
            .filter(({ path }) => path.startsWith(prefix))
            .map(({ path, wanted: wish, found: is }) => {
              const text = (value: unknown): string => JSON.stringify(value ?? null);
              return `${path.slice(prefix.length)} is ${text(is)}, and should be ${text(wish)}`;
            })
        : [];
      return { wanted, found, wrong };
    }),
  );
}

export const policiesPresent: Check = {
  id: 'network-policies-present',
  system: 'workloads',
  title: 'The network policies are there and as wished',
  run: async (scope) =>
    troubles(scope, await wishedObjects(scope, plain(networkPolicy)), {
      resource: 'kubernetes/network-policy',
      short: 'policy',
      missing: 'its pods may be talked to by any pod of the cluster, and may talk to anybody',
      changed: 'its pods may be cut off from what they need, or open to others',
    }),
};

export const budgetPresent: Check = {
  id: 'disruption-budget-present',
  system: 'workloads',
  title: 'The disruption budget is there and as wished',
  isWanted: ({ spec }) => spec.webui.replicas > 1,
  run: async (scope) =>
    troubles(scope, await wishedObjects(scope, plain(disruptionBudget)), {
      resource: 'kubernetes/disruption-budget',
      short: 'budget',
      missing: 'draining nodes may take all replicas of Open WebUI at once',
      changed: 'draining nodes may take all replicas of Open WebUI at once, or be held up by them for ever',
    }),
};

function troubles(
  scope: CheckScope,
  objects: readonly WishedObject[],
  words: {
    readonly resource: CheckFinding['resource'];
    readonly short: string;
    readonly missing: string;
    readonly changed: string;
  },
): readonly CheckFinding[] {
  return objects.flatMap(({ wanted, found, wrong }): readonly CheckFinding[] => {
    const { kind, metadata } = wanted;
    const [first] = wrong;
    if (found && first === undefined) return [];
    return [
      {
        id: `${metadata.name}-${words.short}-${found ? 'changed' : 'missing'}`,
        resource: words.resource,
        severity: 'warning',
        what: found
          ? `Somebody has changed the ${kind} ${metadata.name}.`
          : `There is no ${kind} ${metadata.name}.`,
        evidence:
          first ??
          `kubectl get ${kind.toLowerCase()} ${metadata.name} -n ${metadata.namespace} finds nothing`,
        breaks: `${metadata.name}: ${found ? words.changed : words.missing}.`,
        remedy: 'Have the control plane apply it again.',
        repair: repairOf(scope),
      },
    ];
  });
}
