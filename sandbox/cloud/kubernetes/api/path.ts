/** What a request's path names: k8s.io/apiserver/pkg/endpoints/request/requestinfo.go. */

export interface ResourcePath {
  /** Empty for the core group. */
  readonly group: string;
  readonly version: string;
  readonly plural: string;
  readonly namespace?: string;
  readonly name?: string;
  readonly subresource?: string;
  /** What follows a `proxy` subresource, with its leading slash. */
  readonly rest?: string;
}

/** Undefined for paths that name no resource (`/version`, discovery). */
export function parseResourcePath(pathname: string): ResourcePath | undefined {
  const parts = pathname.split('/').slice(1).map(decodeURIComponent);
  let group = '';
  let version: string | undefined;
  let left: string[];
  if (parts[0] === 'api') [, version, ...left] = parts;
  else if (parts[0] === 'apis') [, group = '', version, ...left] = parts;
  else return undefined;
  if (version === undefined || version === '' || left[0] === undefined || left[0] === '') return undefined;
  const base = { group, version };
  if (left[0] === 'namespaces' && left[2] !== undefined && left[2] !== 'status' && left[2] !== 'finalize') {
    return { ...base, namespace: left[1] ?? '', ...below(left.slice(2), pathname) };
  }
  return { ...base, ...below(left, pathname) };
}

function below(
  parts: readonly string[],
  pathname: string,
): Pick<ResourcePath, 'plural' | 'name' | 'subresource' | 'rest'> {
  const [plural = '', name, subresource] = parts;
  return {
    plural,
    ...(name === undefined || name === '' ? {} : { name }),
    ...(subresource === undefined ? {} : { subresource }),
    ...(subresource === 'proxy' ? { rest: pathname.split('/proxy').slice(1).join('/proxy') || '/' } : {}),
  };
}
