/** A deployment's stack as one activity sees it: its spec, names and wanted resources, read afresh each time. */
import { fatal } from '../graph/failure.ts';
import type { GraphShape } from '../graph/plan.ts';
import type { ResourceKey } from '../graph/resource.ts';
import { type Names, namesOf } from '../naming.ts';
import { type StackResource, wantedResources } from '../resources/index.ts';
import type { Scope } from '../resources/scope.ts';
import { parseSpec } from '../spec/parse-spec.ts';
import type { DeploymentSpec } from '../spec/spec.ts';
import type { DeploymentRecord, Store } from '../store/store.ts';

/** What the store remembers that resources have to know. */
type Remembered = Pick<Scope, 'rotateAfter' | 'quarantine' | 'wishes'>;

export interface LoadedStack {
  readonly record: DeploymentRecord;
  readonly spec: DeploymentSpec;
  readonly names: Names;
  readonly wanted: readonly StackResource[];
  readonly remembered: Remembered;
}

/** Throws a fatal FailureError for a deployment that is not known, and what the store throws. */
export async function loadStack(store: Store, deployment: string): Promise<LoadedStack> {
  const record = await store.findDeployment(deployment);
  if (!record) throw fatal('UnknownDeployment', `there is no deployment ${deployment}`);
  const parsed = parseSpec(deployment, record.spec);
  if (!parsed.ok) {
    const fields = parsed.problems.map((problem) => `${problem.field}: ${problem.message}`).join('; ');
    throw fatal('InvalidSpec', `the stored spec is no longer valid: ${fields}`);
  }
  const names = namesOf(deployment, parsed.spec);
  const wanted = wantedResources({ spec: parsed.spec, names });
  return { record, spec: parsed.spec, names, wanted, remembered: rememberedOf(store, record) };
}

function rememberedOf(store: Store, record: DeploymentRecord): Remembered {
  const known = new Map(record.quarantine.map((image) => [image.digest, image]));
  const rotateAfter = Object.entries(record.rotateAfter).map(([name, at]) => [name, new Date(at)]);
  return {
    rotateAfter: Object.fromEntries(rotateAfter),
    wishes: record.wishes,
    quarantine: {
      has: (digest) => known.has(digest),
      of: (repository) => [...known.values()].filter((image) => image.repository === repository),
      add: async (image) => {
        const entry = { ...image, since: new Date().toISOString() };
        await store.changeDeployment(record.name, ({ quarantine }) => ({
          quarantine: quarantine.some(({ digest }) => digest === image.digest)
            ? quarantine
            : [...quarantine, entry],
        }));
        if (!known.has(image.digest)) known.set(image.digest, entry);
      },
    },
  };
}

/** Who waits for whom, among the wanted resources. */
export function shapeOf(wanted: readonly StackResource[]): GraphShape {
  const keys = new Set<ResourceKey>(wanted.map(({ key }) => key));
  return wanted.map((resource) => ({
    key: resource.key,
    waitsFor: Object.values(resource.dependsOn)
      .map((dependency) => dependency.key)
      .filter((key) => keys.has(key)),
  }));
}
