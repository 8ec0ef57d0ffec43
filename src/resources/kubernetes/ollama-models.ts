/**
 * The wished models, pulled through Ollama's own API, and those taken away that people do not want any more; others that
 * somebody pulled are left alone. A pull takes longer than an activity may, so it is begun and then
 * looked at again. Ollama stops a download when whoever asked for it hangs up, goes on where it stopped when asked
 * again, and joins requests for the same model (https://github.com/ollama/ollama/blob/main/server/download.go): asking
 * twice is harmless, also after this process has died over it.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { isNotFound } from '../../clients/cloud-failure.ts';
import type { KubernetesApi } from '../../clients/kubernetes-api.ts';
import { fatal, retryable } from '../../graph/failure.ts';
import { clusterAccess } from '../azure/cluster-access.ts';
import type { Scope } from '../scope.ts';
import { defineResource } from '../scope.ts';
import { ollama } from './ollama.ts';
import { OLLAMA_PORT, ollamaService } from './ollama-service.ts';

/** A model that does not exist is refused within this time; what takes longer is a download. */
const REFUSAL_MS = 5_000;

/** Pulls this process is waiting for, so that it keeps one request open for each, not one for each look. */
const pulling = new WeakMap<KubernetesApi, Set<string>>();

const tagsSchema = z.object({
  models: z
    .array(z.object({ name: z.string(), size: z.number().optional(), modified_at: z.string().optional() }))
    .default([]),
});
const errorSchema = z.object({ error: z.string() });

/** `llama3.2` and `llama3.2:latest` are the same model. */
export const fullName = (model: string): string =>
  model.split('/').at(-1)?.includes(':') ? model : `${model}:latest`;

const connect = ({ clients, names }: Scope): Promise<KubernetesApi> =>
  clients.kubernetes(names.resourceGroup, names.cluster);

type Answer = Awaited<ReturnType<KubernetesApi['requestService']>>;

export const askOllama = (
  api: KubernetesApi,
  { namespace }: Pick<Scope['names'], 'namespace'>,
  request: Parameters<KubernetesApi['requestService']>[1],
): Promise<Answer> => api.requestService({ namespace, name: 'ollama', port: OLLAMA_PORT }, request);

/** What is there, as `GET /api/tags` tells. Throws a retryable FailureError when it tells nothing. */
export function tagsOf(answer: Answer): z.output<typeof tagsSchema>['models'] {
  const tags = tagsSchema.safeParse(answer.body);
  if (answer.status !== 200 || !tags.success) {
    throw retryable('OllamaUnavailable', `Ollama does not list its models: it answered ${answer.status}`);
  }
  return tags.data.models;
}

interface Models {
  /** Wished and not there. */
  readonly missing: readonly string[];
  /** There and not wanted: a wish in the spec weighs more. */
  readonly leftover: readonly string[];
}

const unwantedOf = ({ spec, wishes }: Scope): readonly string[] => {
  const wished = new Set(spec.ollama.models.map(fullName));
  return wishes.unwantedModels.filter((model) => !wished.has(fullName(model)));
};

async function look(scope: Scope, api: KubernetesApi): Promise<Models> {
  const tags = tagsOf(await askOllama(api, scope.names, { method: 'GET', path: '/api/tags' }));
  const present = new Set(tags.map(({ name }) => fullName(name)));
  const unwanted = new Set(unwantedOf(scope).map(fullName));
  return {
    missing: scope.spec.ollama.models.filter((model) => !present.has(fullName(model))),
    leftover: tags.map(({ name }) => name).filter((name) => unwanted.has(fullName(name))),
  };
}

/** Not there is success. */
async function takeAway(scope: Scope, api: KubernetesApi, model: string): Promise<void> {
  const request = { method: 'DELETE', path: '/api/delete', body: { model } } as const;
  const { status } = await askOllama(api, scope.names, request);
  if (status >= 400 && status !== 404) {
    throw retryable('ModelNotRemoved', `Ollama could not remove ${model}: it answered ${status}`);
  }
}

async function pull(scope: Scope, api: KubernetesApi, model: string): Promise<void> {
  const answer = await askOllama(api, scope.names, {
    method: 'POST',
    path: '/api/pull',
    body: { model, stream: false },
  });
  if (answer.status < 400) return;
  const said = errorSchema.safeParse(answer.body);
  const message = said.success ? said.data.error : `it answered ${answer.status}`;
  if (/file does not exist|not found|invalid model/i.test(message)) {
    throw fatal('ModelNotFound', `Ollama's library has no model ${model}: ${message}`);
  }
  throw retryable('ModelPullFailed', `Ollama could not pull ${model}: ${message}`, 30);
}

export const ollamaModels = defineResource({
  key: 'kubernetes/ollama-models',
  title: 'Models',
  dependsOn: { clusterAccess, ollama, ollamaService },
  /** Models are gigabytes. */
  patienceSeconds: 4 * 3600,
  isWanted: ({ spec }) => spec.ollama.externalUrl === undefined,

  async observe(scope) {
    // Nothing is asked for and nothing unwanted: whatever is there is right.
    if (scope.spec.ollama.models.length === 0 && unwantedOf(scope).length === 0) {
      return { state: 'ready', outputs: {} };
    }
    const api = await connect(scope);
    const { missing, leftover } = await look(scope, api);
    const begun = missing.filter((model) => pulling.get(api)?.has(model));
    const unfinished = unwantedOf(scope).filter((model) => pulling.get(api)?.has(model));
    if (missing.length === 0 && leftover.length === 0 && unfinished.length === 0) {
      return { state: 'ready', outputs: {} };
    }
    if (leftover.length === 0 && begun.length === missing.length) {
      // One that is not wanted any more cannot be taken away before it is there.
      const reason = `pulling ${[...begun, ...unfinished].join(', ')}`;
      return { state: 'changing', reason, retryAfterSeconds: 30 };
    }
    if (leftover.length === 0 && missing.length === scope.spec.ollama.models.length)
      return { state: 'absent' };
    return {
      state: 'drifted',
      outputs: {},
      differences: [
        ...(missing.length > 0 ? [{ path: 'models', wanted: missing, found: null }] : []),
        ...leftover.map((model) => ({ path: `models.${model}`, wanted: null, found: 'present' })),
      ],
    };
  },

  async ensure(scope) {
    const api = await connect(scope);
    const { missing, leftover } = await look(scope, api);
    for (const model of leftover) await takeAway(scope, api, model);
    const begun = pulling.get(api) ?? new Set<string>();
    pulling.set(api, begun);
    const pulls = missing
      .filter((model) => !begun.has(model))
      .map((model) => {
        begun.add(model);
        return pull(scope, api, model).finally(() => begun.delete(model));
      });
    // Whatever a pull ends with after this function has returned shows in the next look.
    for (const one of pulls) one.catch(() => undefined);
    await Promise.race([Promise.all(pulls), sleep(REFUSAL_MS, undefined, { ref: false })]);
  },

  /** They go with the disk they are on; only what was asked for is taken away before. */
  async remove(scope) {
    try {
      const api = await connect(scope);
      for (const model of scope.spec.ollama.models) await takeAway(scope, api, model);
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
  },
});
