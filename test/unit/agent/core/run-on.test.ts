import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { demandOf, makeLoop, mayNeedWater } from '../../../../agent/core/run-on.ts';
import type { Cooled, LoopRule } from '../../../../agent/core/run-on.ts';
import { MODELS } from '../../../../config/models.ts';
import { gpuHost } from './toys.ts';

const rule: LoopRule = { runOnMs: 60_000, freezeBelowC: 5, hysteresisC: 2, unknownMs: 15_000 };
const warm = (nowMs: number, value = 20) => ({ value, goodMs: nowMs });

test('it runs on after the last one rested, and from the start as if something had just worked', () => {
  const state = makeLoop(1_000);
  expect(demandOf(rule, state, false, warm(60_999), 60_999)).toBe('run-on');
  expect(demandOf(rule, state, false, warm(61_000), 61_000)).toBe('none');
  expect(demandOf(rule, state, true, warm(70_000), 70_000)).toBe('works');
  expect(demandOf(rule, state, false, warm(129_999), 129_999)).toBe('run-on');
  expect(demandOf(rule, state, false, warm(130_000), 130_000)).toBe('none');
});

test('in frost it runs, and until it is warmer by the hysteresis; what is not known is frost', () => {
  const state = makeLoop(0);
  const at = (nowMs: number, value: number | undefined, goodMs = nowMs) =>
    demandOf(rule, state, false, value === undefined ? undefined : { value, goodMs }, nowMs);
  expect(at(100_000, 5.1)).toBe('frost');
  expect(at(101_000, 7)).toBe('none');
  expect(at(102_000, 5)).toBe('none');
  expect(at(103_000, 4.9)).toBe('frost');
  expect(at(104_000, 6.9)).toBe('frost');
  expect(at(105_000, 7)).toBe('none');
  expect(at(120_000, 7, 105_000)).toBe('none');
  expect(at(120_001, 7, 105_000)).toBe('frost');
  expect(at(121_000, undefined)).toBe('frost');
  expect(at(122_000, Number.NaN)).toBe('frost');
});

test('without a bound frost is none of its concern', () => {
  const state = makeLoop(0);
  expect(demandOf({ ...rule, freezeBelowC: undefined }, state, false, undefined, 60_000)).toBe('none');
});

test('whatever comes, it stands only when nothing may have worked for the whole time and no frost can be', () => {
  const look = fc.record({
    passedMs: fc.integer({ min: 0, max: 40_000 }),
    mayWork: fc.boolean(),
    value: fc.option(fc.double({ min: -30, max: 40, noNaN: true }), { nil: undefined }),
    ageMs: fc.integer({ min: 0, max: 30_000 }),
  });
  fc.assert(
    fc.property(fc.array(look, { maxLength: 60 }), (looks) => {
      const state = makeLoop(0);
      let nowMs = 0;
      let workedMs = 0;
      for (const { passedMs, mayWork, value, ageMs } of looks) {
        nowMs += passedMs;
        if (mayWork) workedMs = nowMs;
        const sample = value === undefined ? undefined : { value, goodMs: nowMs - ageMs };
        if (demandOf(rule, state, mayWork, sample, nowMs) !== 'none') continue;
        expect(nowMs - workedMs).toBeGreaterThanOrEqual(60_000);
        expect(value).toBeGreaterThanOrEqual(5);
        expect(ageMs).toBeLessThanOrEqual(15_000);
      }
    }),
  );
});

const cooled = (model: string, changes: Partial<Cooled>): Cooled => ({
  model: MODELS.get(model) ?? gpuHost(),
  wanted: undefined,
  mode: 'sleep',
  powerW: undefined,
  reachingW: undefined,
  isOff: false,
  ...changes,
});

test('miners asleep need no water; what works, will, cannot be seen or contradicts itself does', () => {
  const miner = (changes: Partial<Cooled>): boolean => mayNeedWater(cooled('antminer-s21', changes));
  expect(miner({})).toBe(false);
  expect(miner({ powerW: 70, wanted: 'sleep', reachingW: 60 })).toBe(false);
  expect(miner({ mode: 'off' })).toBe(false);
  expect(miner({ powerW: 190 })).toBe(true);
  expect(miner({ mode: 'mine' })).toBe(true);
  expect(miner({ wanted: 'mine' })).toBe(true);
  expect(miner({ reachingW: 3_500 })).toBe(true);
  expect(miner({ mode: undefined })).toBe(true);
  expect(miner({ mode: undefined, isOff: true })).toBe(false);
  expect(miner({ wanted: 'mine', isOff: true })).toBe(true);
});

test('an idle GPU host warms standing water: it needs its pump unless it is off', () => {
  for (const model of ['gpu-8x-h100', 'gpu-8x-a100']) {
    const host = (changes: Partial<Cooled>): boolean => mayNeedWater(cooled(model, changes));
    for (const mode of ['idle', 'sleep'] as const) {
      expect(host({ mode, wanted: 'idle' })).toBe(true);
      expect(host({ mode, wanted: 'idle', powerW: 1_400 })).toBe(true);
      // Its own word is no reason to let the water stand.
      expect(host({ mode, powerW: 0 })).toBe(true);
    }
    expect(host({ mode: 'off', wanted: 'idle' })).toBe(false);
    expect(host({ mode: 'off', powerW: 900 })).toBe(true);
    expect(host({ mode: undefined, isOff: true })).toBe(false);
  }
});
