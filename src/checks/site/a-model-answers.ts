/**
 * The last link of a chat: a model says a word. One that is loaded is asked, else the smallest; loading it from the disk
 * may take longer than a check can wait, which is news as long as it may be that. What Ollama refuses is no matter of time.
 * Where all only embed, one of them is asked for that. Where none can be asked although some are wished or listed, nothing
 * is known.
 * https://docs.ollama.com/api/generate, https://docs.ollama.com/api/embed
 */
import { z } from 'zod';
import { fatal } from '../../graph/failure.ts';
import { fullName } from '../../resources/kubernetes/ollama-models.ts';
import { OLLAMA_PORT } from '../../resources/kubernetes/ollama-service.ts';
import type { Check, CheckFinding, CheckScope } from '../check.ts';
import { type Asked, askService } from '../kubernetes/ask-service.ts';
import { clusterOf, isOlderThan, quoted } from '../kubernetes/cluster.ts';
import { missingModels, modelsIn } from '../kubernetes/models.ts';

const PATIENCE_SECONDS = 10;
const LATE = 'model-answers-late';
/** Longer than a model is on its way from a disk. */
const LOADING_MINUTES = 15;
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
    const missing = missingModels(scope, listed.models);
    if (words.length === 0 && missing.length === 0) return [];
    const ask = (path: string, body: object): Promise<Asked> =>
      askService(api, ollama, path, { method: 'POST', body }, PATIENCE_SECONDS);
    const mute: Word[] = [];
    for (const body of words.slice(0, MOST_ASKED)) {
      const answer = await ask('/api/generate', body);
      if (!cannotDo(answer)) return judge(scope, body.model, answer);
      if (!isGone(answer)) mute.push(body);
    }
    const [embedding] = mute;
    if (embedding && missing.length === 0) {
      const answer = await ask('/api/embed', embeddingOf(embedding));
      if (!cannotDo(answer)) return judge(scope, embedding.model, answer);
    }
    throw nobodyToAsk(missing);
  },
};

function judge(scope: CheckScope, model: string, answer: Asked): readonly CheckFinding[] {
  if (!answer.isAnswered) {
    if (answer.isLate) return [slow(scope, model)];
    throw silent(answer.said);
  }
  if (answer.status < 400) return [];
  // "server busy": https://docs.ollama.com/faq#how-does-ollama-handle-concurrent-requests
  return [answer.status === 503 ? slow(scope, model) : refused(scope, model, saidIn(answer))];
}

/** Taken away since it was listed. */
const isGone = (answer: Asked): boolean => answer.isAnswered && answer.status === 404;

/** It is not there, or not made for this: a model that only embeds says no word. */
const cannotDo = (answer: Asked): boolean =>
  isGone(answer) || (answer.isAnswered && answer.status >= 400 && /does not support/i.test(saidIn(answer)));

const silent = (said: string) => fatal('NothingToLookAt', `Ollama does not tell its models: ${said}`);

/** Another check finds that wished models are missing. */
const nobodyToAsk = (missing: readonly string[]) =>
  fatal(
    'NothingToLookAt',
    missing.length > 0
      ? `wished models are missing, and no other says a word: ${missing.join(', ')}`
      : 'of the models that Ollama lists none can be asked: they are gone, or neither speak nor embed',
  );

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

const embeddingOf = ({ model, keep_alive, options: { num_ctx } }: Word) => ({
  model,
  input: word.prompt,
  keep_alive,
  ...(num_ctx === undefined ? {} : { options: { num_ctx } }),
});

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

function slow(scope: CheckScope, model: string): CheckFinding {
  const since = scope.foundBefore?.get(LATE)?.since;
  return since !== undefined && isOlderThan(since, LOADING_MINUTES, scope.now)
    ? stillLate(scope, since)
    : late(scope, model);
}

const late = (scope: CheckScope, model: string): CheckFinding => ({
  id: LATE,
  resource: 'kubernetes/ollama',
  severity: 'info',
  what: `A model has not answered within ${PATIENCE_SECONDS} seconds.`,
  evidence: `${model} is asked for one word; it may be on its way from the disk, or others may be before us`,
  breaks: 'Nothing that is known; whether a model answers could not be seen.',
  remedy: `See what keeps it: ${lookWith(scope)}`,
});

/** Which model is asked may be another each time, and goes into no words. */
const stillLate = (scope: CheckScope, since: string): CheckFinding => ({
  id: LATE,
  resource: 'kubernetes/ollama',
  severity: 'warning',
  what: `No model has answered within ${PATIENCE_SECONDS} seconds since ${since}.`,
  evidence:
    'each check asks for one word, of a model in memory or else of the smallest; none has come in time since then',
  breaks: 'Users wait for their answers, or get none.',
  remedy: `See what keeps it: ${lookWith(scope)}. If it hangs: POST /api/deployments/${scope.names.deployment}/restart {"workload": "ollama"}. If it is busy, or loads for so long: a smaller model, or more in ollama.resources.`,
});

const lookWith = ({ names: { namespace } }: CheckScope): string =>
  `kubectl exec -n ${namespace} deployment/ollama -- ollama ps; kubectl top pods -n ${namespace} -l app=ollama`;
