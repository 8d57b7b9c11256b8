import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  alignedPhases,
  hurry,
  MACHINE_SCHEDULE,
  makeSchedule,
  METER_SCHEDULE,
  nextDueMs,
  pollDone,
  relax,
  takeDue,
} from '../../../../agent/core/schedule.ts';
import type { Schedule } from '../../../../agent/core/schedule.ts';

/** Runs a schedule for a while; `takesMs` says how long a device takes, negative for a failure after so long. */
function simulate(
  schedule: Schedule,
  untilMs: number,
  takesMs: (index: number) => number,
): Map<number, number[]> {
  const asked = new Map<number, number[]>();
  const under: { index: number; endMs: number; ok: boolean }[] = [];
  let nowMs = 0;
  while (nowMs <= untilMs) {
    for (const { index } of takeDue(schedule, nowMs)) {
      asked.set(index, [...(asked.get(index) ?? []), nowMs]);
      const ms = takesMs(index);
      under.push({ index, endMs: nowMs + Math.abs(ms), ok: ms >= 0 });
    }
    under.sort((a, b) => a.endMs - b.endMs);
    const end = under[0]?.endMs ?? Infinity;
    nowMs = Math.max(nowMs, Math.min(nextDueMs(schedule) ?? Infinity, end));
    while (under[0] !== undefined && under[0].endMs <= nowMs) {
      const done = under.shift();
      if (done !== undefined) pollDone(schedule, done.index, done.ok, nowMs, 0.5);
    }
  }
  return asked;
}

const many = (count: number, periodMs: number): number[] => Array.from({ length: count }, () => periodMs);

describe('the schedule', () => {
  test('asks each device once a period at its own phase, never many at once', () => {
    const asked = simulate(makeSchedule(many(1_000, 10_000), MACHINE_SCHEDULE, 0), 59_999, () => 50);
    const perTenth = new Map<number, number>();
    for (const times of asked.values()) {
      expect(times.length).toBeGreaterThanOrEqual(5);
      for (const [index, time] of times.entries()) {
        if (index > 0) expect(time - (times[index - 1] ?? 0)).toBe(10_000);
        perTenth.set(Math.floor(time / 100), (perTenth.get(Math.floor(time / 100)) ?? 0) + 1);
      }
    }
    expect(Math.max(...perTenth.values())).toBeLessThanOrEqual(13);
  });

  test('silent devices do not slow the others and are asked ever more rarely', () => {
    const options = { ...MACHINE_SCHEDULE, parallel: 20, parallelSilent: 4 };
    const asked = simulate(makeSchedule(many(400, 10_000), options, 0), 299_999, (index) =>
      index % 20 === 0 ? -5_000 : 100,
    );
    const late = (index: number): number => (asked.get(index) ?? []).filter((ms) => ms >= 100_000).length;
    for (let index = 0; index < 400; index += 1)
      if (index % 20 === 0) expect(late(index)).toBeLessThan(8);
      else expect(late(index)).toBe(20);
  });

  test('says when a device is lost and when it is back', () => {
    const schedule = makeSchedule([1_000], MACHINE_SCHEDULE, 0);
    const changes = [false, false, false, false, true].map((ok) => {
      takeDue(schedule, nextDueMs(schedule) ?? 0);
      return pollDone(schedule, 0, ok, schedule.slots[0]?.startedMs ?? 0, 0);
    });
    expect(changes).toEqual([undefined, undefined, 'lost', undefined, 'returned']);
  });

  test('hurries a machine under command, then goes back to its period', () => {
    const schedule = makeSchedule([10_000], MACHINE_SCHEDULE, 0);
    takeDue(schedule, 0);
    pollDone(schedule, 0, true, 100, 0);
    expect(nextDueMs(schedule)).toBe(10_000);
    hurry(schedule, 0, 2_000, 7_000, 100);
    expect(nextDueMs(schedule)).toBe(2_100);
    takeDue(schedule, 2_100);
    pollDone(schedule, 0, true, 2_200, 0);
    expect(nextDueMs(schedule)).toBe(4_200);
    relax(schedule, 0);
    takeDue(schedule, 4_200);
    pollDone(schedule, 0, true, 4_250, 0);
    expect(nextDueMs(schedule)).toBe(10_000);
  });

  test('has meters of one period sampled in one window, at whole seconds of the UTC clock', () => {
    const periods = [...many(100, 1_000), ...many(10, 5_000)];
    const lines = periods.map((_, index) => (index < 40 ? 'one line' : undefined));
    const phases = alignedPhases(periods, lines, { monoMs: 77, wallMs: 1_700_000_000_400 });
    const wallOf = (ms: number): number => ms - 77 + 1_700_000_000_400;
    for (const [index, ms] of phases.entries()) {
      expect(ms).toBeGreaterThanOrEqual(77);
      expect(wallOf(ms) % (periods[index] ?? 1)).toBeLessThan(71 * 0.5);
    }
    // Those of one line wait for each other in any case, and begin together.
    expect(new Set(phases.slice(0, 40)).size).toBe(1);
    expect(new Set(phases.slice(40, 100)).size).toBeGreaterThan(50);
    // However many lines there are, half of the period is free.
    const crowd = alignedPhases(
      many(5_000, 1_000),
      many(5_000, 0).map(() => undefined),
      {
        monoMs: 0,
        wallMs: 0,
      },
    );
    expect(Math.max(...crowd) % 1_000).toBeLessThan(501);
  });

  test('asks silent meters every second or so, whatever their period', () => {
    const schedule = makeSchedule([10_000], METER_SCHEDULE, 0);
    let nowMs = 0;
    for (let poll = 0; poll < 10; poll += 1) {
      nowMs = nextDueMs(schedule) ?? nowMs;
      takeDue(schedule, nowMs);
      pollDone(schedule, 0, false, nowMs, 0.99);
    }
    expect((nextDueMs(schedule) ?? 0) - nowMs).toBeLessThan(1_000);
  });

  test('reads everything at every sixth poll', () => {
    const schedule = makeSchedule([1_000], MACHINE_SCHEDULE, 0);
    const scopes = Array.from({ length: 13 }, (_, poll) => {
      const [asked] = takeDue(schedule, poll * 1_000);
      pollDone(schedule, 0, true, poll * 1_000 + 10, 0);
      return asked?.scope[1];
    });
    expect(scopes.join('')).toBe('uaaaaauaaaaau');
  });
});

test('never more in flight than allowed, never one device twice', () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: -6_000, max: 6_000 }), { minLength: 1, maxLength: 40 }),
      (takes) => {
        const options = { ...MACHINE_SCHEDULE, parallel: 5, parallelSilent: 2 };
        const schedule = makeSchedule(many(takes.length, 1_000), options, 0);
        const busy = new Set<number>();
        simulate(schedule, 30_000, (index) => takes[index] ?? 0);
        for (const slot of schedule.slots) if (slot.inFlight) busy.add(slot.index);
        expect(busy.size).toBe(schedule.liveInFlight + schedule.silentInFlight);
        expect(schedule.liveInFlight).toBeLessThanOrEqual(5);
        expect(schedule.silentInFlight).toBeLessThanOrEqual(2);
      },
    ),
    { numRuns: 30 },
  );
});
