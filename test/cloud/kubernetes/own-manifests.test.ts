import { afterAll, beforeAll, expect, test } from 'vitest';
import type { KubernetesObject } from '../../../src/clients/kubernetes-api.ts';
import type { DependencyOutputs } from '../../../src/graph/resource.ts';
import { stack } from '../../../src/resources/index.ts';
import { type KubernetesObjects, manifestOf } from '../../../src/resources/kinds/kubernetes-object.ts';
import { known } from '../../resources/kubernetes/known-outputs.ts';
import { specOf } from '../../resources/spec.ts';
import { call } from './client.ts';
import { eventually, type SmallWorld, startSmallWorld } from './small-world.ts';
import { apply, installOperators, type Manifest } from './stack.ts';

let world: SmallWorld;

beforeAll(async () => {
  world = await startSmallWorld({ speed: 200 });
  await installOperators(world);
});
afterAll(() => world.stop());

/** Every object the control plane would apply for a spec of defaults, in the order of its resources. */
function ownManifests(): KubernetesObject[] {
  const scope = specOf({});
  const deps = known as unknown as DependencyOutputs<Record<never, never>>;
  return stack.flatMap((resource) => {
    const { objects } = resource as Partial<
      Pick<KubernetesObjects<Record<never, never>, Record<never, never>>, 'objects'>
    >;
    return (objects?.(scope, deps) ?? []).map((manifest) => manifestOf(manifest, scope, deps));
  });
}

test('takes every object the control plane applies, as it is', async () => {
  const manifests = ownManifests();
  expect(manifests.length).toBeGreaterThan(15);
  for (const manifest of manifests) {
    await apply(world, manifest as unknown as Manifest);
    if (manifest.kind === 'Namespace') {
      await eventually(
        () => call(world, 'GET', `/api/v1/namespaces/${manifest.metadata.name}/serviceaccounts/default`),
        ({ status }) => status === 200,
      );
    }
  }
});
