/** The spec as JSON Schema (draft 2020-12): for editors, and for people who want to know what there is. */
import { z } from 'zod';
import { deploymentSpecSchema } from './spec.ts';

/** What a user may write, with defaults and descriptions; rules that need two fields are not expressible in it. */
export function specJsonSchema(): Readonly<Record<string, unknown>> {
  const { $schema, ...schema } = z.toJSONSchema(deploymentSpecSchema, {
    target: 'draft-2020-12',
    io: 'input',
  });
  return {
    $schema,
    title: 'Deployment spec of open-webui-control-plane',
    description: 'One Open WebUI and Ollama stack, as PUT /api/deployments/{name} takes it.',
    ...schema,
  };
}
