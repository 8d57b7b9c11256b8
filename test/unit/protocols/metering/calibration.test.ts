import { expect, test } from 'vitest';
import { isLearnt, learn, makeCalibration, unlearn } from '../../../../protocols/metering/calibration.ts';
import { marginShare, standInW } from '../../../../protocols/metering/stand-in.ts';
import type { Sum } from '../../../../protocols/metering/stand-in.ts';

const MINUTE_S = 60;
const sum = (drawnW: number, changes: Partial<Sum> = {}): Sum => ({
  source: 'machines',
  drawnW,
  fedW: 0,
  errorShare: 0.01,
  lossShare: 0.05,
  coverage: 0,
  isWhole: true,
  ...changes,
});

test('before anything was learnt all that may be lost on the way is counted, afterwards what was seen', () => {
  const state = makeCalibration();
  expect(standInW(sum(100_000), state)).toBeCloseTo(100_000 * 1.05 * 1.01, 0);
  for (let atS = 0; atS < 5 * MINUTE_S; atS++) learn(state, 102_000, 100_000, atS * 1_000);
  expect(isLearnt(state)).toBe(true);
  expect(standInW(sum(100_000), state)).toBeCloseTo(102_000 * 1.01, 0);
});

test('what changes is not compared: words that follow a meter half a minute later leave the ratio as it is', () => {
  const state = makeCalibration();
  const meterW = (atS: number): number => (atS % 120 < 60 ? 102_000 : 51_000);
  for (let atS = 0; atS < 60 * MINUTE_S; atS++)
    learn(state, meterW(atS), meterW(Math.max(0, atS - 20)) / 1.02, atS * 1_000);
  expect(state.ratio).toBeCloseTo(1.02, 3);
});

test('looks that scatter widen the margin, up to a tenth', () => {
  const state = makeCalibration();
  for (let look = 0; look < 200; look++) learn(state, 100_000 + (look % 2) * 1_900, 100_000, look);
  expect(marginShare(sum(1), state)).toBeGreaterThan(0.02);
  expect(marginShare(sum(1, { errorShare: 0.3 }), state)).toBe(0.1);
});

test('found to be wrong, a meter leaves what it was a quarter of an hour ago, and never less than is said below it', () => {
  const state = makeCalibration();
  for (let atS = 0; atS < 40 * MINUTE_S; atS++)
    learn(state, atS < 35 * MINUTE_S ? 103_000 : 104_900, 100_000, atS * 1_000);
  unlearn(state);
  expect(state.ratio).toBeCloseTo(1.03, 3);
  state.ratio = 0.8;
  unlearn(state);
  expect(state.ratio).toBe(1);
});
