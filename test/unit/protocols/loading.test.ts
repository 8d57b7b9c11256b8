import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { flowCapW, flowOf, learnCapW, loadingText, planCapW } from '../../../protocols/loading.ts';
import type { Flow, Rating } from '../../../protocols/loading.ts';
import type { Readings } from '../../../protocols/reading.ts';

const rating: Rating = { capKw: 500, capKva: 450, capA: 630, phaseV: 230 };
const flow = (powerW: number, powerFactor: number, firstPhase = 1): Flow => {
  const meanA = powerW / powerFactor / 3 / 230;
  const otherA = (meanA * (3 - firstPhase)) / 2;
  return { powerW, apparentVa: powerW / powerFactor, currentA: [meanA * firstPhase, otherA, otherA] };
};
const good = (value: number): Readings[string] => ({
  ok: true,
  value,
  unit: 'A',
  quality: 'good',
  atMs: 0,
});

describe('what limits in kVA and A come to in kW', () => {
  test('unknown load is assumed as bad as it may be; a node without such limits keeps its kW', () => {
    expect(planCapW({ capKw: 500 }, undefined)).toBe(500_000);
    expect(planCapW({ capKw: 500, capKva: 450 }, undefined)).toBe(405_000);
    // 630 A × 230 V × 0.95 × 3 × 0.9 / 1.15
    expect(planCapW(rating, undefined)).toBeCloseTo(323_200, -2);
    expect(planCapW({ capKw: 20, capA: 63, phaseV: 230, phases: 1 }, undefined)).toBeCloseTo(12_389, -1);
  });

  test('a loaded meter tells: worse counts at once, better slowly, idling nothing', () => {
    const even = learnCapW(undefined, rating, flow(300_000, 0.98)) ?? 0;
    expect(even).toBeCloseTo(630 * 3 * 230 * 0.98, -1);
    const uneven = learnCapW(even, rating, flow(300_000, 0.98, 1.2)) ?? 0;
    expect(uneven).toBeCloseTo(even / 1.2, -1);
    const again = learnCapW(uneven, rating, flow(300_000, 0.98)) ?? 0;
    expect(again).toBeGreaterThan(uneven);
    expect(again).toBeLessThan(uneven + 0.03 * (even - uneven));
    expect(learnCapW(even, rating, flow(20_000, 0.5))).toBe(even);
    expect(learnCapW(even, rating, { powerW: 300_000, apparentVa: undefined, currentA: [] })).toBe(even);
  });

  test('the cap of a flow is where the first of its limits is full, whatever flows', () => {
    const any = fc.record({
      powerW: fc.integer({ min: 1_000, max: 900_000 }),
      powerFactor: fc.double({ min: 0.5, max: 1, noNaN: true }),
      firstPhase: fc.double({ min: 0.6, max: 2, noNaN: true }),
    });
    fc.assert(
      fc.property(any, ({ powerW, powerFactor, firstPhase }) => {
        const seen = flow(powerW, powerFactor, firstPhase);
        const overloaded =
          powerW > 500_000 || powerW / powerFactor > 450_000 || Math.max(...seen.currentA) > 630;
        const capW = flowCapW(rating, seen, undefined);
        // On the very edge rounding decides.
        if (Math.abs(powerW / capW - 1) > 1e-9) expect(powerW > capW).toBe(overloaded);
      }),
    );
  });

  test('a meter without currents leaves the amperes to what was learnt or is assumed; feeding back is no overload', () => {
    const silent: Flow = { powerW: 300_000, apparentVa: 310_000, currentA: [] };
    expect(flowCapW(rating, silent, undefined)).toBeCloseTo(planCapW(rating, undefined), 3);
    expect(flowCapW(rating, silent, 400_000)).toBe(400_000);
    expect(flowCapW(rating, { ...flow(300_000, 0.9), powerW: -300_000 }, undefined)).toBe(500_000);
  });
});

test('the flow is read from good values alone, volt-amperes from what was read with the currents', () => {
  const readings: Readings = {
    'power.active.total': good(3_000),
    'power.apparent.total': good(9_999),
    'current.L1': good(5),
    'voltage.L1N': good(230),
    'current.L2': { ok: false, why: 'VALUE_INVALID', atMs: 0 },
    'voltage.L2N': good(230),
  };
  expect(flowOf(readings)).toEqual({ powerW: 3_000, apparentVa: 1_150, currentA: [5] });
  expect(flowOf({ 'power.active.total': good(3_000), 'power.apparent.total': good(3_100) })).toEqual({
    powerW: 3_000,
    apparentVa: 3_100,
    currentA: [],
  });
  expect(flowOf({ 'current.L1': good(5) })).toBeUndefined();
  expect(loadingText(rating, flow(300_000, 1, 1.3))).toBe(
    '300 of 500 kW, 300 of 450 kVA, 565/370/370 of 630 A',
  );
});
