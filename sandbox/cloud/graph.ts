/** Microsoft Graph v1.0, as far as app registrations go: `graph.microsoft.com`. */
import { Hono } from 'hono';
import type { Entra } from './entra.ts';
import { Applications } from './graph/applications.ts';
import { GraphCaller } from './graph/caller.ts';
import { DirectoryAudits } from './graph/directory-audits.ts';
import type { GraphEnv } from './graph/graph-env.ts';
import { errorAnswer, GraphError } from './graph/request.ts';
import { ServicePrincipals } from './graph/service-principals.ts';
import type { TenantObjects } from './graph/tenant-objects.ts';
import type { CallContext, Service, World } from './world.ts';

const AUDIENCES = ['https://graph.microsoft.com', '00000003-0000-0000-c000-000000000000'];

export class Graph implements Service {
  readonly name = 'graph';
  readonly #routes: Hono<GraphEnv>;

  constructor(world: World, directory: Entra, objects: TenantObjects) {
    const applications = new Applications(world, objects);
    const principals = new ServicePrincipals(world, objects);
    const audits = new DirectoryAudits(world);
    const routes = new Hono<GraphEnv>();
    routes.use('*', async (context, next) => {
      const verified = directory.verifyToken(context.req.header('authorization') ?? null, AUDIENCES);
      if (!verified.ok) {
        throw new GraphError(401, 'InvalidAuthenticationToken', verified.reason);
      }
      context.env.caller = verified.principal.displayName;
      context.set('caller', new GraphCaller(verified.principal, objects, audits));
      await next();
    });
    routes.route('/v1.0/applications', applications.routes());
    routes.route('/v1.0/servicePrincipals', principals.routes());
    routes.route('/v1.0/oauth2PermissionGrants', principals.grantRoutes());
    routes.route('/v1.0/directory/deletedItems', applications.deletedItems());
    routes.route('/v1.0/auditLogs', audits.routes());
    routes.notFound((context) => {
      const [, version, segment = ''] = context.req.path.split('/');
      return errorAnswer(
        version === 'v1.0'
          ? new GraphError(400, 'BadRequest', `Resource not found for the segment '${segment}'.`)
          : new GraphError(400, 'BadRequest', `Invalid version: ${version ?? ''}.`),
        world.clock.now(),
      );
    });
    routes.onError((error) => {
      if (error instanceof GraphError) return errorAnswer(error, world.clock.now());
      throw error;
    });
    this.#routes = routes;
  }

  matches(host: string): boolean {
    return host === 'graph.microsoft.com';
  }

  /** `applications(appId='…')` is turned into `applications/appId='…'`, which routes can read. */
  fetch(request: Request, call: CallContext): Response | Promise<Response> {
    const url = new URL(request.url);
    const path = decodeURIComponent(url.pathname).replace(
      /^(\/v1\.0\/(?:applications|servicePrincipals))\((\w+='[^']+')\)/,
      '$1/$2',
    );
    if (path === url.pathname) return this.#routes.fetch(request, call);
    url.pathname = path;
    return this.#routes.fetch(new Request(url, request), call);
  }
}
