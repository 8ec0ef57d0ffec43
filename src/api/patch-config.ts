/**
 * PATCH /api/deployments/{name}/config: settings of Open WebUI, as a JSON merge patch of `webui.config` (RFC 7396): null
 * takes one away. It is a change of the spec, and one rollout follows.
 */
import type { HttpHandler } from '@azure/functions';
import { fieldOf, problem } from '../spec/problem.ts';
import { type IncomingBody, readBody } from '../spec/read-body.ts';
import { changeSpec } from './change-spec.ts';
import { enterOperation } from './enter-operation.ts';
import { bodyProblems, refuse } from './problem.ts';
import { type ApiDependencies, answering } from './respond.ts';

export const patchConfig = (dependencies: ApiDependencies): HttpHandler =>
  answering(async (request, context) => {
    const body = await readBody({ headers: asJson(request.headers), body: request.body });
    if (!body.ok) return refuse(request, context, bodyProblems[body.reason], { detail: `${body.message}.` });
    const patch = Object.entries(body.value);
    if (patch.length === 0) {
      const errors = [problem('body', 'must name at least one setting')];
      return refuse(request, context, 'invalid-request', { detail: 'Nothing was changed.', errors });
    }
    const name = request.params['name'] ?? '';
    const change = await changeSpec(dependencies, request, context, name, (given) => {
      const kept = Object.entries(given.webui?.config ?? {}).filter(
        ([key]) => !Object.hasOwn(body.value, key),
      );
      const put = patch.filter(([, value]) => value !== null);
      // What is taken away must be a setting, too: a name that was mistyped is told.
      const unknown = patch.filter(
        ([key, value]) => value === null && !Object.hasOwn(given.webui?.config ?? {}, key),
      );
      if (unknown.length > 0) {
        const errors = unknown.map(([key]) =>
          problem(fieldOf(['webui', 'config', key]), 'is not set, so it cannot be taken away'),
        );
        return { errors };
      }
      return { spec: { ...given, webui: { ...given.webui, config: Object.fromEntries([...kept, ...put]) } } };
    });
    if (!change.ok) return change.refusal;
    const { record, at: now } = change;
    return enterOperation(dependencies, request, context, { record, kind: 'maintenance', look: 'all', now });
  });

/** A merge patch is JSON; only here is one meant. */
const asJson = (headers: IncomingBody['headers']): IncomingBody['headers'] => ({
  get: (name) => {
    const value = headers.get(name);
    return name === 'content-type'
      ? (value?.replace(/^\s*application\/merge-patch\+json/i, 'application/json') ?? null)
      : value;
  },
});
