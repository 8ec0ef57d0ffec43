/** Pushes an image as `docker push` does: through the registry's own sign-in and the distribution API. */
import { createHash } from 'node:crypto';
import type { Behaviour, Software } from '../../sandbox/cloud/neighbours.ts';
import type { CloudApi } from '../sandbox/cloud-api.ts';

const MANIFEST_TYPE = 'application/vnd.oci.image.manifest.v1+json';
const CONFIG_TYPE = 'application/vnd.oci.image.config.v1+json';

export interface PushedImage {
  /** `yourorg.azurecr.io` */
  readonly host: string;
  readonly repository: string;
  readonly tag: string;
  readonly software: Software;
  /** The same label, software and behaviour make the same digest, whatever the tag. */
  readonly label: string;
  /** A good build when left out. */
  readonly behaviour?: Behaviour;
}

/** The digest of what was pushed. */
export async function pushImage(
  clouds: Pick<CloudApi, 'token' | 'send' | 'sendForm'>,
  { host, repository, tag, software, label, behaviour }: PushedImage,
): Promise<string> {
  const token = await registryToken(clouds, host, repository, 'pull,push');
  const authorization = `Bearer ${token}`;
  const put = async (url: string, body: unknown, type: string): Promise<void> => {
    const headers = { authorization, 'content-type': type };
    const answer = await clouds.send(url, { method: 'PUT', body, headers });
    if (answer.status !== 201) throw new Error(`${url}: ${answer.status} ${JSON.stringify(answer.body)}`);
  };
  const config = {};
  const digest = digestOf(JSON.stringify(config));
  const begun = await clouds.send(`https://${host}/v2/${repository}/blobs/uploads/`, {
    method: 'POST',
    headers: { authorization },
  });
  const upload = String(begun.headers['location']);
  await put(`https://${host}${upload}?digest=${digest}`, config, 'application/octet-stream');
  const manifest = {
    schemaVersion: 2,
    mediaType: MANIFEST_TYPE,
    config: { mediaType: CONFIG_TYPE, digest, size: JSON.stringify(config).length },
    layers: [],
    annotations: {
      'org.opencontainers.image.title': software,
      'org.opencontainers.image.version': label,
      ...(behaviour === undefined ? {} : { 'com.example.sandbox.behaviour': behaviour }),
    },
  };
  await put(`https://${host}/v2/${repository}/manifests/${tag}`, manifest, MANIFEST_TYPE);
  return digestOf(JSON.stringify(manifest));
}

/** An access token for one repository, by the registry's own exchange. */
async function registryToken(
  clouds: Pick<CloudApi, 'token' | 'sendForm'>,
  host: string,
  repository: string,
  actions: string,
): Promise<string> {
  const form = async (path: string, fields: Record<string, string>): Promise<Record<string, string>> => {
    const answer = await clouds.sendForm(`https://${host}${path}`, fields);
    if (answer.status >= 400) throw new Error(`${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
    return answer.body as Record<string, string>;
  };
  const { refresh_token = '' } = await form('/oauth2/exchange', {
    grant_type: 'access_token',
    service: host,
    access_token: await clouds.token('https://containerregistry.azure.net'),
  });
  const { access_token = '' } = await form('/oauth2/token', {
    grant_type: 'refresh_token',
    service: host,
    scope: `repository:${repository}:${actions}`,
    refresh_token,
  });
  return access_token;
}

const digestOf = (content: string): string => `sha256:${createHash('sha256').update(content).digest('hex')}`;
