import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { offsetNow } from '../../../../agent/core/clock-offset.ts';
import { goOn, makeSteady } from '../../../../agent/core/steady.ts';

const WALL_MS = Date.UTC(2026, 5, 1);

describe('the offset to the controller', () => {
  it('lies within what is stated, whatever the way of a beat takes', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: -90_000, max: 90_000 }),
        fc.integer({ min: 0, max: 3_000 }),
        fc.integer({ min: 0, max: 3_000 }),
        (trueMs, toMs, backMs) => {
          const heardMs = WALL_MS + 5_000;
          const askedMs = heardMs - toMs - backMs;
          const beat = { askedMs, heardMs, controllerMs: askedMs + toMs + trueMs, monoMs: 5_000 };
          const { offsetMs, boundMs } = offsetNow(beat, 5_000);
          expect(Math.abs(offsetMs - trueMs)).toBeLessThanOrEqual(boundMs);
          expect(boundMs).toBe((toMs + backMs) / 2);
        },
      ),
    );
  });

  it('is known less and less while nothing is heard', () => {
    const beat = { askedMs: 900, heardMs: 1_000, controllerMs: 950, monoMs: 1_000 };
    expect(offsetNow(beat, 1_000)).toEqual({ offsetMs: 0, boundMs: 50 });
    expect(offsetNow(beat, 1_000 + 3_600_000).boundMs).toBeCloseTo(50 + 360, 6);
  });
});

describe('time that does not jump', () => {
  it('follows a disciplined clock, and goes on evenly when somebody sets it', () => {
    const steady = makeSteady(WALL_MS, 0, 0);
    expect(goOn(steady, WALL_MS + 10_000, 9_999)).toBe(0);
    expect(steady.lastMs).toBe(WALL_MS + 10_000);
    expect(goOn(steady, WALL_MS - 3_590_000, 10_999)).toBe(-3_601_000);
    expect(steady.lastMs).toBe(WALL_MS + 11_000);
    expect(goOn(steady, WALL_MS - 3_589_000, 11_999)).toBe(0);
    expect(steady.lastMs).toBe(WALL_MS + 12_000);
  });

  it('goes on with a clock that jumps ahead: the box may have stood still, and so much flowed', () => {
    const steady = makeSteady(WALL_MS, 0, 0);
    expect(goOn(steady, WALL_MS + 600_000, 1_000)).toBe(599_000);
    expect(steady.lastMs).toBe(WALL_MS + 600_000);
    expect(goOn(steady, WALL_MS + 1_000, 2_000)).toBe(-600_000);
    expect(steady.lastMs).toBe(WALL_MS + 601_000);
  });

  it('says that a clock was set in many small steps, and nothing of one that slowly drifts', () => {
    const steady = makeSteady(WALL_MS, 0, 0);
    let saidMs = 0;
    for (let second = 1; second <= 60; second++)
      saidMs += goOn(steady, WALL_MS + second * 950, second * 1_000);
    expect(saidMs).toBeCloseTo(-3_000, 6);
    const slow = makeSteady(WALL_MS, 0, 0);
    for (let minute = 1; minute <= 1_440; minute++)
      expect(goOn(slow, WALL_MS + minute * 60_006, minute * 60_000)).toBe(0);
  });

  it('is ahead of what an earlier start has written down, also when the clock is not', () => {
    const steady = makeSteady(WALL_MS, 0, WALL_MS + 7_200_000);
    expect(steady.lastMs).toBeGreaterThan(WALL_MS + 7_200_000);
    const before = steady.lastMs;
    expect(goOn(steady, WALL_MS + 1_000, 1_000)).toBe(0);
    expect(steady.lastMs).toBe(before + 1_000);
  });
});
