import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { heat, mostUsed, tripS, TYPICAL_TRIP } from '../../../protocols/trip.ts';

const curve = [
  { load: 1.1, s: 100 },
  { load: 2, s: 10 },
];

describe('a trip curve', () => {
  test('says for how long a load is borne', () => {
    expect(tripS(curve, 1)).toBe(Infinity);
    expect(tripS(curve, 1.099)).toBe(Infinity);
    expect(tripS(curve, 1.1)).toBeCloseTo(100);
    expect(tripS(curve, Math.sqrt(2.2))).toBeCloseTo(Math.sqrt(1_000));
    expect(tripS(curve, 2)).toBe(10);
    expect(tripS(curve, 50)).toBe(10);
  });

  test('adds up what flows, and cools down below its first point', () => {
    expect(mostUsed(curve, [200, 200, 200, 100, 100], 100, 2)).toBeCloseTo(0.6);
    expect(mostUsed(curve, [105, 105, 105], 100, 1_000)).toBe(0);
    const used = heat(curve, 0.5, 0.9, 180);
    expect(used).toBeCloseTo(0.4);
    expect(heat(curve, used, 1.1, 10)).toBeCloseTo(0.5);
    expect(heat(curve, 0.5, 0.9, 10_000)).toBe(0);
  });

  test('nothing trips up to the cap, and more load is never borne for longer', () => {
    fc.assert(
      fc.property(
        fc.double({ min: 0, max: 20, noNaN: true }),
        fc.double({ min: 0, max: 5, noNaN: true }),
        (load, more) => {
          expect(tripS(TYPICAL_TRIP, load + more)).toBeLessThanOrEqual(tripS(TYPICAL_TRIP, load));
          if (load <= 1) expect(mostUsed(TYPICAL_TRIP, [load, load], 1, 86_400)).toBe(0);
        },
      ),
    );
  });
});
