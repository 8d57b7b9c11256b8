import { describe, expect, it } from 'vitest';

import { planBlocks } from '../../../../agent/drivers/modbus-plan.ts';
import { NETWORK_COST } from '../../../../host/line-cost.ts';
import { identityIn, pointsOf, spansOf, valueOf } from '../../../../agent/drivers/modbus-points.ts';
import { meterProfile, parseProfile } from '../../../../config/meters.ts';
import type { MeterProfile } from '../../../../config/schema/profile.ts';

/** A profile with one point `power.active.total` at register 10, changed. */
function profile(changes: object, point: object = {}): MeterProfile {
  const made = {
    id: 'toy',
    vendor: 'Toy',
    models: ['Toy'],
    fc: 3,
    wordOrder: 'msw',
    limits: { maxRegisters: 125, evenCount: false, maxGap: 10 },
    invalid: {},
    points: [
      {
        q: 'power.active.total',
        addr: 10,
        type: 'int16',
        scale: 1,
        unit: 'W',
        class: 'fast',
        agree: 'yes',
        src: ['list'],
        ...point,
      },
    ],
    sums: [],
    sources: { list: 'the register list' },
    notes: [],
    ...changes,
  };
  return parseProfile(JSON.stringify(made), 'toy');
}

function valueIn(
  of: MeterProfile,
  words: readonly number[],
  parameters: Readonly<Record<string, number>> = {},
): number | string {
  const [point] = pointsOf(of, undefined, 0);
  if (!point) throw new Error('no point');
  const decoded = valueOf(point, words, 10, new Map(Object.entries(parameters)));
  return decoded.ok ? decoded.value : decoded.why;
}

describe('how a register becomes a value', () => {
  it('scales by a fixed factor, and from an offset', () => {
    expect(valueIn(profile({}, { scale: 100 }), [7])).toBe(700);
    expect(valueIn(profile({}, { scale: { times: 2, offset: -50 } }), [7])).toBe(-36);
  });

  it('scales by a power of ten in another register, and has no value without it', () => {
    const scaled = profile(
      { exponents: { w: { addr: 12, type: 'int16' } }, invalid: { int16: ['0x8000'] } },
      { scale: { exponent: 'w' } },
    );
    expect(valueIn(scaled, [1234, 0, 0xffff])).toBeCloseTo(123.4);
    expect(valueIn(scaled, [1234, 0, 2])).toBe(123_400);
    expect(valueIn(scaled, [1234, 0, 0x8000])).toMatch(/scale factor/);
    expect(valueIn(scaled, [1234, 0, 99])).toMatch(/scale factor/);
    expect(valueIn(scaled, [0x8000, 0, 2])).toMatch(/invalid/);
  });

  it('multiplies by transformer ratios that were read, and has no value without them', () => {
    const word = { addr: 1, type: 'uint16' };
    const scaled = profile(
      { parameters: { ct: word, pt: word } },
      { scale: { ratios: ['ct', 'pt'], times: 0.5 } },
    );
    expect(valueIn(scaled, [10], { ct: 80, pt: 3 })).toBe(1200);
    expect(valueIn(scaled, [10], { ct: 80 })).toMatch(/pt is not known/);
  });

  it('chooses by settings of the meter, and has no value where they are unknown', () => {
    const satec = meterProfile('satec-em133');
    const power = pointsOf(satec, undefined, 0).find(({ q }) => q === 'power.active.total');
    if (!power) throw new Error('no point');
    // 32-bit, low word first: 0x0001_86A0 is 100,000.
    const words = [0x86a0, 0x0001];
    const shown = (parameters: Readonly<Record<string, number>>): unknown => {
      const decoded = valueOf(power, words, power.addr, new Map(Object.entries(parameters)));
      return decoded.ok ? decoded.value : decoded.why;
    };
    expect(shown({ resolution: 1, ptRatio: 1 })).toBe(100_000);
    expect(shown({ resolution: 1, ptRatio: 120 })).toBe(100_000_000);
    expect(shown({ resolution: 0, ptRatio: 1 })).toBe(100_000_000);
    expect(shown({ resolution: 7, ptRatio: 1 })).toBe('no scale for resolution=7, ptRatio=1');
    expect(shown({})).toMatch(/resolution=unknown/);
  });

  it('takes a four-quadrant power factor apart', () => {
    const coded = profile({}, { q: 'powerFactor.total', unit: '1', scale: 0.001, coding: 'four-quadrant' });
    expect(valueIn(coded, [950])).toBeCloseTo(0.95);
    expect(valueIn(coded, [1050])).toBeCloseTo(0.95);
    expect(valueIn(coded, [0x1_0000 - 1050])).toBeCloseTo(-0.95);
  });

  it('reads Iskra’s power, volts and power factor', () => {
    const iskra = (type: string): MeterProfile => profile({}, { type });
    // T5: 10^-2 × 23,015; T6: 10^-1 × -1,234,567; T7: export, 0.9850.
    expect(valueIn(iskra('iskraT5'), [0xfe00, 23_015])).toBeCloseTo(230.15);
    expect(
      valueIn(iskra('iskraT6'), [
        0xff00 | ((0x1_00_0000 - 1_234_567) >> 16),
        (0x1_00_0000 - 1_234_567) & 0xffff,
      ]),
    ).toBeCloseTo(-123_456.7);
    expect(valueIn(iskra('iskraT7'), [0xff00, 9_850])).toBeCloseTo(-0.985);
    expect(valueIn(iskra('iskraT7'), [0x00ff, 9_850])).toBeCloseTo(0.985);
  });

  it('finds each channel of a meter with many', () => {
    const acurev = meterProfile('accuenergy-acurev-2100');
    const third = pointsOf(acurev, 3, 0).find(({ q }) => q === 'power.active.total');
    expect(third?.addr).toBe(8450 + 24);
    expect(pointsOf(acurev, undefined, 0).find(({ q }) => q === 'channel.18.power.active.total')?.addr).toBe(
      8450 + 17 * 12,
    );
  });

  it('shows who the device says it is', () => {
    const abb = meterProfile('abb-b2x');
    const at = abb.identity?.expect?.at;
    expect(at && identityIn(abb, at, [0x4232, 0x3320])).toBe('B23');
    const socomec = meterProfile('socomec-diris-a10');
    const place = socomec.identity?.expect?.at;
    expect(place && identityIn(socomec, place, [0x53, 0x4f, 0x43, 0x4f])).toBe('SOCO');
  });
});

describe('what is read together', () => {
  it('a value and the power of ten that scales it', () => {
    const sunspec = meterProfile('sunspec-203');
    const fast = pointsOf(sunspec, undefined, 40_070).filter((point) => point.class === 'fast');
    const [block, ...others] = planBlocks(spansOf(fast), sunspec.limits, new Set(), NETWORK_COST);
    expect(others).toEqual([]);
    // Amperes from offset 3 to the scale factor of watts at 22.
    expect(block).toMatchObject({ address: 40_073, count: 20 });
  });

  it('what a profile says comes from one moment, across what is refused between', () => {
    const grouped = profile({
      points: [10, 14, 18].map((addr, index) => ({
        q: `power.active.L${index + 1}`,
        addr,
        type: 'int16',
        scale: 1,
        unit: 'W',
        class: 'fast',
        agree: 'yes',
        src: ['list'],
      })),
      atomic: [['power.active.L1', 'power.active.L3']],
    });
    const spans = spansOf(pointsOf(grouped, undefined, 0), grouped.atomic);
    expect(planBlocks(spans, grouped.limits, new Set([14]), NETWORK_COST)).toMatchObject([
      { address: 10, count: 9 },
      { address: 14, count: 1 },
    ]);
  });

  it('nothing across an address before which the profile ends every read', () => {
    const walled = profile({
      limits: { maxRegisters: 125, evenCount: false, maxGap: 10, barriers: [12] },
      points: [10, 12].map((addr) => ({
        q: `power.active.L${addr - 9}`,
        addr,
        type: 'int16',
        scale: 1,
        unit: 'W',
        class: 'fast',
        agree: 'yes',
        src: ['list'],
      })),
    });
    expect(
      planBlocks(spansOf(pointsOf(walled, undefined, 0)), walled.limits, new Set(), NETWORK_COST),
    ).toHaveLength(2);
  });
});
