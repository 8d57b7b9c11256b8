import { expect, test } from 'vitest';
import { playBlackStart } from '../../proof/black-start.ts';

test('a dark site starts again: what starts by itself waits behind contactors, ramps and caps hold both ways', async () => {
  const run = await playBlackStart(1, 40);
  expect(run.violations).toEqual([]);
  expect(run.outlets).toBe(2);
  expect(run.alarms['OUTLET_OPEN']).toBe(2);
  // With power nothing works by itself; then all of it comes back, and a limit takes most away again.
  expect(run.atOnce).toBe(0);
  expect(run.backS).toBeGreaterThan(60);
  expect(run.overCapKw).toBe(0);
  expect(run.startsIn10S).toBeLessThanOrEqual(run.startsPer10S);
  expect(run.upErrorPct).toBeLessThanOrEqual(5);
  expect(run.downErrorPct).toBeLessThanOrEqual(5);
  expect(run.alarms['OUTLET_FAILED']).toBeUndefined();
}, 60_000);
