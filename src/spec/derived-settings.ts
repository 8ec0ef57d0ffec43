/** Settings of Open WebUI that follow from the rest of the spec, and so are refused in `webui.config`, with their source. */
const fromVault = 'its value is kept in the vault and reaches the pods through their Secret';
const fromSso = 'it follows from tenantId, tunnel.hostName and the app registration';
const fromDatabase = 'it follows from postgres';
const fromRedis = 'it follows from webui.replicas and webui.redisUrl';
const fromOllama = 'set ollama.externalUrl for an Ollama elsewhere';
const fromHostName = 'it follows from tunnel.hostName';
const fixed = 'probes, Service and volume rely on it';

export const derivedSettings: ReadonlyMap<string, string> = new Map([
  ['DATABASE_URL', fromVault],
  ['DATABASE_TYPE', fromDatabase],
  ['DATABASE_HOST', fromDatabase],
  ['DATABASE_PORT', fromDatabase],
  ['DATABASE_NAME', fromDatabase],
  ['DATABASE_USER', fromDatabase],
  ['DATABASE_PASSWORD', fromVault],
  ['PGVECTOR_DB_URL', fromVault],
  ['VECTOR_DB', 'it is pgvector, in the same database'],
  ['WEBUI_SECRET_KEY', fromVault],
  ['WEBUI_JWT_SECRET_KEY', fromVault],
  ['MICROSOFT_CLIENT_ID', fromSso],
  ['MICROSOFT_CLIENT_SECRET', fromVault],
  ['MICROSOFT_CLIENT_TENANT_ID', fromSso],
  ['MICROSOFT_REDIRECT_URI', fromSso],
  ['MICROSOFT_OAUTH_SCOPE', fromSso],
  ['OPENID_PROVIDER_URL', fromSso],
  ['OLLAMA_BASE_URL', fromOllama],
  ['OLLAMA_BASE_URLS', fromOllama],
  ['OLLAMA_API_BASE_URL', fromOllama],
  ['WEBUI_URL', fromHostName],
  ['REDIS_URL', fromRedis],
  ['WEBSOCKET_MANAGER', fromRedis],
  ['WEBSOCKET_REDIS_URL', fromRedis],
  ['ENABLE_WEBSOCKET_SUPPORT', fromRedis],
  ['ENABLE_IMAGE_GENERATION', 'set webui.imageGeneration'],
  ['HOST', fixed],
  ['PORT', fixed],
  ['DATA_DIR', fixed],
]);
