import { expect, test } from 'vitest';
import {
  auxiliaryW,
  drawersOf,
  dueW,
  followHeat,
  growthAlong,
  makeHeat,
  presentW,
} from '../../../protocols/auxiliary.ts';

// site, feeder with coolers, row with pumps on the feeder, another row.
const drawers = drawersOf([
  { path: [0], auxiliary: { fixedKw: 5, perItKw: 0.02, lagS: 60 } },
  { path: [1, 0], auxiliary: { fixedKw: 0, perItKw: 0.06, lagS: 90 } },
  { path: [2, 1, 0], auxiliary: { fixedKw: 1, perItKw: 0.01, lagS: 0 } },
  { path: [3, 0] },
]);

test('a watt of a machine grows on its way up by what follows it there and below, and by nothing beside it', () => {
  expect(growthAlong(drawers, [2, 1, 0]).map((one) => one.toFixed(2))).toEqual(['1.01', '1.07', '1.09']);
  expect(growthAlong(drawers, [3, 0])).toEqual([1, 1.02]);
});

test('what draws on a node draws on all above it', () => {
  const itW = [100_000, 60_000, 20_000, 40_000];
  const watts = auxiliaryW(drawers, 4, (node) => itW[node] ?? 0);
  expect([...watts]).toEqual([5_000 + 2_000 + 3_600 + 1_200, 3_600 + 1_200, 1_200, 0]);
});

test('a meter on one of two feeds shows its share', () => {
  const itW = [0, 0, 20_000, 0];
  const shares = [[1], [1, 1], [1, 0.25, 1]];
  const watts = auxiliaryW(drawers, 4, (node) => itW[node] ?? 0, shares);
  expect([...watts]).toEqual([5_000 + 1_200, 300, 1_200, 0]);
});

test('the first look is taken as settled; a change has been followed by 95 % within the lag', () => {
  const heat = makeHeat(drawers);
  followHeat(heat, drawers, [100_000, 0, 0, 0], 1_000);
  expect(heat.itW).toEqual([100_000, 0, 0]);
  for (let nowMs = 2_000; nowMs <= 61_000; nowMs += 1_000)
    followHeat(heat, drawers, [0, 60_000, 20_000, 0], nowMs);
  expect(heat.itW[0]).toBeCloseTo(100_000 * Math.exp(-3), 0);
  expect(heat.itW[1]).toBeCloseTo(60_000 * (1 - Math.exp(-2)), 0);
  expect(heat.itW[2]).toBe(20_000);
  expect(presentW(drawers, 4, heat)[2]).toBe(1_200);
});

test('beside a meter only the growth counts, a fall never; without one the larger of now and then', () => {
  expect(dueW(9_000, 4_000, 5_000)).toBe(4_000);
  expect(dueW(2_000, 4_000, 5_000)).toBe(0);
  expect(dueW(2_000, 4_000, undefined)).toBe(4_000);
  expect(dueW(9_000, 4_000, undefined)).toBe(9_000);
});
