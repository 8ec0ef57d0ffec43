/** Models of the public Ollama library that the sandbox knows, with their download sizes (ollama.com/library). */
import { createHash } from 'node:crypto';

export interface Model {
  readonly name: string;
  readonly family: string;
  readonly parameters: string;
  readonly size: number;
  readonly digest: string;
}

const GB = 1_000_000_000;

/** Per family: the sizes in billions of parameters its tags may name, and the one `latest` is. */
const FAMILIES: Readonly<Record<string, { readonly sizes: readonly number[]; readonly latest: number }>> = {
  'llama3.2': { sizes: [1, 3], latest: 3 },
  'llama3.1': { sizes: [8, 70], latest: 8 },
  llama3: { sizes: [8, 70], latest: 8 },
  mistral: { sizes: [7], latest: 7 },
  gemma2: { sizes: [2, 9, 27], latest: 9 },
  gemma3: { sizes: [0.27, 1, 4, 12, 27], latest: 4 },
  phi3: { sizes: [3.8, 14], latest: 3.8 },
  phi4: { sizes: [14], latest: 14 },
  'phi4-mini': { sizes: [3.8], latest: 3.8 },
  qwen2: { sizes: [0.5, 1.5, 7, 72], latest: 7 },
  'qwen2.5': { sizes: [0.5, 1.5, 3, 7, 14, 32, 72], latest: 7 },
  qwen3: { sizes: [0.6, 1.7, 4, 8, 14, 32], latest: 8 },
  'deepseek-r1': { sizes: [1.5, 7, 8, 14, 32, 70], latest: 8 },
  smollm2: { sizes: [0.135, 0.36, 1.7], latest: 1.7 },
  tinyllama: { sizes: [1.1], latest: 1.1 },
  codellama: { sizes: [7, 13, 34], latest: 7 },
  llava: { sizes: [7, 13, 34], latest: 7 },
  'nomic-embed-text': { sizes: [0.137], latest: 0.137 },
  'mxbai-embed-large': { sizes: [0.334], latest: 0.334 },
  'all-minilm': { sizes: [0.022, 0.033], latest: 0.022 },
};

/** The model behind `family:tag`, or undefined when the library has none. */
export function modelOf(name: string): Model | undefined {
  const [family = '', tag = 'latest'] = name.split(':');
  const known = FAMILIES[family];
  if (!known) return undefined;
  const stated = /^(\d+(?:\.\d+)?)([bm])(?:-.*)?$/i.exec(tag);
  const billions = stated ? Number(stated[1]) / (stated[2]?.toLowerCase() === 'm' ? 1000 : 1) : undefined;
  if (billions === undefined && tag !== 'latest' && tag !== 'instruct') return undefined;
  const chosen = billions ?? known.latest;
  if (!known.sizes.includes(chosen)) return undefined;
  // Four-bit weights take about 0.6 bytes a parameter, with some overhead for small models.
  return {
    name,
    family,
    parameters: `${chosen}B`,
    size: Math.round(chosen * 0.62 * GB + 0.1 * GB),
    digest: createHash('sha256').update(`${family}:${chosen}`).digest('hex'),
  };
}
