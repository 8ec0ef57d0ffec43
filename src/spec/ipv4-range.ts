/** Arithmetic on IPv4 ranges in CIDR notation, as far as the spec's network rules need it. */
export interface Ipv4Range {
  readonly first: number;
  readonly last: number;
  /** Bits of the prefix: 16 in 10.0.0.0/16. */
  readonly bits: number;
  /** False when the address is not the first of its range, as in 10.0.0.5/16. */
  readonly isAligned: boolean;
}

/** Expects a well-formed range; the schema has checked that. */
export function ipv4Range(cidr: string): Ipv4Range {
  const [address = '', prefix = '32'] = cidr.split('/');
  const bits = Number(prefix);
  const size = 2 ** (32 - bits);
  const given = address.split('.').reduce((so, part) => so * 256 + Number(part), 0);
  const first = Math.floor(given / size) * size;
  return { first, last: first + size - 1, bits, isAligned: first === given };
}

export const overlap = (a: Ipv4Range, b: Ipv4Range): boolean => a.first <= b.last && b.first <= a.last;

export const contains = (outer: Ipv4Range, inner: Ipv4Range): boolean =>
  outer.first <= inner.first && inner.last <= outer.last;
