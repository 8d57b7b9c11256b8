import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { dayStart, intervalAt, nextBoundary, offsetAt } from '../../../../protocols/metering/calendar.ts';
import type { Calendar, Interval } from '../../../../protocols/metering/calendar.ts';

const HOUR_MS = 3_600_000;

/** All intervals that begin on a day of a zone. */
function dayOf(day: string, next: string, calendar: Calendar): Interval[] {
  const endMs = dayStart(next, calendar.timeZone) ?? 0;
  const intervals: Interval[] = [];
  for (let atMs = dayStart(day, calendar.timeZone) ?? 0; atMs < endMs;) {
    const interval = intervalAt(atMs, calendar);
    intervals.push(interval);
    atMs = interval.endMs;
  }
  return intervals;
}

describe('the intervals of a day', () => {
  it.each([
    ['America/Chicago', '2026-03-07', '2026-03-08', 15, 96],
    ['America/Chicago', '2026-03-08', '2026-03-09', 15, 92],
    ['America/Chicago', '2026-11-01', '2026-11-02', 15, 100],
    ['Europe/Oslo', '2026-03-29', '2026-03-30', 60, 23],
    ['Europe/Oslo', '2026-10-25', '2026-10-26', 5, 300],
    ['Asia/Kathmandu', '2026-06-01', '2026-06-02', 60, 24],
  ])('%s on %s: %s %i min, %i of them', (timeZone, day, next, intervalMin, count) => {
    const intervals = dayOf(day, next, { intervalMin, timeZone });
    expect(intervals).toHaveLength(count);
    expect(intervals[0]?.startMs).toBe(dayStart(day, timeZone));
    expect(intervals.every(({ startMs, endMs }) => endMs - startMs === intervalMin * 60_000)).toBe(true);
  });

  it('begin by the clocks of the zone, not by UTC', () => {
    const at = Date.UTC(2026, 5, 1, 12, 20);
    expect(intervalAt(at, { intervalMin: 60, timeZone: 'Asia/Kathmandu' }).startMs).toBe(
      Date.UTC(2026, 5, 1, 12, 15),
    );
    expect(intervalAt(at, { intervalMin: 60, timeZone: 'UTC' }).startMs).toBe(Date.UTC(2026, 5, 1, 12));
  });

  it('where the clocks go back by half an hour, that half hour is an interval of its own', () => {
    const intervals = dayOf('2026-04-05', '2026-04-06', { intervalMin: 60, timeZone: 'Australia/Lord_Howe' });
    const lengths = intervals.map(({ startMs, endMs }) => (endMs - startMs) / HOUR_MS);
    expect(lengths.filter((length) => length !== 1)).toEqual([0.5]);
    expect(lengths.reduce((sum, length) => sum + length)).toBe(24.5);
  });
});

it('intervals follow each other without a gap, and every boundary is one of the zone’s clocks', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: Date.UTC(2020, 0), max: Date.UTC(2035, 0) }),
      fc.constantFrom(5, 15, 30, 60),
      fc.constantFrom('UTC', 'America/Chicago', 'Europe/London', 'Australia/Adelaide', 'Asia/Kathmandu'),
      (atMs, intervalMin, timeZone) => {
        const calendar = { intervalMin, timeZone };
        const { startMs, endMs } = intervalAt(atMs, calendar);
        expect(startMs).toBeLessThanOrEqual(atMs);
        expect(endMs).toBeGreaterThan(atMs);
        expect(nextBoundary(startMs, calendar)).toBe(endMs);
        expect(intervalAt(endMs - 1, calendar)).toEqual({ startMs, endMs });
        expect(intervalAt(endMs, calendar).startMs).toBe(endMs);
        expect((endMs + offsetAt(endMs, timeZone)) % (intervalMin * 60_000)).toBe(0);
      },
    ),
    { numRuns: 300 },
  );
});

it('a day that is none has no beginning', () => {
  expect(dayStart('2026-13-40', 'UTC')).toBeUndefined();
  expect(dayStart('yesterday', 'UTC')).toBeUndefined();
});

it.each([
  ['America/Santiago', '2026-09-06', Date.UTC(2026, 8, 6, 4)],
  ['America/Havana', '2026-03-08', Date.UTC(2026, 2, 8, 5)],
  ['America/Havana', '2026-11-01', Date.UTC(2026, 10, 1, 4)],
  ['Atlantic/Azores', '2026-03-29', Date.UTC(2026, 2, 29, 1)],
  ['Asia/Beirut', '2026-03-29', Date.UTC(2026, 2, 28, 22)],
])('a day of %s whose clocks change at midnight begins at its first moment: %s', (timeZone, day, startMs) => {
  expect(dayStart(day, timeZone)).toBe(startMs);
});
