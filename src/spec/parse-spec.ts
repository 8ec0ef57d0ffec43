/** The one way from what a user wrote to a spec that makes sense, or to everything that is wrong with it at once. */
import { namesOf } from '../naming.ts';
import { contradictions, type Rule } from './contradictions.ts';
import { fieldOf, type Problem, problem } from './problem.ts';
import { schemaProblems } from './schema-problems.ts';
import {
  type DeploymentSpec,
  type DeploymentSpecInput,
  deploymentName,
  deploymentSpecSchema,
} from './spec.ts';

export type ParsedSpec =
  /** `given` is the input, now known to be well-formed: without defaults, as it is to be stored. */
  | { readonly ok: true; readonly spec: DeploymentSpec; readonly given: DeploymentSpecInput }
  | { readonly ok: false; readonly problems: readonly Problem[] };

/** In the place of required sections that are themselves at fault, so that the others can be looked at. */
const standIns: Pick<DeploymentSpecInput, 'subscriptionId' | 'tenantId' | 'registry' | 'tunnel'> = {
  subscriptionId: '00000000-0000-4000-8000-000000000000',
  tenantId: '00000000-0000-4000-8000-000000000000',
  registry: { name: 'registry' },
  tunnel: { accountId: '0'.repeat(32), zoneId: '0'.repeat(32), hostName: 'host.example.com' },
};

/**
 * Checks a deployment's name and spec, and `more` that only the caller knows. Never throws; problems come in the spec's own
 * order, most basic first.
 */
export function parseSpec(name: string, input: unknown, more: readonly Rule[] = []): ParsedSpec {
  const nameProblems = (deploymentName.safeParse(name).error?.issues ?? []).map(({ message }) =>
    problem('name', message),
  );
  const parsed = deploymentSpecSchema.safeParse(input);
  const formProblems = [
    ...nameProblems,
    ...unusableNames(input, []),
    ...schemaProblems(parsed.error?.issues ?? [], input),
  ];
  const problems = [...formProblems, ...contradictionsOf(name, input, formProblems, more)];
  return parsed.success && problems.length === 0
    ? { ok: true, spec: parsed.data, given: input as DeploymentSpecInput }
    : { ok: false, problems };
}

/** Looks for contradictions in the sections that are well-formed, even when others are not. */
function contradictionsOf(
  name: string,
  input: unknown,
  found: readonly Problem[],
  more: readonly Rule[],
): readonly Problem[] {
  if (typeof input !== 'object' || input === null || Array.isArray(input)) return [];
  const faulty = new Set(found.map(({ field }) => sectionOf(field)));
  const sound = Object.fromEntries(
    Object.entries(input).filter(
      ([section]) => Object.hasOwn(deploymentSpecSchema.shape, section) && !faulty.has(section),
    ),
  );
  const given = { ...standIns, ...sound };
  const parsed = deploymentSpecSchema.safeParse(given);
  if (!parsed.success) return [];
  const subject = { spec: parsed.data, given, names: namesOf(name, parsed.data) };
  return [...contradictions(subject), ...more.flatMap((rule) => rule(subject))].filter(
    ({ field }) => !faulty.has(sectionOf(field)),
  );
}

const sectionOf = (field: string): string => /^\w*/.exec(field)?.[0] ?? '';

/** `__proto__` as a name is never meant, and what reads it later might take it for more than a name. */
function unusableNames(value: unknown, path: readonly PropertyKey[]): readonly Problem[] {
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([name, item]) => {
    const here = [...path, Array.isArray(value) ? Number(name) : name];
    return name === '__proto__'
      ? [problem(fieldOf(here), 'is not a usable name')]
      : unusableNames(item, here);
  });
}
