/**
 * What is found in a cloud may be anything, a password that somebody typed among it, and goes into histories, records and
 * answers. Whatever looks like a secret there is replaced before it goes anywhere.
 */
import type { Difference, Json } from '../graph/resource.ts';
import { credentialIn, looksSecret } from './contradictions/secrets.ts';

/** Takes the value's place. Two values that are hidden look the same. */
export const hiddenValue = '(not shown: may hold a secret)';

/** `path` is dotted and ends in the setting's name, or in `value` below it, as in the `env` of a container. */
export function withoutSecrets(path: string, value: Json): Json {
  const names = path.split('.');
  const name = (names.at(-1) === 'value' ? names.at(-2) : names.at(-1)) ?? '';
  return value !== null && (looksSecret(name) || holdsCredential(value)) ? hiddenValue : value;
}

/** A difference as it may be told. */
export const shownDifference = (difference: Difference): Difference => ({
  ...difference,
  wanted: withoutSecrets(difference.path, difference.wanted),
  found: withoutSecrets(difference.path, difference.found),
});

/** `--token X` and `--token=X`, as programs are started. */
const secretFlag = /^--?[\w-]*(key|secret|token|password|passwd|credentials?)(=.|$)/i;

function holdsCredential(value: Json): boolean {
  if (typeof value === 'string') return credentialIn(value) !== undefined || secretFlag.test(value);
  return typeof value === 'object' && value !== null && Object.values(value).some(holdsCredential);
}
