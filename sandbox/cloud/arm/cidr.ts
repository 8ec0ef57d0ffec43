/** IPv4 blocks: `10.0.0.0/16`. */
import { Refusal } from './frame/refusal.ts';

export interface Block {
  readonly text: string;
  readonly first: number;
  readonly size: number;
}

/** Refuses (400 InvalidCIDRNotation) what is no IPv4 block, or one whose address has host bits. */
export function parseBlock(text: string): Block {
  const [address = '', bits = ''] = text.split('/');
  const octets = address.split('.').map(Number);
  const prefix = Number(bits);
  const isBlock =
    octets.length === 4 &&
    octets.every((octet) => Number.isInteger(octet) && octet >= 0 && octet <= 255) &&
    /^\d{1,2}$/.test(bits) &&
    prefix <= 32;
  const first = octets.reduce((sum, octet) => sum * 256 + octet, 0);
  const size = 2 ** (32 - prefix);
  if (!isBlock || first % size !== 0) {
    throw new Refusal(
      400,
      'InvalidCIDRNotation',
      `The address prefix ${text} in the resource has an invalid CIDR notation.`,
    );
  }
  return { text, first, size };
}

export function contains(outer: Block, inner: Block): boolean {
  return inner.first >= outer.first && inner.first + inner.size <= outer.first + outer.size;
}

export function overlaps(a: Block, b: Block): boolean {
  return a.first < b.first + b.size && b.first < a.first + a.size;
}

/** The nth address of a block. */
export function addressAt(block: Block, index: number): string {
  const value = block.first + index;
  return [24, 16, 8, 0].map((shift) => Math.floor(value / 2 ** shift) % 256).join('.');
}
