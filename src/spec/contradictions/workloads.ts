/** What cannot be meant about Open WebUI and Ollama. */
import type { Rule } from '../contradictions.ts';
import { derivedSettings } from '../derived-settings.ts';
import { fieldOf, type Problem, problem } from '../problem.ts';
import type { DeploymentSpec } from '../spec.ts';

type Quantities = DeploymentSpec['webui']['resources'];

const noOwnOllama: Rule = ({ spec, given }) => {
  if (!spec.ollama.externalUrl) return [];
  const meaningless = (['models', 'resources', 'storageClass', 'storageGiB'] as const).filter((field) => {
    const value = given.ollama?.[field];
    return Array.isArray(value) ? value.length > 0 : value !== undefined;
  });
  return meaningless.map((field) =>
    problem(`ollama.${field}`, 'must be left out with ollama.externalUrl: no Ollama is deployed'),
  );
};

const ownSettings: Rule = ({ spec }) =>
  Object.keys(spec.webui.config).flatMap((name) => {
    const source = derivedSettings.get(name);
    return source ? [problem(fieldOf(['webui', 'config', name]), `is derived: ${source}`)] : [];
  });

const factors: Readonly<Record<string, number>> = {
  m: 1e-3,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
};

function amount(quantity: string): number {
  const [, digits, unit = ''] = /^([\d.]+)(\D*)$/.exec(quantity) ?? [];
  return Number(digits) * (factors[unit] ?? 1);
}

/** `cpu: 2Gi` is two thousand million cores to Kubernetes and `memory: 512m` half a byte: both are slips. */
function unitProblems(field: string, { requests, limits }: Quantities): readonly Problem[] {
  return Object.entries({ requests, limits }).flatMap(([kind, { cpu, memory }]) => [
    ...(/i$/.test(cpu) ? [problem(`${field}.${kind}.cpu`, 'must count cores, such as 500m or 2')] : []),
    ...(/i$/.test(memory)
      ? []
      : [problem(`${field}.${kind}.memory`, 'must have a unit, such as 512Mi or 2Gi')]),
  ]);
}

function orderProblems(field: string, { requests, limits }: Quantities): readonly Problem[] {
  return (['cpu', 'memory'] as const).flatMap((what) =>
    amount(requests[what]) > amount(limits[what])
      ? [problem(`${field}.requests.${what}`, `must not be more than ${field}.limits.${what}`)]
      : [],
  );
}

const saneResources: Rule = ({ spec }) =>
  (['webui', 'ollama'] as const).flatMap((workload) => {
    const field = `${workload}.resources`;
    const units = unitProblems(field, spec[workload].resources);
    return units.length > 0 ? units : orderProblems(field, spec[workload].resources);
  });

export const workloadRules: readonly Rule[] = [noOwnOllama, ownSettings, saneResources];
