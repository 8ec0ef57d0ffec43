import type { Precondition } from '../store/store.ts';

/** Tags of a header such as `"3-1f", W/"2"`. A weak one stays weak, and so matches nothing: RFC 9110, section 13.1.1. */
function tagsOf(header: string | null): readonly string[] | undefined {
  if (header === null) return undefined;
  return header.trim() === '*' ? ['*'] : (header.match(/(?:W\/)?"[^"]*"/g) ?? []);
}

/** What the headers If-Match and If-None-Match demand. One that cannot be understood matches nothing. */
export function preconditionOf(headers: { get(name: string): string | null }): Precondition {
  const ifMatch = tagsOf(headers.get('if-match'));
  const ifNoneMatch = tagsOf(headers.get('if-none-match'));
  return { ...(ifMatch ? { ifMatch } : {}), ...(ifNoneMatch ? { ifNoneMatch } : {}) };
}

/** Whether it holds of something that is there, with this tag. */
export function preconditionHolds({ ifMatch, ifNoneMatch }: Precondition, etag: string): boolean {
  const isAmong = (tags: readonly string[]): boolean => tags.includes('*') || tags.includes(etag);
  return (ifMatch === undefined || isAmong(ifMatch)) && (ifNoneMatch === undefined || !isAmong(ifNoneMatch));
}
