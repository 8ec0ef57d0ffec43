import { randomBytes } from 'node:crypto';
import { generatedSecret } from '../kinds/vault-secret.ts';

/** Open WebUI signs its sessions with it: a new one signs everybody out. */
export const webuiSecretKey = generatedSecret({
  key: 'azure/webui-secret-key',
  title: "Open WebUI's secret key",
  name: 'webui-secret-key',
  contentType: 'text/plain',
  generate: () => randomBytes(32).toString('base64'),
});
