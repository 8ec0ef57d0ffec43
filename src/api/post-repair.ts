/**
 * POST /api/deployments/{name}/repair: a person wants to have put right what differs now. Everything is looked at, since what
 * findings tell of need not have been noticed as drift. Of the resources that are named, also that is put right which a rule,
 * a default or a fight leaves alone; when none is named, of all but those that hold people's data. A pause still holds.
 */
import type { HttpHandler } from '@azure/functions';
import { z } from 'zod';
import { holdsData } from '../graph/drift-defaults.ts';
import type { ResourceKey } from '../graph/resource.ts';
import { stack } from '../resources/index.ts';
import { askedBody } from './asked-body.ts';
import { enterOperation } from './enter-operation.ts';
import { onDeployment } from './on-deployment.ts';
import { resourceKeys } from './resource-keys.ts';
import type { ApiDependencies } from './respond.ts';

const bodySchema = z.strictObject({ resources: resourceKeys.optional() });

export const postRepair = (dependencies: ApiDependencies): HttpHandler =>
  onDeployment(dependencies.store, async (found, request, context) => {
    const { store, now = () => new Date() } = dependencies;
    const body = await askedBody(request, context, bodySchema, {
      isOptional: true,
      list: 'resources',
    });
    if (!body.ok) return body.refusal;
    const { resources } = body.value;
    const time = now();
    const keys: readonly ResourceKey[] =
      resources ?? stack.map(({ key }) => key).filter((key) => !holdsData(key));
    const asked = Object.fromEntries(keys.map((key) => [key, time.toISOString()]));
    const record = await store.changeDeployment(found.name, ({ repairAfter }) => ({
      repairAfter: { ...repairAfter, ...asked },
    }));
    return enterOperation(dependencies, request, context, {
      record,
      kind: 'repair',
      look: 'all',
      now: time,
    });
  });
