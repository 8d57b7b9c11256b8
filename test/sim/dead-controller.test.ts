import { expect, test } from 'vitest';
import { playDeath } from '../../proof/dead-controller.ts';
import type { Death } from '../../proof/dead-controller.ts';

const MACHINES = 60;

test('a controller that dies at the cap while more wakes leaves nothing above it for 10 s', async () => {
  const deaths: Death[] = [];
  for (const seed of [1, 3]) deaths.push(await playDeath(seed, MACHINES));
  expect(deaths.map(({ how }) => how)).toEqual(['cut off', 'dies']);
  for (const { loadPct, peakPct, longestS } of deaths) {
    expect(loadPct).toBeGreaterThan(92);
    expect(peakPct).toBeLessThan(103);
    expect(longestS).toBeLessThanOrEqual(10);
  }
  expect(Math.max(...deaths.map(({ peakPct }) => peakPct))).toBeGreaterThan(99);
}, 600_000);

test('without a guard the same machines stay above the cap', async () => {
  const { longestS, peakPct } = await playDeath(3, MACHINES, false);
  expect(peakPct).toBeGreaterThan(102);
  expect(longestS).toBeGreaterThan(60);
}, 600_000);
