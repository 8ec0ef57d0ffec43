/**
 * Patterns over tags, and which of them are refused. JavaScript's engine backtracks, so a pattern with many or nested
 * repetitions can take longer over one tag than an activity has; a pattern over tags needs neither.
 */

const MOST_REPETITIONS = 4;
const MOST_OPTIONAL = 4;

/** The whole tag has to match, whether or not the pattern says so. */
export const compileTagPattern = (pattern: string): RegExp => new RegExp(`^(?:${pattern})$`);

/** Why a pattern is refused; undefined when it may be used. */
export function tagPatternFlaw(pattern: string): string | undefined {
  try {
    compileTagPattern(pattern);
    // What closes the group around it would compile above: `a)|(b`.
    new RegExp(pattern);
  } catch {
    return 'must be a regular expression such as v0\\.6\\.\\d+';
  }
  // What stands for one character repeats nothing; what refers back is kept apart.
  const bare = pattern.replaceAll(/\\.|\[(?:\\.|[^\]\\])*\]/g, (part) =>
    /^\\[1-9k]/.test(part) ? '\\' : 'c',
  );
  if (/\\|\(\?(?!:)/.test(bare)) return 'must not refer back, look around or name its groups';
  const plain = bare.replaceAll('(?:', '(');
  const repetitions = plain.match(/[*+]|\{\d/g)?.length ?? 0;
  const optional = plain.match(/\?/g)?.length ?? 0;
  if (repetitions > MOST_REPETITIONS || optional > MOST_OPTIONAL) {
    return `must repeat at most ${MOST_REPETITIONS} things and leave out at most ${MOST_OPTIONAL}`;
  }
  return repeatsAlternatives(plain) ? 'must not repeat a group that itself repeats or chooses' : undefined;
}

/** Whether a repeated group holds a repetition or a choice: what takes exponential time. */
function repeatsAlternatives(plain: string): boolean {
  const open: boolean[] = [];
  for (const [index, character] of [...plain].entries()) {
    if (character === '(') open.push(false);
    if (/[*+?{|]/.test(character) && open.length > 0) open[open.length - 1] = true;
    if (character !== ')') continue;
    const isRisky = open.pop() ?? false;
    if (isRisky && /[*+{]/.test(plain[index + 1] ?? '')) return true;
    // A group is as risky as what it holds.
    if (isRisky && open.length > 0) open[open.length - 1] = true;
  }
  return false;
}
