/** DELETE /api/deployments/{name}/quarantine/{digest}: a person says that an image that failed may be tried again. */
import type { HttpHandler } from '@azure/functions';
import { enterOperation } from './enter-operation.ts';
import { onDeployment } from './on-deployment.ts';
import { refuse } from './problem.ts';
import type { ApiDependencies } from './respond.ts';

export const deleteQuarantine = (dependencies: ApiDependencies): HttpHandler =>
  onDeployment(dependencies.store, async (found, request, context) => {
    const { store, now = () => new Date() } = dependencies;
    const digest = request.params['digest'] ?? '';
    if (!found.quarantine.some((image) => image.digest === digest)) {
      return refuse(request, context, 'not-found', {
        detail: 'No image of this digest is in quarantine here.',
      });
    }
    const record = await store.changeDeployment(found.name, ({ quarantine }) => ({
      quarantine: quarantine.filter((image) => image.digest !== digest),
    }));
    return enterOperation(dependencies, request, context, {
      record,
      kind: 'reaction',
      look: [
        'azure/images',
        'kubernetes/open-webui',
        'kubernetes/ollama',
        'kubernetes/cloudflared',
        'kubernetes/redis',
      ],
      now: now(),
    });
  });
