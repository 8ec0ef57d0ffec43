/** Ollama answers, and has the models that the spec wishes. */
import { z } from 'zod';
import type { KubernetesApi } from '../../clients/kubernetes-api.ts';
import { fullName } from '../../resources/kubernetes/ollama-models.ts';
import { OLLAMA_PORT } from '../../resources/kubernetes/ollama-service.ts';
import type { Check, CheckScope } from '../check.ts';
import { repairOf } from '../repair.ts';
import { type Asked, askService } from './ask-service.ts';
import { clusterOf } from './cluster.ts';

const tagsSchema = z.object({
  models: z
    .array(
      z.object({
        name: z.string(),
        size: z.number().default(0),
        /** Runs at Ollama's own cloud, and takes no room here. */
        remote_host: z.string().optional(),
      }),
    )
    .nullish(),
});

interface ListedModels {
  /** By their full names. */
  readonly models: readonly string[];
  /** Of those that run here, smallest first. */
  readonly bySize: readonly string[];
}

type Silence = Extract<Asked, { readonly isAnswered: false }>;

/** Models that Ollama lists; or why it does not. */
export async function modelsIn(api: KubernetesApi, namespace: string): Promise<ListedModels | Silence> {
  const answer = await askService(api, { namespace, name: 'ollama', port: OLLAMA_PORT }, '/api/tags');
  if (!answer.isAnswered) return answer;
  const tags = tagsSchema.safeParse(answer.body);
  if (answer.status !== 200 || !tags.success) {
    const said = `it answers HTTP ${answer.status} to /api/tags`;
    return { isAnswered: false, said, isMissing: false, isLate: false };
  }
  const listed = tags.data.models ?? [];
  return {
    models: listed.map(({ name }) => fullName(name)),
    bySize: listed
      .filter(({ remote_host }) => !remote_host)
      .toSorted((one, other) => one.size - other.size || one.name.localeCompare(other.name))
      .map(({ name }) => fullName(name)),
  };
}

export const missingModels = (
  { spec }: Pick<CheckScope, 'spec'>,
  present: readonly string[],
): readonly string[] => spec.ollama.models.filter((model) => !present.includes(fullName(model)));

export const ollamaAnswers: Check = {
  id: 'ollama-answers',
  system: 'models',
  title: 'Ollama answers, and has the wished models',
  isWanted: ({ spec }) => spec.ollama.externalUrl === undefined,
  async run(scope) {
    const api = await clusterOf(scope);
    const { namespace } = scope.names;
    const found = await modelsIn(api, namespace);
    if (!('models' in found)) {
      return [
        {
          id: 'ollama-silent',
          resource: found.isMissing ? 'kubernetes/ollama-service' : 'kubernetes/ollama',
          severity: 'error',
          what: 'Ollama does not answer.',
          evidence: found.said,
          breaks: 'No model answers.',
          remedy: `kubectl get pods,endpointslices -n ${namespace}; kubectl logs -n ${namespace} deployment/ollama`,
        },
      ];
    }
    const missing = missingModels(scope, found.models);
    if (missing.length === 0) return [];
    return [
      {
        id: 'models-missing',
        resource: 'kubernetes/ollama-models',
        severity: 'warning',
        what: 'Ollama lacks models that the spec wishes.',
        evidence: `not in its list: ${missing.join(', ')}`,
        breaks: 'They cannot be chosen in a chat.',
        remedy: missing
          .map((model) => `kubectl exec -n ${namespace} deployment/ollama -- ollama pull ${model}`)
          .join('; '),
        repair: repairOf(scope),
      },
    ];
  },
};
