/**
 * POST /api/deployments/{name}/sync: secrets are to be read from the vault once more, now. New versions are handed out as
 * if their events had come; where the values are the same, nobody is restarted.
 */
import type { HttpHandler } from '@azure/functions';
import { z } from 'zod';
import type { ResourceKey } from '../graph/resource.ts';
import { askedBody } from './asked-body.ts';
import { enterOperation } from './enter-operation.ts';
import { onDeployment } from './on-deployment.ts';
import type { ApiDependencies } from './respond.ts';

/** Who knows which version is the newest, and who hands it out. */
const look: readonly ResourceKey[] = [
  'azure/webui-secret-key',
  'azure/postgres-password',
  'azure/postgres-connection-string',
  'azure/storage-credentials',
  'entra/client-secret',
  'cloudflare/tunnel-token',
  'kubernetes/external-secrets',
];

export const postSync = (dependencies: ApiDependencies): HttpHandler =>
  onDeployment(dependencies.store, async (found, request, context) => {
    const { store, now = () => new Date() } = dependencies;
    const body = await askedBody(request, context, z.strictObject({}), { isOptional: true });
    if (!body.ok) return body.refusal;
    const time = now();
    const record = await store.changeDeployment(found.name, ({ wishes }) => ({
      wishes: { ...wishes, syncAfter: time.toISOString() },
    }));
    return enterOperation(dependencies, request, context, { record, kind: 'maintenance', look, now: time });
  });
