/**
 * Whether two Kubernetes quantities are the same amount: the API server rewrites `1000m` to `1` and `0.5` to `500m`.
 * https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/ — compared exactly, as fractions.
 */
const quantity = /^([+-]?)(\d*)(?:\.(\d*))?(?:([numkMGTPE]|[KMGTPE]i)|[eE]([+-]?\d{1,3}))?$/;

const decimalPower: Readonly<Record<string, number>> = {
  n: -9,
  u: -6,
  m: -3,
  k: 3,
  M: 6,
  G: 9,
  T: 12,
  P: 15,
  E: 18,
};
const binaryPower: Readonly<Record<string, number>> = { Ki: 10, Mi: 20, Gi: 30, Ti: 40, Pi: 50, Ei: 60 };

interface Fraction {
  readonly numerator: bigint;
  readonly denominator: bigint;
}

/** `undefined` for what is no quantity. */
function fractionOf(text: string): Fraction | undefined {
  const [match, sign, whole = '', decimals = '', suffix = '', exponent = '0'] = quantity.exec(text) ?? [];
  if (match === undefined || whole + decimals === '') return undefined;
  const power = (decimalPower[suffix] ?? 0) + Number(exponent) - decimals.length;
  const amount =
    BigInt(`${sign === '-' ? '-' : ''}${whole}${decimals}`) * 2n ** BigInt(binaryPower[suffix] ?? 0);
  return power >= 0
    ? { numerator: amount * 10n ** BigInt(power), denominator: 1n }
    : { numerator: amount, denominator: 10n ** BigInt(-power) };
}

export function sameQuantity(one: unknown, other: unknown): boolean {
  const [left, right] = [fractionOf(String(one)), fractionOf(String(other))];
  if (!left || !right) return false;
  return left.numerator * right.denominator === right.numerator * left.denominator;
}

/** False where one of them is no quantity. */
export function isLessQuantity(one: unknown, other: unknown): boolean {
  const [left, right] = [fractionOf(String(one)), fractionOf(String(other))];
  if (!left || !right) return false;
  return left.numerator * right.denominator < right.numerator * left.denominator;
}
