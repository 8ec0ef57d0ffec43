/** GET /api/schema: the spec's JSON Schema. It holds nothing of anybody's, and editors fetch it without a key. */
import type { HttpHandler } from '@azure/functions';
import { specJsonSchema } from '../spec/json-schema.ts';
import { answering, respond } from './respond.ts';

export const schema = (): HttpHandler => {
  const document = specJsonSchema();
  return answering(async () =>
    respond(200, document, {
      'content-type': 'application/schema+json',
      'cache-control': 'public, max-age=3600',
    }),
  );
};
