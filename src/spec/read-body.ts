/** Reads a request's body into a value: JSON or YAML, of bounded size, or what is wrong with it. */
import type { ReadableStream } from 'node:stream/web';
import { parseJsonText } from './json-text.ts';
import type { ParsedText } from './text-flaw.ts';
import { parseYamlText } from './yaml-text.ts';

/** 1 MiB. A spec is a few KiB; this leaves room for comments. */
export const LARGEST_BODY_BYTES = 1_048_576;

export interface IncomingBody {
  readonly headers: { get(name: string): string | null };
  readonly body: ReadableStream | null;
}

type Flaw = 'too-large' | 'unsupported' | 'malformed' | 'empty';

export type ReadBody =
  | { readonly ok: true; readonly value: Readonly<Record<string, unknown>> }
  | {
      readonly ok: false;
      readonly reason: Flaw;
      /** One sentence for people, without anything of the body. */
      readonly message: string;
    };

type Format = 'JSON' | 'YAML';

const formats: Readonly<Record<string, Format>> = {
  'application/json': 'JSON',
  'application/yaml': 'YAML',
  'application/x-yaml': 'YAML',
  'text/yaml': 'YAML',
  'text/x-yaml': 'YAML',
};

const refuse = (reason: Flaw, message: string): ReadBody => ({ ok: false, reason, message });

/** Never rejects. */
export async function readBody({ headers, body }: IncomingBody): Promise<ReadBody> {
  const contentType = headers.get('content-type');
  const mediaType = contentType?.split(';')[0]?.trim().toLowerCase() ?? '';
  if (mediaType !== '' && !Object.hasOwn(formats, mediaType)) {
    return refuse('unsupported', 'the content type must be application/json or application/yaml');
  }
  const charset = /charset\s*=\s*"?([\w-]+)/i.exec(contentType ?? '')?.[1]?.toLowerCase() ?? 'utf-8';
  if (!['utf-8', 'utf8', 'us-ascii'].includes(charset)) {
    return refuse('unsupported', 'the body must be encoded in UTF-8');
  }
  if (!['', 'identity'].includes(headers.get('content-encoding')?.toLowerCase() ?? '')) {
    return refuse('unsupported', 'the body must not be compressed');
  }
  const tooLarge = refuse('too-large', `the body must be at most ${LARGEST_BODY_BYTES} bytes`);
  if (Number(headers.get('content-length')) > LARGEST_BODY_BYTES) return tooLarge;
  try {
    const bytes = await readBytes(body);
    return bytes ? parse(bytes, formats[mediaType]) : tooLarge;
  } catch {
    return refuse('malformed', 'the body broke off before its end');
  }
}

/** Nothing when there is more than allowed; then the rest is not read. */
async function readBytes(body: ReadableStream | null): Promise<Uint8Array | undefined> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of body ?? []) {
    const bytes: Uint8Array = typeof chunk === 'string' ? Buffer.from(chunk) : chunk;
    length += bytes.byteLength;
    if (length > LARGEST_BODY_BYTES) return undefined;
    chunks.push(bytes);
  }
  return Buffer.concat(chunks);
}

function parse(bytes: Uint8Array, declared: Format | undefined): ReadBody {
  let text: string;
  try {
    // Takes a byte order mark off, too.
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return refuse('malformed', 'the body must be encoded in UTF-8');
  }
  if (text.trim() === '') return refuse('empty', 'the body is empty');

  const format = declared ?? (/^\s*[{[]/.test(text) ? 'JSON' : 'YAML');
  const parsed: ParsedText = format === 'JSON' ? parseJsonText(text) : parseYamlText(text);
  if (!parsed.ok) {
    const { line, column, message } = parsed.flaw;
    return refuse('malformed', `line ${line}, column ${column}: the ${format} ${message}`);
  }
  return isMapping(parsed.value)
    ? { ok: true, value: parsed.value }
    : refuse('malformed', `the ${format} must be a mapping of fields at its top`);
}

const isMapping = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
