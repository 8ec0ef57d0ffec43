/** Media types: what the caller sent and what form of answer it accepts. */
import { parse } from 'yaml';
import { badRequest, StatusError } from './status-error.ts';

export type Form = 'plain' | 'table' | 'metadata' | 'discovery-v2' | 'discovery-v2beta1';

/** The first form of the Accept header that this server can write. Throws 406 when there is none. */
export function acceptedForm(accept: string | null, isDiscovery: boolean): Form {
  for (const range of (accept ?? '*/*').split(',').map((one) => one.trim())) {
    const [type = '', ...parameters] = range.split(';').map((part) => part.trim());
    if (!['application/json', 'application/*', '*/*', 'application/yaml', ''].includes(type)) continue;
    const as = parameters.find((parameter) => parameter.startsWith('as='))?.slice(3);
    const version = parameters.find((parameter) => parameter.startsWith('v='))?.slice(2);
    if (as === undefined) return 'plain';
    if (as === 'Table' && version === 'v1') return 'table';
    if (as.startsWith('PartialObjectMetadata')) return 'metadata';
    if (as === 'APIGroupDiscoveryList' && isDiscovery) {
      return version === 'v2' ? 'discovery-v2' : 'discovery-v2beta1';
    }
  }
  throw new StatusError(
    406,
    'NotAcceptable',
    'only the following media types are accepted: application/json, application/json;as=Table;v=v1;g=meta.k8s.io',
  );
}

const WRITABLE = ['application/json', 'application/yaml'];

/** Throws 415 for protobuf and other encodings, 400 for what does not parse. */
export async function readBody(request: Request): Promise<unknown> {
  const type = mediaType(request);
  if (type !== '' && !WRITABLE.includes(type)) throw unsupportedMediaType(WRITABLE);
  return parseBody(await request.text());
}

export type PatchType = 'json' | 'merge' | 'strategic' | 'apply';

const PATCH_TYPES: Readonly<Record<string, PatchType>> = {
  'application/json-patch+json': 'json',
  'application/merge-patch+json': 'merge',
  'application/strategic-merge-patch+json': 'strategic',
  'application/apply-patch+yaml': 'apply',
};

export async function readPatch(request: Request): Promise<{ type: PatchType; body: unknown }> {
  const type = PATCH_TYPES[mediaType(request)];
  if (type === undefined) throw unsupportedMediaType(Object.keys(PATCH_TYPES));
  return { type, body: parseBody(await request.text()) };
}

function mediaType(request: Request): string {
  return (request.headers.get('content-type') ?? '').split(';')[0]?.trim().toLowerCase() ?? '';
}

function unsupportedMediaType(accepted: readonly string[]): StatusError {
  return new StatusError(
    415,
    'UnsupportedMediaType',
    `the body of the request was in an unknown format - accepted media types include: ${accepted.join(', ')}`,
  );
}

/** JSON is YAML, so one reader does for both. */
function parseBody(text: string): unknown {
  if (text.trim() === '') return undefined;
  try {
    return text.trimStart().startsWith('{') ? JSON.parse(text) : parse(text);
  } catch (error) {
    throw badRequest(
      `error decoding the body: ${error instanceof Error ? error.message : 'not JSON or YAML'}`,
    );
  }
}
