import { describe, expect, test } from 'vitest';
import { parseSchedule, resolveSettings, ScheduleError } from '../../sandbox/host/ncrontab.ts';

const next = (schedule: string, after: string): string =>
  new Date(parseSchedule(schedule).next(Date.parse(after))).toISOString();

describe('the next occurrence', () => {
  test.each([
    {
      reason: 'every five minutes',
      schedule: '0 */5 * * * *',
      after: '2026-01-01T00:03:10Z',
      is: '2026-01-01T00:05:00Z',
    },
    {
      reason: 'strictly after',
      schedule: '0 */5 * * * *',
      after: '2026-01-01T00:05:00Z',
      is: '2026-01-01T00:10:00Z',
    },
    {
      reason: 'every second',
      schedule: '* * * * * *',
      after: '2026-01-01T00:00:00.500Z',
      is: '2026-01-01T00:00:01Z',
    },
    {
      reason: 'top of the hour',
      schedule: '0 0 * * * *',
      after: '2026-01-01T23:00:00Z',
      is: '2026-01-02T00:00:00Z',
    },
    {
      reason: 'a list',
      schedule: '0 0 6,18 * * *',
      after: '2026-01-01T07:00:00Z',
      is: '2026-01-01T18:00:00Z',
    },
    {
      reason: 'a range',
      schedule: '0 0 9-17 * * *',
      after: '2026-01-01T17:30:00Z',
      is: '2026-01-02T09:00:00Z',
    },
    {
      reason: 'a range with a step',
      schedule: '0 0 8-18/5 * * *',
      after: '2026-01-01T09:00:00Z',
      is: '2026-01-01T13:00:00Z',
    },
    {
      reason: 'a start with a step',
      schedule: '0 5/20 * * * *',
      after: '2026-01-01T00:26:00Z',
      is: '2026-01-01T00:45:00Z',
    },
    {
      reason: 'weekdays by name',
      schedule: '0 30 9 * * Mon-Fri',
      after: '2026-01-02T10:00:00Z',
      is: '2026-01-05T09:30:00Z',
    },
    {
      reason: 'a month by name',
      schedule: '0 0 0 1 Mar *',
      after: '2026-01-01T00:00:00Z',
      is: '2026-03-01T00:00:00Z',
    },
    {
      reason: 'a shortened name is the first that fits',
      schedule: '0 0 0 1 J *',
      after: '2026-02-01T00:00:00Z',
      is: '2027-01-01T00:00:00Z',
    },
    {
      reason: 'Sunday is 0',
      schedule: '0 0 0 * * 0',
      after: '2026-01-01T00:00:00Z',
      is: '2026-01-04T00:00:00Z',
    },
    {
      reason: 'day and weekday must both fit',
      schedule: '0 0 0 13 * 5',
      after: '2026-01-01T00:00:00Z',
      is: '2026-02-13T00:00:00Z',
    },
    {
      reason: 'a range given backwards is swapped',
      schedule: '0 0 17-9 * * *',
      after: '2026-01-01T10:30:00Z',
      is: '2026-01-01T11:00:00Z',
    },
    {
      reason: 'a leap day',
      schedule: '0 0 0 29 2 *',
      after: '2026-01-01T00:00:00Z',
      is: '2028-02-29T00:00:00Z',
    },
    {
      reason: 'a month without a 31st is passed over',
      schedule: '0 0 0 31 * *',
      after: '2026-01-31T00:00:00Z',
      is: '2026-03-31T00:00:00Z',
    },
    {
      reason: 'five fields have no seconds',
      schedule: '15 2 * * *',
      after: '2026-01-01T00:00:00Z',
      is: '2026-01-01T02:15:00Z',
    },
    {
      reason: 'a time span is counted from then',
      schedule: '24:00:00',
      after: '2026-01-01T00:00:00Z',
      is: undefined,
    },
    {
      reason: 'a time span of an hour and a half',
      schedule: '01:30:00',
      after: '2026-01-01T00:10:00Z',
      is: '2026-01-01T01:40:00Z',
    },
  ])('$schedule after $after: $reason', ({ schedule, after, is }) => {
    if (is === undefined) expect(() => next(schedule, after)).toThrow(ScheduleError);
    else expect(next(schedule, after)).toBe(new Date(is).toISOString());
  });

  test.each([
    '',
    '* * * *',
    '60 * * * * *',
    '0 0 24 * * *',
    '0 0 0 0 * *',
    '0 0 0 * 13 *',
    '0 0 0 * * 7',
    '0 a * * * *',
    '0 1/2/3 * * * *',
    '0 0 0 * Foo *',
    '0 , * * * *',
  ])('refuses "%s"', (schedule) => {
    expect(() => parseSchedule(schedule)).toThrow(ScheduleError);
  });

  test('says when there will never be one', () => {
    expect(() => next('0 0 0 30 2 *', '2026-01-01T00:00:00Z')).toThrow(ScheduleError);
  });
});

describe('settings in a schedule', () => {
  test('are put in, and missed when they are not set', () => {
    expect(resolveSettings('%WHEN%', { WHEN: '0 0 * * * *' })).toBe('0 0 * * * *');
    expect(() => resolveSettings('%WHEN%', {})).toThrow("'%WHEN%' does not resolve to a value.");
  });
});
