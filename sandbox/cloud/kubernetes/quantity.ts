/** Resource quantities (`500m`, `2Gi`): apimachinery/pkg/api/resource/quantity.go. */
const SUFFIXES: Readonly<Record<string, number>> = {
  '': 1,
  n: 1e-9,
  u: 1e-6,
  m: 1e-3,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  P: 1e15,
  E: 1e18,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
  Pi: 2 ** 50,
  Ei: 2 ** 60,
};

const FORM = /^([+-]?(?:\d+\.?\d*|\.\d+))(?:([numkMGTPE]|[KMGTPE]i)|[eE]([+-]?\d+))?$/;

/** The quantity as a number (cores, bytes), or undefined when it is not one. */
export function parseQuantity(text: string): number | undefined {
  const match = FORM.exec(text);
  if (!match) return undefined;
  const exponent = match[3];
  if (exponent !== undefined) return Number(match[1]) * 10 ** Number(exponent);
  return Number(match[1]) * (SUFFIXES[match[2] ?? ''] ?? Number.NaN);
}

export function amount(text: string | undefined): number {
  return text === undefined ? 0 : (parseQuantity(text) ?? 0);
}
