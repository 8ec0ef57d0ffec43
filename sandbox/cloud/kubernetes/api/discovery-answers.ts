/** What names no object: the version, discovery, OpenAPI, and a caller's question what it may do. */
import { at, isFields } from '../object.ts';
import { type Caller, isAllowed, type Verb } from './access.ts';
import {
  aggregatedDiscovery,
  apiGroupList,
  apiVersions,
  findApiGroup,
  findResourceList,
  groupVersionsOf,
} from './discovery.ts';
import { type Door, methodNotAllowed } from './door.ts';
import { acceptedForm, readBody } from './negotiation.ts';
import { openApiIndex, openApiOf } from './openapi.ts';
import type { ResourcePath } from './path.ts';
import { unknownPath } from './status-error.ts';

export function answerDiscovery(door: Door, request: Request, url: URL): Response {
  const kinds = door.api.kinds();
  const path = url.pathname.replace(/\/$/, '');
  const { kubernetesVersion } = door.cluster;
  if (request.method !== 'GET') throw methodNotAllowed();
  if (path === '/version') return Response.json(versionInfo(kubernetesVersion));
  if (path === '/api' || path === '/apis') {
    const form = acceptedForm(request.headers.get('accept'), true);
    if (form === 'discovery-v2' || form === 'discovery-v2beta1') {
      const version = form === 'discovery-v2' ? 'v2' : 'v2beta1';
      return Response.json(aggregatedDiscovery(kinds, path === '/api', version), {
        headers: {
          'content-type': `application/json;g=apidiscovery.k8s.io;v=${version};as=APIGroupDiscoveryList`,
        },
      });
    }
    return Response.json(path === '/api' ? apiVersions(door.cluster.fqdn) : apiGroupList(kinds));
  }
  const group = /^\/apis\/([^/]+)$/.exec(path)?.[1];
  const groupVersion = /^\/(?:api|apis)\/((?:[^/]+\/)?[^/]+)$/.exec(path)?.[1];
  const found =
    group === undefined
      ? groupVersion === undefined
        ? undefined
        : findResourceList(kinds, groupVersion)
      : findApiGroup(kinds, group);
  if (found) return Response.json(found);
  if (path === '/openapi/v3') return Response.json(openApiIndex(groupVersionsOf(kinds).keys()));
  const described = /^\/openapi\/v3\/(?:api|apis)\/(.+)$/.exec(path)?.[1];
  const served = described === undefined ? undefined : groupVersionsOf(kinds).get(described);
  if (served) return Response.json(openApiOf(served, `v${kubernetesVersion}`));
  throw unknownPath();
}

function versionInfo(version: string): object {
  const [major = '1', minor = '0'] = version.split('.');
  return {
    major,
    minor,
    gitVersion: `v${version}`,
    gitCommit: '0000000000000000000000000000000000000000',
    gitTreeState: 'clean',
    buildDate: '2026-01-01T00:00:00Z',
    goVersion: 'go1.25.0',
    compiler: 'gc',
    platform: 'linux/amd64',
  };
}

export async function reviewAccess(
  door: Door,
  request: Request,
  caller: Caller,
  path: ResourcePath,
): Promise<Response> {
  if (path.plural !== 'selfsubjectaccessreviews' || path.version !== 'v1') throw unknownPath();
  if (request.method !== 'POST') throw methodNotAllowed();
  const body = await readBody(request);
  const wanted = at(body, 'spec', 'resourceAttributes');
  const namespace = at(wanted, 'namespace');
  const allowed = isAllowed(
    caller,
    String(at(wanted, 'verb') ?? 'get') as Verb,
    {
      group: String(at(wanted, 'group') ?? ''),
      version: 'v1',
      plural: String(at(wanted, 'resource') ?? ''),
      ...(typeof namespace === 'string' && namespace !== '' ? { namespace } : {}),
    },
    door.cluster,
    door.authorization,
  );
  const answered = {
    ...(isFields(body) ? body : {}),
    status: { allowed, ...(allowed ? {} : { denied: false }) },
  };
  return Response.json(answered, { status: 201 });
}
