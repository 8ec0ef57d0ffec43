/** Ollama answers, and has the models that the spec wishes. */
import { z } from 'zod';
import type { KubernetesApi } from '../../clients/kubernetes-api.ts';
import { fullName } from '../../resources/kubernetes/ollama-models.ts';
import { OLLAMA_PORT } from '../../resources/kubernetes/ollama-service.ts';
import type { Check, CheckScope } from '../check.ts';
import { repairOf } from '../repair.ts';
import { type Asked, askService } from './ask-service.ts';
import { clusterOf } from './cluster.ts';

const tagsSchema = z.object({ models: z.array(z.object({ name: z.string() })).nullish() });

/** Models that Ollama lists, by their full names; or why it does not. */
export async function modelsIn(
  api: KubernetesApi,
  namespace: string,
): Promise<{ readonly models: readonly string[] } | Extract<Asked, { readonly isAnswered: false }>> {
  const answer = await askService(api, { namespace, name: 'ollama', port: OLLAMA_PORT }, '/api/tags');
  if (!answer.isAnswered) return answer;
  const tags = tagsSchema.safeParse(answer.body);
  if (answer.status !== 200 || !tags.success) {
    return { isAnswered: false, said: `it answers HTTP ${answer.status} to /api/tags`, isMissing: false };
  }
  return { models: (tags.data.models ?? []).map(({ name }) => fullName(name)) };
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
