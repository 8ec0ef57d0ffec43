/** GET /api/live and GET /api/ready, for whoever decides whether the app gets traffic: names, and no details. */
import type { HttpHandler } from '@azure/functions';
import { refuse } from './problem.ts';
import { answering, respond } from './respond.ts';

export interface Readiness {
  /** By the name under which it is told; each rejects when it does not hold. */
  readonly conditions: Readonly<Record<string, () => Promise<unknown>>>;
  /** Functions that are not registered though they should be. */
  readonly missingFunctions: () => readonly string[];
}

export const getLive = (): HttpHandler => answering(async () => respond(200, { status: 'alive' }));

export const getReady = ({ conditions, missingFunctions }: Readiness): HttpHandler =>
  answering(async (request, context) => {
    const unmet = await Promise.all(
      Object.entries(conditions).map(async ([name, holds]) => {
        try {
          await holds();
          return [];
        } catch (error) {
          context.error(`not ready: ${name}:`, error);
          return [name];
        }
      }),
    );
    const lacking = [...unmet.flat(), ...missingFunctions().map((name) => `function ${name}`)];
    if (lacking.length === 0) return respond(200, { status: 'ready' });
    return refuse(request, context, 'not-ready', { detail: `Not ready: ${lacking.join(', ')}.` });
  });
