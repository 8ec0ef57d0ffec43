/**
 * Timer schedules: NCRONTAB expressions of six fields (`{second} {minute} {hour} {day} {month} {day-of-week}`; five
 * without seconds) as the NCrontab library reads them, and `hh:mm:ss` intervals. Times are UTC.
 *
 * Unlike in other crons, day of month and day of week must both fit; ranges given backwards are swapped; `5/15` is
 * every 15 from 5 on; names may be shortened to any prefix; Sunday is 0 only.
 */
import { parseTimeSpan } from './time-span.ts';

export class ScheduleError extends Error {
  override readonly name = 'ScheduleError';
}

export interface Schedule {
  /** The first occurrence after a time (both milliseconds since 1970). Throws ScheduleError when there is none. */
  next(after: number): number;
}

interface Field {
  readonly name: string;
  readonly from: number;
  readonly to: number;
  readonly names?: readonly string[];
}

const second: Field = { name: 'second', from: 0, to: 59 };
const minute: Field = { name: 'minute', from: 0, to: 59 };
const hour: Field = { name: 'hour', from: 0, to: 23 };
const day: Field = { name: 'day', from: 1, to: 31 };
const month: Field = {
  name: 'month',
  from: 1,
  to: 12,
  names: [
    'January',
    'February',
    'March',
    'April',
    'May',
    'June',
    'July',
    'August',
    'September',
    'October',
    'November',
    'December',
  ],
};
const dayOfWeek: Field = {
  name: 'day-of-week',
  from: 0,
  to: 6,
  names: ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday'],
};

/** Parses a schedule with its settings already put in. Throws ScheduleError. */
export function parseSchedule(text: string): Schedule {
  const fields = text.trim().split(/\s+/);
  if (fields.length === 6 || fields.length === 5)
    return parseCron(fields.length === 5 ? ['0', ...fields] : fields);
  const interval = parseTimeSpan(text);
  if (interval !== undefined && interval > 0) return { next: (after) => after + interval };
  throw new ScheduleError(
    `The schedule expression '${text}' was not recognized as a valid cron expression or timespan string.`,
  );
}

/** Puts app settings in for `%NAME%`. Throws ScheduleError when one is not set. */
export function resolveSettings(
  text: string,
  settings: Readonly<Record<string, string | undefined>>,
): string {
  return text.replace(/%([^%]+)%/g, (whole, name: string) => {
    const value = settings[name];
    if (value === undefined) throw new ScheduleError(`'${whole}' does not resolve to a value.`);
    return value;
  });
}

function parseCron(texts: readonly string[]): Schedule {
  const [seconds, minutes, hours, days, months, weekdays] = [second, minute, hour, day, month, dayOfWeek].map(
    (field, index) => parseField(field, texts[index] ?? ''),
  ) as [number[], number[], number[], number[], number[], number[]];
  return {
    next(after) {
      const start = new Date(Math.floor(after / 1000) * 1000 + 1000);
      const [fromHour, fromMinute, fromSecond] = [
        start.getUTCHours(),
        start.getUTCMinutes(),
        start.getUTCSeconds(),
      ];
      const firstDay = Date.UTC(start.getUTCFullYear(), start.getUTCMonth(), start.getUTCDate());
      // 29 February meets a given day of the week within 40 years, even across a century without a leap day.
      for (let offset = 0; offset < 366 * 41; offset++) {
        const date = new Date(firstDay + offset * 86_400_000);
        if (!months.includes(date.getUTCMonth() + 1) || !days.includes(date.getUTCDate())) continue;
        if (!weekdays.includes(date.getUTCDay())) continue;
        for (const h of hours) {
          if (offset === 0 && h < fromHour) continue;
          for (const m of minutes) {
            if (offset === 0 && h === fromHour && m < fromMinute) continue;
            const isFirst = offset === 0 && h === fromHour && m === fromMinute;
            const s = seconds.find((value) => !isFirst || value >= fromSecond);
            if (s !== undefined) return date.getTime() + ((h * 60 + m) * 60 + s) * 1000;
          }
        }
      }
      throw new ScheduleError(`The schedule '${texts.join(' ')}' never occurs.`);
    },
  };
}

function parseField(field: Field, text: string): number[] {
  const values = new Set<number>();
  for (const part of text.split(',')) {
    const [range = '', step, ...rest] = part.split('/');
    const every = step === undefined ? 1 : toNumber(field, step, 'step');
    if (rest.length > 0)
      throw new ScheduleError(`'${part}' is not a valid [${field.name}] crontab field expression.`);
    let [from, to] = rangeOf(field, range, step !== undefined);
    if (from > to) [from, to] = [to, from];
    for (const value of [from, to]) {
      if (value < field.from || value > field.to) {
        throw new ScheduleError(
          `${value} is not allowed for the [${field.name}] field. Value must be between ${field.from} and ${field.to} (all inclusive).`,
        );
      }
    }
    for (let value = from; value <= to; value += Math.max(1, every)) values.add(value);
  }
  return [...values].sort((a, b) => a - b);
}

function rangeOf(field: Field, text: string, hasStep: boolean): [number, number] {
  if (text === '*') return [field.from, field.to];
  const dash = text.indexOf('-');
  if (dash > 0) return [parseValue(field, text.slice(0, dash)), parseValue(field, text.slice(dash + 1))];
  const value = parseValue(field, text);
  return [value, hasStep ? field.to : value];
}

function parseValue(field: Field, text: string): number {
  if (/^\d/.test(text) || !field.names) return toNumber(field, text, 'value');
  const index =
    text === '' ? -1 : field.names.findIndex((name) => name.toLowerCase().startsWith(text.toLowerCase()));
  if (index < 0) {
    throw new ScheduleError(
      `'${text}' is not a known value name. Use one of the following: ${field.names.join(', ')}.`,
    );
  }
  return index + field.from;
}

function toNumber(field: Field, text: string, what: string): number {
  if (/^\d+$/.test(text)) return Number(text);
  throw new ScheduleError(`'${text}' is not a valid ${what} of the [${field.name}] crontab field.`);
}
