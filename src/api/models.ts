/**
 * The models of Ollama: GET …/models tells which are there, from Ollama itself; POST …/models has one pulled, and
 * DELETE …/models/{model} has one taken away, whoever pulled it. Taken away it stays away, until it is asked for again.
 */
import type { HttpHandler } from '@azure/functions';
import { z } from 'zod';
import { askOllama, fullName, tagsOf } from '../resources/kubernetes/ollama-models.ts';
import { problem } from '../spec/problem.ts';
import { type DeploymentSpecInput, modelName } from '../spec/spec.ts';
import { askedBody } from './asked-body.ts';
import { changeSpec } from './change-spec.ts';
import { enterOperation } from './enter-operation.ts';
import { atCloud, liveStack } from './live-stack.ts';
import { onDeployment } from './on-deployment.ts';
import { refuse } from './problem.ts';
import { type ApiDependencies, answering, type CloudDependencies, respond } from './respond.ts';

const bodySchema = z.strictObject({ model: modelName });
const isSameModel = (one: string, other: string): boolean => fullName(one) === fullName(other);
/** More names than anybody removes by hand; the oldest are forgotten, and are gone since long. */
const MOST_UNWANTED = 200;

const elsewhere = 'Ollama runs elsewhere (ollama.externalUrl): its models are not kept here.';

export const getModels = (dependencies: CloudDependencies): HttpHandler =>
  onDeployment(dependencies.store, async (record, request, context) => {
    return atCloud(request, context, async () => {
      const { spec, names, clients } = liveStack(dependencies, record);
      if (spec.ollama.externalUrl !== undefined)
        return refuse(request, context, 'not-found', { detail: elsewhere });
      const api = await clients.kubernetes(names.resourceGroup, names.cluster);
      const present = tagsOf(await askOllama(api, names, { method: 'GET', path: '/api/tags' }));
      const wished = spec.ollama.models;
      return respond(200, {
        models: present.map(({ name, size, modified_at: modifiedAt }) => ({
          name,
          size,
          modifiedAt,
          isWished: wished.some((model) => isSameModel(model, name)),
        })),
        /** Wished, and not there (yet). */
        missing: wished.filter((model) => !present.some(({ name }) => isSameModel(model, name))),
      });
    });
  });

export const postModels = (dependencies: ApiDependencies): HttpHandler =>
  answering(async (request, context) => {
    const body = await askedBody(request, context, bodySchema);
    if (!body.ok) return body.refusal;
    const { model } = body.value;
    const name = request.params['name'] ?? '';
    const change = await changeSpec(dependencies, request, context, name, (given, { ollama }) =>
      ollama.externalUrl === undefined
        ? {
            spec: withModels(given, (models) =>
              models.some((one) => isSameModel(one, model)) ? models : [...models, model],
            ),
          }
        : { errors: [problem('model', 'cannot be pulled: Ollama runs elsewhere (ollama.externalUrl)')] },
    );
    if (!change.ok) return change.refusal;
    const record = await dependencies.store.changeDeployment(name, ({ wishes }) => ({
      wishes: {
        ...wishes,
        unwantedModels: wishes.unwantedModels.filter((one) => !isSameModel(one, model)),
      },
    }));
    const { at: now } = change;
    return enterOperation(dependencies, request, context, { record, kind: 'maintenance', look: 'all', now });
  });

export const deleteModel = (dependencies: ApiDependencies): HttpHandler =>
  answering(async (request, context) => {
    const parsed = modelName.safeParse(request.params['model']);
    if (!parsed.success) {
      const errors = parsed.error.issues.map(({ message }) => problem('model', message));
      return refuse(request, context, 'invalid-request', { detail: 'Nothing was changed.', errors });
    }
    const model = parsed.data;
    const name = request.params['name'] ?? '';
    const change = await changeSpec(dependencies, request, context, name, (given, { ollama }) =>
      ollama.externalUrl === undefined
        ? { spec: withModels(given, (models) => models.filter((one) => !isSameModel(one, model))) }
        : { errors: [problem('model', 'cannot be removed: Ollama runs elsewhere (ollama.externalUrl)')] },
    );
    if (!change.ok) return change.refusal;
    const record = await dependencies.store.changeDeployment(name, ({ wishes }) => ({
      wishes: {
        ...wishes,
        unwantedModels: [...wishes.unwantedModels.filter((one) => !isSameModel(one, model)), model].slice(
          -MOST_UNWANTED,
        ),
      },
    }));
    const { at: now } = change;
    return enterOperation(dependencies, request, context, { record, kind: 'maintenance', look: 'all', now });
  });

/** A list that stays as it is is not written down where there was none. */
function withModels(
  given: DeploymentSpecInput,
  change: (models: readonly string[]) => readonly string[],
): unknown {
  const before = given.ollama?.models ?? [];
  const models = change(before);
  return models.length === before.length ? given : { ...given, ollama: { ...given.ollama, models } };
}
