/** What keeps a spec that is right in itself from being stored: it is too long, or another deployment has what it names. */
import { clashes, type NamedSpec } from '../spec/clashes.ts';
import { parseSpec } from '../spec/parse-spec.ts';
import type { Problem } from '../spec/problem.ts';
import type { DeploymentSpec, DeploymentSpecInput } from '../spec/spec.ts';
import { LARGEST_SPEC_CHARACTERS, type Store } from './store.ts';

export type Obstacle =
  | { readonly kind: 'too-large'; readonly message: string }
  | { readonly kind: 'name-taken'; readonly problems: readonly Problem[] };

export async function obstacleTo(
  store: Store,
  name: string,
  { given, spec }: { readonly given: DeploymentSpecInput; readonly spec: DeploymentSpec },
): Promise<Obstacle | undefined> {
  const size = JSON.stringify(given).length;
  if (size > LARGEST_SPEC_CHARACTERS) {
    const message = `As JSON the spec has ${size} characters; at most ${LARGEST_SPEC_CHARACTERS} can be stored.`;
    return { kind: 'too-large', message };
  }
  const problems = clashes({ name, spec }, await otherSpecs(store, name));
  return problems.length > 0 ? { kind: 'name-taken', problems } : undefined;
}

/** Stored specs that today's rules refuse claim nothing. */
async function otherSpecs(store: Store, name: string): Promise<readonly NamedSpec[]> {
  const others = (await store.listDeployments()).filter((record) => record.name !== name);
  return others.flatMap((record) => {
    const parsed = parseSpec(record.name, record.spec);
    return parsed.ok ? [{ name: record.name, spec: parsed.spec }] : [];
  });
}
