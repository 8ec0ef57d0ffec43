/**
 * Graph's `/auditLogs/directoryAudits`: who changed what in the directory.
 * https://learn.microsoft.com/graph/api/directoryaudit-list
 */
import { randomUUID } from 'node:crypto';
import { Hono } from 'hono';
import { ChangeTrail } from '../change-trail.ts';
import type { Principal } from '../neighbours.ts';
import type { World } from '../world.ts';
import type { GraphEnv } from './graph-env.ts';
import { collection, GraphError } from './request.ts';

/** Microsoft keeps 7 or 30 days; this is what a sandbox writes in many hours. */
const MOST_AUDITS = 5_000;
/** Nearly all show within 2 to 5 minutes: https://learn.microsoft.com/entra/identity/monitoring-health/reference-reports-latencies */
const LAG_MILLISECONDS = [60_000, 300_000] as const;

export interface AuditTarget {
  readonly id: string;
  readonly type: 'Application' | 'ServicePrincipal';
  readonly displayName: string;
}

interface Audit {
  readonly id: string;
  readonly correlationId: string;
  readonly activity: string;
  readonly by: Principal;
  readonly targets: readonly AuditTarget[];
}

export class DirectoryAudits {
  readonly #trail: ChangeTrail<Audit>;

  constructor(world: World) {
    this.#trail = new ChangeTrail(world, {
      table: 'graph/audits',
      counter: 'graph/audit-counter',
      most: MOST_AUDITS,
      lag: LAG_MILLISECONDS,
    });
  }

  note(by: Principal, activity: string, targets: readonly AuditTarget[]): void {
    this.#trail.note({ id: randomUUID(), correlationId: randomUUID(), activity, by, targets });
  }

  routes(): Hono<GraphEnv> {
    const routes = new Hono<GraphEnv>();
    routes.get('/directoryAudits', (context) => {
      const { caller } = context.var;
      caller.require('AuditLog.Read.All');
      caller.require('Directory.Read.All');
      const url = new URL(context.req.url);
      const found = this.#trail.shown();
      const order = url.searchParams.get('$orderby') ?? 'activityDateTime desc';
      if (!/^activityDateTime( asc| desc)?$/.test(order)) {
        throw new GraphError(400, 'BadRequest', `Unsupported $orderby: ${order}.`);
      }
      if (!order.endsWith(' desc')) found.reverse();
      return collection(url, 'auditLogs/directoryAudits', found.map(show));
    });
    return routes;
  }
}

type Shown = ReturnType<ChangeTrail<Audit>['shown']>[number];

function show({ id, correlationId, activity, at, by, targets }: Shown): Record<string, unknown> {
  const user = {
    id: by.id,
    displayName: null,
    userPrincipalName: by.displayName,
    ipAddress: '127.0.0.1',
    userType: null,
    homeTenantId: null,
    homeTenantName: null,
  };
  const app = {
    appId: null,
    displayName: by.displayName,
    servicePrincipalId: by.id,
    servicePrincipalName: null,
  };
  return {
    id: `Directory_${correlationId}_${id.slice(0, 5).toUpperCase()}_${at}`,
    category: 'ApplicationManagement',
    correlationId,
    result: 'success',
    resultReason: '',
    activityDisplayName: activity,
    activityDateTime: new Date(at).toISOString(),
    loggedByService: 'Core Directory',
    operationType: activity.split(' ')[0] ?? '',
    initiatedBy: by.kind === 'user' ? { user, app: null } : { user: null, app },
    targetResources: targets.map((target) => ({
      ...target,
      userPrincipalName: null,
      groupType: null,
      modifiedProperties: [],
    })),
    additionalDetails: [],
  };
}
