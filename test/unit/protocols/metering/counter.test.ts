import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { counterRules } from '../../../../config/counters.ts';
import { meterProfile } from '../../../../config/meters.ts';
import { makeCounter, roundUnseen, stepAt, takeCount } from '../../../../protocols/metering/counter.ts';
import type { Count, CounterRules, CounterSample } from '../../../../protocols/metering/counter.ts';

const POWER_W = 600_000;
const PERIOD_MS = 10_000;
const STEP_WH = (POWER_W * PERIOD_MS) / 3_600_000;
const rules: CounterRules = { moduliWh: [1e9, 2 ** 32], stepWh: 1, mostW: 2_000_000 };

/** Ten seconds apart each. */
function counts(values: readonly number[], more: Partial<CounterSample> = {}, by = rules): readonly Count[] {
  const state = makeCounter();
  return values.map((valueWh, index) =>
    takeCount(state, by, { valueWh, atMs: index * PERIOD_MS, powerW: POWER_W, ...more }),
  );
}
const sumOf = (all: readonly Count[]): number => all.reduce((sum, { deltaWh }) => sum + deltaWh, 0);
const kinds = (all: readonly Count[]): readonly unknown[] => all.map(({ event }) => event?.kind);

describe('a counter register', () => {
  it('counts forward', () => {
    const all = counts([5_000, 6_600, 8_300]);
    expect(all.map(({ deltaWh }) => deltaWh)).toEqual([0, 1_600, 1_700]);
    expect(all[2]).toMatchObject({ quality: 'good', fromMs: PERIOD_MS, toMs: 2 * PERIOD_MS });
  });

  it('holds a misread value, and counts on over it', () => {
    for (const misread of [0, 4_000, 700_000_000]) {
      const all = counts([500_000, 501_600, misread, 504_900]);
      expect(all[2]).toMatchObject({ deltaWh: 0, quality: 'held', toMs: PERIOD_MS });
      expect(all[3]).toMatchObject({ deltaWh: 3_300, quality: 'good', fromMs: PERIOD_MS });
      expect(kinds(all)).toEqual([undefined, undefined, undefined, 'glitch']);
    }
  });

  it('counts over the end of the register, by its type or its display', () => {
    for (const modulusWh of rules.moduliWh) {
      const all = counts([modulusWh - 2_000, modulusWh - 400, 1_200, 2_900]);
      expect(kinds(all)).toEqual([undefined, undefined, undefined, 'rollover']);
      expect(sumOf(all)).toBe(4_900);
      expect(all[3]?.quality).toBe('good');
    }
  });

  it('counts on from 0 after a reset, with what flowed meanwhile by power', () => {
    const all = counts([400_000_000, 400_001_600, 700, 2_400]);
    expect(kinds(all)).toEqual([undefined, undefined, undefined, 'reset']);
    expect(all[3]?.quality).toBe('uncertain');
    expect(sumOf(all)).toBeCloseTo(1_600 + STEP_WH + 1_700, 6);
    // Without a power only what the register shows since is known.
    expect(sumOf(counts([400_000_000, 400_001_600, 700, 2_400], { powerW: undefined }))).toBe(4_000);
  });

  it('tells a meter that was exchanged, whenever its serial number comes', () => {
    const state = makeCounter();
    const take = (index: number, valueWh: number, serial?: string): Count =>
      takeCount(state, rules, { valueWh, atMs: index * PERIOD_MS, powerW: POWER_W, serial });
    take(0, 9_000_000, 'A');
    const swapped = take(1, 40_000, 'B');
    expect(swapped).toMatchObject({ quality: 'uncertain', event: { kind: 'swap' } });
    expect(swapped.deltaWh).toBeCloseTo(STEP_WH, 6);
    expect(take(2, 41_600, 'B')).toMatchObject({ deltaWh: 1_600, quality: 'good' });
    // The register first, the serial number minutes later.
    expect(take(3, 77_000_000)).toMatchObject({ quality: 'held' });
    expect(take(4, 77_001_600).event?.kind).toBe('jump');
    expect(take(5, 77_003_300, 'C')).toMatchObject({ deltaWh: 1_700, event: { kind: 'swap' } });
  });

  it('takes no old sample twice and no step back of its rounding', () => {
    const state = makeCounter();
    takeCount(state, rules, { valueWh: 500, atMs: 20_000 });
    expect(takeCount(state, rules, { valueWh: 900, atMs: 20_000 })).toMatchObject({
      deltaWh: 0,
      toMs: 20_000,
    });
    expect(takeCount(state, rules, { valueWh: 499.5, atMs: 30_000 })).toMatchObject({
      deltaWh: 0,
      quality: 'good',
    });
  });

  /** What happens to a register at one sample. */
  const happenings = fc.array(
    fc.constantFrom('none', 'none', 'none', 'zero', 'noise', 'reset', 'set', 'swap'),
    { minLength: 5, maxLength: 60 },
  );

  it('never counts backward, never more than can flow, and nothing twice, whatever happens', () => {
    fc.assert(
      fc.property(
        happenings,
        fc.nat(999_999_999),
        fc.array(fc.nat(2_000_000), { minLength: 60 }),
        (all, at, loads) => {
          const state = makeCounter();
          let registerWh = at;
          let serial = 0;
          let toMs = 0;
          for (const [index, what] of all.entries()) {
            const loadW = loads[index] ?? 0;
            registerWh = (registerWh + (loadW * PERIOD_MS) / 3_600_000) % 1e9;
            if (what === 'reset') registerWh = 0;
            if (what === 'set') registerWh = loads[index + 1] ?? 3;
            if (what === 'swap') serial += 1;
            const valueWh = what === 'zero' ? 0 : what === 'noise' ? loadW * 777 : registerWh;
            const atMs = (index + 1) * PERIOD_MS;
            const one = takeCount(state, rules, { valueWh, atMs, powerW: loadW, serial: `${serial}` });
            const mostWh = (rules.mostW * (one.toMs - one.fromMs + 4_000)) / 3_600_000 + 4;
            expect(one.deltaWh).toBeGreaterThanOrEqual(0);
            expect(one.deltaWh).toBeLessThanOrEqual(one.toMs === one.fromMs ? 0 : mostWh);
            if (index > 0) expect(one.fromMs).toBe(toMs);
            toMs = one.toMs;
          }
        },
      ),
    );
  });

  it('adds up to the truth over any rollovers and single misreadings', () => {
    const mishaps = fc.uniqueArray(fc.integer({ min: 1, max: 40 }), { maxLength: 12 });
    fc.assert(
      fc.property(mishaps, fc.nat(1e9 - 1), fc.nat(2_000_000), (misread, beginWh, loadW) => {
        const state = makeCounter();
        let sumWh = 0;
        // Single ones: a sample between two misread ones is right.
        const places = misread.filter((place) => place % 2 === 0);
        for (let index = 0; index <= 45; index += 1) {
          const trueWh = beginWh + (index * loadW * PERIOD_MS) / 3_600_000;
          const valueWh = places.includes(index) ? 0 : Math.floor(trueWh % 1e9);
          sumWh += takeCount(state, rules, { valueWh, atMs: index * PERIOD_MS, powerW: loadW }).deltaWh;
        }
        expect(Math.abs(sumWh - (45 * loadW * PERIOD_MS) / 3_600_000)).toBeLessThanOrEqual(
          2_000_000 / 36 / 10,
        );
      }),
    );
  });
});

describe('a round that nobody saw', () => {
  const seen = (moduliWh: readonly number[], valueWh: number, awayMs: number) => {
    const state = makeCounter();
    const by = { ...rules, moduliWh };
    takeCount(state, by, { valueWh, atMs: 0 });
    return roundUnseen(state, by, { valueWh: valueWh + 10, atMs: awayMs });
  };

  it('is possible once as much may have flowed as the register holds', () => {
    expect(seen([65_536], 100, 117_000)).toBeUndefined();
    expect(seen([65_536], 100, 118_000)).toContain('not read for 118 s');
    expect(seen([], 100, 1e12)).toBeUndefined();
  });

  it('is one of the ends that the register has not passed', () => {
    expect(seen([1e6, 1e7], 2e6, 1_900_000)).toBeUndefined();
    expect(seen([1e6, 1e7], 5e5, 1_900_000)).toBeDefined();
    expect(seen([1e6, 1e7], 2e6, 18_000_000)).toBeDefined();
  });
});

describe('how the counters of profiles count', () => {
  it('knows step and end of integers, of scaled ones, and of floats', () => {
    const of = (id: string, q = 'energy.active.import'): CounterRules =>
      counterRules(meterProfile(id), q, 1e6) as CounterRules;
    expect(of('abb-b2x')).toMatchObject({ stepWh: 10 });
    expect(of('sunspec-203').moduliWh).toContain(2 ** 32 * 1_000);
    expect(of('siemens-pac2200').mantissaBits).toBe(52);
    // 1 GWh in float32 kilowatt-hours moves in steps of 62.5 Wh, 10 GWh of 1 kWh.
    expect(stepAt(of('eastron-sdm630'), 0)).toBe(10);
    expect(stepAt(of('eastron-sdm630'), 1.1e9)).toBeCloseTo(128, 0);
    expect(counterRules(meterProfile('abb-b2x'), 'energy.reactive.import', 1e6)).toBeUndefined();
  });
});
