/**
 * The wished models, pulled through Ollama's own API. A pull takes longer than an activity may, so it is begun and then
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

const tagsSchema = z.object({ models: z.array(z.object({ name: z.string() })).default([]) });
const errorSchema = z.object({ error: z.string() });

/** `llama3.2` and `llama3.2:latest` are the same model. */
export const fullName = (model: string): string =>
  model.split('/').at(-1)?.includes(':') ? model : `${model}:latest`;

const connect = ({ clients, names }: Scope): Promise<KubernetesApi> =>
  clients.kubernetes(names.resourceGroup, names.cluster);

const serviceOf = ({ names }: Scope) => ({ namespace: names.namespace, name: 'ollama', port: OLLAMA_PORT });

async function missingModels(scope: Scope, api: KubernetesApi): Promise<readonly string[]> {
  const answer = await api.requestService(serviceOf(scope), { method: 'GET', path: '/api/tags' });
  const tags = tagsSchema.safeParse(answer.body);
  if (answer.status !== 200 || !tags.success) {
    throw retryable('OllamaUnavailable', `Ollama does not list its models: it answered ${answer.status}`);
  }
  const present = new Set(tags.data.models.map(({ name }) => fullName(name)));
  return scope.spec.ollama.models.filter((model) => !present.has(fullName(model)));
}

async function pull(scope: Scope, api: KubernetesApi, model: string): Promise<void> {
  const answer = await api.requestService(serviceOf(scope), {
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
  isWanted: ({ spec }) => spec.ollama.externalUrl === undefined && spec.ollama.models.length > 0,

  async observe(scope) {
    const api = await connect(scope);
    const missing = await missingModels(scope, api);
    if (missing.length === 0) return { state: 'ready', outputs: {} };
    const begun = missing.filter((model) => pulling.get(api)?.has(model));
    if (begun.length === missing.length) {
      return { state: 'changing', reason: `pulling ${begun.join(', ')}`, retryAfterSeconds: 30 };
    }
    if (missing.length === scope.spec.ollama.models.length) return { state: 'absent' };
    return { state: 'drifted', outputs: {}, differences: [{ path: 'models', wanted: missing, found: null }] };
  },

  async ensure(scope) {
    const api = await connect(scope);
    const begun = pulling.get(api) ?? new Set<string>();
    pulling.set(api, begun);
    const pulls = (await missingModels(scope, api))
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
      for (const model of scope.spec.ollama.models) {
        await api.requestService(serviceOf(scope), {
          method: 'DELETE',
          path: '/api/delete',
          body: { model },
        });
      }
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
  },
});
