/** What people are told about differences that are left alone. */
import { hasNoWayBack } from '../graph/drift-defaults.ts';
import type { Treatment, Verdict } from '../graph/drift-policy.ts';
import type { Notice } from '../graph/finding.ts';
import type { ResourceKey } from '../graph/resource.ts';

/** Characters of a sentence, and of one value in it: rows in the store are bounded, and nobody reads more. */
const LONGEST_TEXT = 400;
const LONGEST_VALUE = 100;

const told: Readonly<Partial<Record<Treatment, { readonly id: string; readonly says: string }>>> = {
  reported: { id: 'drift-report', says: 'is not as asked, and is only reported' },
  'adopt-impossible': { id: 'drift-adopt', says: 'is not as asked, and cannot be taken into the spec' },
  paused: { id: 'drift-paused', says: 'is not as asked, and automation is paused' },
  fought: { id: 'drift-fought', says: 'is changed back each time it is put right' },
  'held-with': { id: 'drift-held', says: 'is not as asked, and waits for what is left alone beside it' },
};

/** One for each way of being left alone, however many fields are. */
export function noticesOf(
  deployment: string,
  key: ResourceKey,
  title: string,
  verdicts: readonly Verdict[],
): readonly Notice[] {
  return Object.entries(told).flatMap(([treatment, { id, says }]): Notice[] => {
    const those = verdicts.filter((verdict) => verdict.treatment === treatment);
    if (those.length === 0) return [];
    const paths = those.map(({ difference }) => difference.path).join(', ');
    const who = [...new Set(those.flatMap(({ difference }) => difference.by?.name ?? []))];
    const isPaused = treatment === 'paused';
    const isForward = those.every(({ difference }) => hasNoWayBack(key, difference));
    const accept = `POST /api/deployments/${deployment}/accept`;
    return [
      {
        id,
        severity: isPaused ? 'info' : 'warning',
        what: cut(`${title}: ${paths} ${says}${who.length > 0 ? ` (changed by ${who.join(', ')})` : ''}.`),
        evidence: cut(those.map(evidenceOf).join('; ')),
        breaks: 'What the spec says of it does not hold.',
        remedy: isPaused
          ? `Resume: POST /api/deployments/${deployment}/resume`
          : isForward
            ? `It does not go back to an older version. Take it into the spec: ${accept}`
            : `Put it right with the call below, or take it into the spec: ${accept}`,
        ...(isForward ? {} : { repair: `POST /api/deployments/${deployment}/repair?resources=${key}` }),
      },
    ];
  });
}

const evidenceOf = ({ difference: { path, wanted, found }, why }: Verdict): string =>
  `${path}: ${short(found)} instead of ${short(wanted)}${why ? ` (${why})` : ''}`;

const short = (value: unknown): string => cut(JSON.stringify(value), LONGEST_VALUE);

const cut = (text: string, longest = LONGEST_TEXT): string =>
  text.length > longest ? `${text.slice(0, longest - 1)}…` : text;
