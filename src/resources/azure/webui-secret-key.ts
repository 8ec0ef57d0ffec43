import { randomBytes } from 'node:crypto';
import type { Notice } from '../../graph/finding.ts';
import { generatedSecret } from '../kinds/vault-secret.ts';

export const rotationAdvised: Notice = {
  id: 'rotation-advised',
  severity: 'warning',
  what: "Open WebUI's secret key is as old as a secret of this deployment may become",
  evidence: 'the vault secret webui-secret-key nears its expiry, or is past it',
  breaks: 'nothing: sessions are still signed with it; whoever got hold of it can forge them',
  remedy: 'rotate webui-secret-key at a time of your choosing: everybody has to sign in again',
};

/** Open WebUI signs its sessions with it: a new one signs everybody out, so only a person can ask for it. */
export const webuiSecretKey = generatedSecret({
  key: 'azure/webui-secret-key',
  title: "Open WebUI's secret key",
  name: 'webui-secret-key',
  contentType: 'text/plain',
  rotation: 'webui-secret-key',
  onlyWhenAsked: rotationAdvised,
  generate: () => randomBytes(32).toString('base64'),
});
