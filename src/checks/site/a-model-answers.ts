/**
 * The last link of a chat: a model says a word. One that is loaded is asked, else the smallest; loading it from the disk
 * may take longer than a check can wait, which is news at most. What Ollama refuses is no matter of time.
 * https://docs.ollama.com/api/generate
 */
import { z } from 'zod';
import { fatal } from '../../graph/failure.ts';
import { fullName } from '../../resources/kubernetes/ollama-models.ts';
import { OLLAMA_PORT } from '../../resources/kubernetes/ollama-service.ts';
import type { Check, CheckFinding, CheckScope } from '../check.ts';
import { type Asked, askService } from '../kubernetes/ask-service.ts';
import { clusterOf, quoted } from '../kubernetes/cluster.ts';
import { modelsIn } from '../kubernetes/models.ts';

const PATIENCE_SECONDS = 10;
/** Models that only embed refuse at once; nobody has many of them. */
const MOST_ASKED = 5;
/** Loaded for this one word only. */
const SHORT_KEEP_ALIVE = '30s';
const KEPT_FOR_GOOD = -1;
const DAY_SECONDS = 86_400;

const loadedSchema = z.object({
  models: z
    .array(
      z.object({
        name: z.string(),
        expires_at: z.string().default(''),
        context_length: z.number().positive().optional(),
      }),
    )
    .nullish(),
});
type Loaded = NonNullable<z.output<typeof loadedSchema>['models']>[number];

const errorSchema = z.object({ error: z.string() });

export const aModelAnswers: Check = {
  id: 'a-model-answers',
  system: 'models',
  title: 'A model answers',
  isWanted: ({ spec }) => spec.ollama.externalUrl === undefined,

  async run(scope) {
    const api = await clusterOf(scope);
    const { namespace } = scope.names;
    const ollama = { namespace, name: 'ollama', port: OLLAMA_PORT };
    const [listed, running] = await Promise.all([
      modelsIn(api, namespace),
      askService(api, ollama, '/api/ps'),
    ]);
    if (!('models' in listed)) throw silent(listed.said);
    const loaded = loadedIn(running);
    const others = listed.bySize.filter((model) => !loaded.some(({ name }) => fullName(name) === model));
    const words = [...loaded.map((model) => wordOf(model, scope.now)), ...others.map(wordOfUnloaded)];
    for (const body of words.slice(0, MOST_ASKED)) {
      const request = { method: 'POST', body } as const;
      const answer = await askService(api, ollama, '/api/generate', request, PATIENCE_SECONDS);
      if (!answer.isAnswered) {
        if (answer.isLate) return [slow(scope, body.model)];
        throw silent(answer.said);
      }
      if (answer.status < 400) return [];
      const said = saidIn(answer);
      // Taken away since it was listed, or a model that only embeds.
      if (answer.status === 404 || /does not support/i.test(said)) continue;
      // "server busy": https://docs.ollama.com/faq#how-does-ollama-handle-concurrent-requests
      return [answer.status === 503 ? slow(scope, body.model) : refused(scope, body.model, said)];
    }
    return [];
  },
};

const silent = (said: string) => fatal('NothingToLookAt', `Ollama does not tell its models: ${said}`);

function loadedIn(answer: Asked): readonly Loaded[] {
  const running = answer.isAnswered ? loadedSchema.safeParse(answer.body) : undefined;
  return running?.data?.models ?? [];
}

interface Word {
  readonly model: string;
  readonly prompt: string;
  readonly stream: false;
  readonly keep_alive: string | number;
  readonly options: { readonly num_predict: number; readonly num_ctx?: number };
}

const word = { prompt: 'Hello', stream: false } as const;

const wordOfUnloaded = (model: string): Word => ({
  ...word,
  model,
  keep_alive: SHORT_KEEP_ALIVE,
  options: { num_predict: 1 },
});

/** It goes when it would have gone; with a context of another length Ollama would load it anew. */
const wordOf = ({ name, expires_at, context_length }: Loaded, now: Date): Word => ({
  ...word,
  model: fullName(name),
  keep_alive: remaining(Date.parse(expires_at) - now.getTime()),
  options: { num_predict: 1, ...(context_length === undefined ? {} : { num_ctx: context_length }) },
});

function remaining(milliseconds: number): string | number {
  const seconds = Math.floor(milliseconds / 1000);
  if (Number.isNaN(seconds)) return SHORT_KEEP_ALIVE;
  return seconds > DAY_SECONDS ? KEPT_FOR_GOOD : `${Math.max(1, seconds)}s`;
}

/** How much memory there is changes from look to look. */
function saidIn({ status, body }: Extract<Asked, { readonly isAnswered: true }>): string {
  const error = errorSchema.safeParse(body);
  const said = error.success ? quoted(error.data.error).replaceAll(/\d+(\.\d+)? ?[KMGT]?i?B\b/g, '…') : '';
  return said === '' ? `HTTP ${status}` : `HTTP ${status}: ${said.slice(0, 200)}`;
}

const refused = (scope: CheckScope, model: string, said: string): CheckFinding => ({
  id: 'model-does-not-answer',
  resource: 'kubernetes/ollama',
  severity: 'error',
  what: 'Ollama is there, and its model does not answer.',
  evidence: `${model} is asked for one word, and Ollama says ${said}`,
  breaks: 'Whoever asks this model gets an error instead of an answer; others may not answer, either.',
  remedy: `kubectl logs -n ${scope.names.namespace} deployment/ollama --tail=50. If it lacks memory: a smaller model, or more in ollama.resources.`,
});

const slow = (scope: CheckScope, model: string): CheckFinding => ({
  id: 'model-answers-late',
  resource: 'kubernetes/ollama',
  severity: 'info',
  what: `A model has not answered within ${PATIENCE_SECONDS} seconds.`,
  evidence: `${model} is asked for one word; it may be on its way from the disk, or others may be before us`,
  breaks: 'Nothing that is known; whether a model answers could not be seen.',
  remedy: `See what keeps it: kubectl exec -n ${scope.names.namespace} deployment/ollama -- ollama ps; kubectl top pods -n ${scope.names.namespace} -l app=ollama`,
});
