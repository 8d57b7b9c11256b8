import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { makePace, noteMove, spellsAt, takeSpell, waitOf } from '../../../../agent/core/pace.ts';
import type { Move, Pace, PaceMachine } from '../../../../agent/core/pace.ts';

const machine = (changes: Partial<PaceMachine> = {}): PaceMachine => ({
  path: [1, 0],
  minOnMs: 600_000,
  minOffMs: 300_000,
  maxCyclesPerDay: 4,
  ...changes,
});
const ramp = (node: string, kwPerMin: number) => ({
  node,
  upWPerMs: kwPerMin / 60,
  downWPerMs: kwPerMin / 60,
});
const start = (changes: Partial<Move> = {}): Move => ({
  machine: 0,
  mode: 'mine',
  seen: 'sleep',
  deltaW: 3_200,
  exempt: false,
  forMoney: true,
  again: false,
  ...changes,
});
const stop = (changes: Partial<Move> = {}): Move =>
  start({ mode: 'sleep', seen: 'mine', deltaW: -3_200, ...changes });
const make = (machines: readonly PaceMachine[] = [machine()], kwPerMin = Infinity): Pace =>
  makePace([ramp('site', kwPerMin), ramp('rack', Infinity)], machines, 0);
/** Asks, and moves when it may: what it waits for, or `moved`. */
const ask = (pace: Pace, move: Move, nowMs: number): string => {
  const wait = waitOf(pace, move, nowMs);
  if (wait === undefined) noteMove(pace, move, nowMs);
  return wait?.why ?? 'moved';
};

describe('least times', () => {
  test('for money a machine works its least time; for a limit it stops at once and then rests its own', () => {
    const pace = make();
    expect(ask(pace, start(), 0)).toBe('moved');
    expect(waitOf(pace, stop(), 599_000)).toMatchObject({ why: 'DWELL_WAIT', untilMs: 600_000 });
    expect(ask(pace, stop({ forMoney: false }), 10_000)).toBe('moved');
    expect(ask(pace, start({ forMoney: false }), 309_999)).toBe('DWELL_WAIT');
    expect(ask(pace, start(), 310_000)).toBe('moved');
    expect(ask(pace, stop(), 910_000)).toBe('moved');
  });

  test('nothing exempts a start: neither the order of who decides nor a reading that still shows work', () => {
    const pace = make();
    expect(ask(pace, stop({ exempt: true }), 0)).toBe('moved');
    expect(ask(pace, start({ exempt: true }), 1_000)).toBe('DWELL_WAIT');
    expect(ask(pace, start({ exempt: true, seen: 'mine', deltaW: 0 }), 1_000)).toBe('DWELL_WAIT');
  });

  test('what a machine was found doing, or did by itself, begins no least time', () => {
    const pace = make();
    expect(ask(pace, start(), 5_000)).toBe('moved');
    const found = make();
    expect(ask(found, stop(), 5_000)).toBe('moved');
    const selfSlept = make();
    expect(ask(selfSlept, start(), 0)).toBe('moved');
    expect(ask(selfSlept, start(), 20_000)).toBe('moved');
  });
});

test('starts are counted over 24 h; a repetition and a change of level are none', () => {
  const pace = make([machine({ minOnMs: 0, minOffMs: 0 })]);
  for (let hour = 0; hour < 4; hour += 1) {
    expect(ask(pace, start(), hour * 3_600_000)).toBe('moved');
    expect(ask(pace, start({ again: true }), hour * 3_600_000 + 1_000)).toBe('moved');
    expect(ask(pace, start({ seen: 'mine', deltaW: 200 }), hour * 3_600_000 + 2_000)).toBe('moved');
    expect(ask(pace, stop(), hour * 3_600_000 + 3_000)).toBe('moved');
  }
  expect(waitOf(pace, start(), 5 * 3_600_000)).toMatchObject({
    why: 'CYCLES_SPENT',
    untilMs: 24 * 3_600_000,
  });
  expect(ask(pace, start({ exempt: true }), 24 * 3_600_000 - 1)).toBe('CYCLES_SPENT');
  expect(ask(pace, start(), 24 * 3_600_000)).toBe('moved');
});

describe('ramps', () => {
  test('the node with least room says until when; one machine always fits in its time', () => {
    const pace = make([machine({ minOnMs: 0, minOffMs: 0 })], 6);
    expect(ask(pace, start(), 0)).toBe('moved');
    const wait = waitOf(pace, start(), 1_000);
    expect(wait).toMatchObject({ why: 'RAMP_WAIT', detail: 'site: load may rise by 6 kW a minute' });
    expect(wait?.untilMs).toBeCloseTo(32_000, 0);
    expect(ask(pace, start({ again: true }), 32_000)).toBe('moved');
  });

  test('sheds above the ramp, and moves that move nothing, wait for nobody', () => {
    const pace = make([machine({ minOnMs: 0 })], 6);
    expect(ask(pace, stop(), 0)).toBe('moved');
    expect(ask(pace, stop(), 1)).toBe('RAMP_WAIT');
    for (let n = 0; n < 50; n += 1) expect(ask(pace, stop({ exempt: true }), 1)).toBe('moved');
    expect(ask(pace, stop({ deltaW: 0 }), 1)).toBe('moved');
    // And take nothing from those below it.
    expect(ask(pace, stop(), 32_001)).toBe('moved');
  });

  test('over any stretch of time no more moves than the ramp, its burst and one machine, both ways', () => {
    const moves = fc.record({
      gapMs: fc.integer({ min: 0, max: 4_000 }),
      up: fc.boolean(),
      watts: fc.integer({ min: 1, max: 3_400 }),
      exempt: fc.boolean(),
    });
    const kwPerMin = fc.integer({ min: 1, max: 2_000 });
    fc.assert(
      fc.property(fc.array(moves, { maxLength: 120 }), kwPerMin, (list, rate) => {
        const pace = make([machine({ minOnMs: 0, minOffMs: 0, maxCyclesPerDay: 1_000 })], rate);
        const gone: { atMs: number; deltaW: number }[] = [];
        let nowMs = 0;
        for (const { gapMs, up, watts, exempt } of list) {
          nowMs += gapMs;
          const move = up ? start({ deltaW: watts, exempt }) : stop({ deltaW: -watts, exempt });
          if (ask(pace, move, nowMs) === 'moved' && (up || !exempt))
            gone.push({ atMs: nowMs, deltaW: move.deltaW });
        }
        for (const sign of [1, -1])
          for (const [from, first] of gone.entries()) {
            let sumW = 0;
            for (const { atMs, deltaW } of gone.slice(from)) {
              sumW += Math.max(0, sign * deltaW);
              expect(sumW).toBeLessThanOrEqual((rate / 60) * (atMs - first.atMs + 3_000) + 3_400 + 1e-3);
            }
          }
      }),
      { numRuns: 60 },
    );
  });
});

describe('over the end of the agent', () => {
  const kept = (pace: Pace, nowMs: number, wallMs: number) => spellsAt(pace, nowMs, wallMs)[0];
  const again = (found: ReturnType<typeof kept>, nowMs: number, wallMs: number): Pace => {
    const pace = make();
    if (found !== undefined) takeSpell(pace, 0, found, nowMs, wallMs);
    return pace;
  };

  test('least times go on by the wall clock, and the starts of the day are still counted', () => {
    const pace = make();
    for (let n = 0; n < 4; n++) {
      expect(ask(pace, start(), n * 1_000_000)).toBe('moved');
      expect(ask(pace, stop({ forMoney: false }), n * 1_000_000 + 500_000)).toBe('moved');
    }
    const found = kept(pace, 3_500_000, 1e12);
    // The new monotonic clock begins at 0, 100 s later.
    expect(waitOf(again(found, 0, 1e12 + 100_000), start(), 0)).toMatchObject({
      why: 'DWELL_WAIT',
      untilMs: 200_000,
    });
    const later = again(found, 0, 1e12 + 400_000);
    expect(waitOf(later, start(), 0)?.why).toBe('CYCLES_SPENT');
    const nextDay = again(found, 0, 1e12 + 24 * 3_600_000);
    expect(waitOf(nextDay, start(), 0)).toBeUndefined();
  });

  test('a wall clock that was set back makes a least time begin anew, and no more than that', () => {
    const pace = make();
    expect(ask(pace, stop(), 1_000)).toBe('moved');
    const found = kept(pace, 2_000, 1e12);
    const wait = waitOf(again(found, 0, 1e12 - 86_400_000), start(), 0);
    expect(wait).toMatchObject({ why: 'DWELL_WAIT', untilMs: 300_000 });
  });

  test('what was commanded before the file was read stands', () => {
    const pace = make();
    expect(ask(pace, stop(), 1_000)).toBe('moved');
    takeSpell(pace, 0, { mode: 'mine', sinceMs: 0, starts: [0] }, 2_000, 1e12);
    expect(pace.spells[0]).toEqual({ mode: 'sleep', sinceMs: 1_000, starts: [2_000 - 1e12] });
  });
});
