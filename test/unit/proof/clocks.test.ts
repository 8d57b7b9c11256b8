import { expect, test } from 'vitest';
import { VirtualClock } from '../../../proof/virtual-clock.ts';
import { WallClocks } from '../../../proof/wall-clocks.ts';

test('a wall time means the moments at which a clock showed it', () => {
  let monoMs = 0;
  const clocks = new WallClocks(1_000_000, () => monoMs);
  monoMs = 10_000;
  expect(clocks.moments('a1', 1_004_000)).toEqual([4_000]);
  clocks.step('a1', -5_000);
  expect(clocks.skewMs('a1')).toBe(-5_000);
  monoMs = 20_000;
  // Shown twice: before the clock was set back and again after it.
  expect(clocks.moments('a1', 1_007_000)).toEqual([7_000, 12_000]);
  expect(clocks.moments('controller', 1_007_000)).toEqual([7_000]);
  expect(clocks.moments('a1', 2_000_000)).toEqual([]);
});

test('a clock that drifts is further off the longer it runs, and goes on from there', () => {
  let monoMs = 0;
  const clocks = new WallClocks(0, () => monoMs);
  clocks.drift('controller', 20);
  monoMs = 100_000;
  expect(clocks.skewMs('controller')).toBe(2_000);
  clocks.drift('controller', 0);
  monoMs = 200_000;
  expect(clocks.skewMs('controller')).toBe(2_000);
  expect(clocks.moments('controller', 51_000)[0]).toBeCloseTo(50_000, 3);
  const shown = clocks.shown('controller', 200_000, 150_000);
  expect(shown).toEqual([202_000, 202_000]);
  expect(Math.min(...clocks.shown('controller', 100_000, 50_000))).toBe(101_000);
});

test('something can be put behind a timer that nobody knows of', async () => {
  const clock = new VirtualClock({ startWallMs: 0 });
  const log: string[] = [];
  for (let timer = 1; timer <= 4; timer += 1) clock.after(timer, () => log.push(`timer ${timer}`));
  clock.afterTimers(2, () => log.push('struck'));
  await clock.advance(10);
  expect(log).toEqual(['timer 1', 'timer 2', 'struck', 'timer 3', 'timer 4']);
});
