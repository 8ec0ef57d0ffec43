import { createHash } from 'node:crypto';
import { application, redirectUri, signInPermissions } from '../entra/application.ts';
import { ignoredByReloader, kubernetesObjects } from '../kinds/kubernetes-object.ts';
import type { Scope } from '../scope.ts';
import { namespace } from './namespace.ts';
import { OLLAMA_PORT } from './ollama-service.ts';
import { REDIS_PORT } from './redis.ts';

export const WEBUI_CONFIG = 'open-webui-config';

/**
 * Open WebUI's settings, https://docs.openwebui.com/getting-started/env-configuration: first what a user may want
 * otherwise, then the user's own, last what follows from the deployment and could only be wrong.
 */
export function webuiSettings(
  { spec, names }: Pick<Scope, 'spec' | 'names'>,
  clientId: string,
): Readonly<Record<string, string>> {
  const inCluster = (service: string): string => `${service}.${names.namespace}.svc.cluster.local`;
  const redisUrl =
    spec.webui.redisUrl ??
    (spec.webui.replicas > 1 ? `redis://${inCluster('redis')}:${REDIS_PORT}/0` : undefined);
  return {
    VECTOR_DB: 'pgvector',
    ENABLE_OAUTH_SIGNUP: 'true',
    OAUTH_MERGE_ACCOUNTS_BY_EMAIL: 'false',
    ENABLE_SIGNUP: 'false',
    ENABLE_RAG_WEB_SEARCH: 'false',
    ENABLE_IMAGE_GENERATION: String(spec.webui.imageGeneration),
    ENABLE_COMMUNITY_SHARING: 'false',
    DEFAULT_USER_ROLE: 'user',
    ENABLE_ADMIN_EXPORT: 'false',
    ENABLE_ADMIN_CHAT_ACCESS: 'false',
    ENABLE_API_KEY: 'false',
    LOG_LEVEL: 'INFO',
    ...spec.webui.config,
    WEBUI_URL: `https://${spec.tunnel.hostName}`,
    OLLAMA_BASE_URL: spec.ollama.externalUrl ?? `http://${inCluster('ollama')}:${OLLAMA_PORT}`,
    MICROSOFT_CLIENT_ID: clientId,
    MICROSOFT_CLIENT_TENANT_ID: spec.tenantId,
    MICROSOFT_REDIRECT_URI: redirectUri(spec),
    // The Microsoft provider does not read OAUTH_SCOPES.
    MICROSOFT_OAUTH_SCOPE: Object.keys(signInPermissions).join(' '),
    OPENID_PROVIDER_URL: `https://login.microsoftonline.com/${spec.tenantId}/v2.0/.well-known/openid-configuration`,
    ...(redisUrl === undefined
      ? {}
      : {
          ENABLE_WEBSOCKET_SUPPORT: 'true',
          WEBSOCKET_MANAGER: 'redis',
          WEBSOCKET_REDIS_URL: redisUrl,
          REDIS_URL: redisUrl,
        }),
  };
}

export const config = kubernetesObjects({
  key: 'kubernetes/config',
  title: 'Configuration',
  dependsOn: { namespace, application },
  objects: (scope) => [
    {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      name: WEBUI_CONFIG,
      labels: { app: 'open-webui' },
      annotations: ignoredByReloader,
      body: (deps) => ({ data: webuiSettings(scope, deps.application.clientId) }),
    },
  ],
  /** Changes with the settings: for the pod templates of those who read them when they start. */
  outputs: (scope, deps) => ({
    version: createHash('sha256')
      .update(JSON.stringify(webuiSettings(scope, deps.application.clientId)))
      .digest('hex')
      .slice(0, 16),
  }),
});
