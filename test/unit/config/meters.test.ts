import { describe, expect, it } from 'vitest';

import { fieldOf } from '../../../protocols/mqtt/fields.ts';
import { meterProfile, parseProfile, profileIds } from '../../../config/meters.ts';

describe('meter profiles', () => {
  const ids = profileIds();

  it.each(ids)('%s loads', (id) => {
    expect(meterProfile(id).id).toBe(id);
  });

  it('has the power that control needs, except where sources disagree or the map is a template', () => {
    const without = ids.filter((id) => {
      const { points, channels } = meterProfile(id);
      const all = [...points, ...(channels?.points ?? [])];
      return !all.some(({ q, class: read }) => q === 'power.active.total' && read === 'fast');
    });
    expect(without).toEqual(['schneider-ion75xx', 'socomec-countis-diris-a', 'socomec-diris-a10']);
  });

  it('names no point that control uses without a source', () => {
    for (const id of ids)
      for (const { q, src } of meterProfile(id).points) expect(src.length, `${id} ${q}`).toBeGreaterThan(0);
  });

  it('uses one vocabulary: what travels in frames has the unit it travels in', () => {
    for (const id of ids)
      for (const { q, unit } of meterProfile(id).points)
        expect([unit, undefined], `${id} ${q}`).toContain(fieldOf(q)?.unit);
  });

  it('says which profiles there are', () => {
    expect(() => meterProfile('../../package')).toThrow(/TARGET_INVALID.*schneider-pm5xxx/);
  });

  it('refuses a profile that cannot be right', () => {
    const good = structuredClone(meterProfile('schneider-pm5xxx'));
    const parse = (changed: object): unknown =>
      parseProfile(JSON.stringify({ ...good, ...changed }), good.id);
    const [first] = good.points;
    expect(() => parseProfile('{', 'x')).toThrow(/not JSON/);
    expect(() => parse({ id: 'other' })).toThrow(/CONFIG_INVALID/);
    expect(() => parse({ points: [first, first] })).toThrow(/twice/);
    expect(() => parse({ points: [{ ...first, agree: 'no' }] })).toThrow(/disputed/);
    expect(() => parse({ points: [{ ...first, addr: 65_535 }] })).toThrow(/beyond/);
    expect(() => parse({ points: [{ ...first, scale: 0 }] })).toThrow(/scale/);
    expect(() => parse({ sums: [{ q: 'a', of: ['b', 'c'] }] })).toThrow(/part/);
    expect(() => parse({ points: [{ ...first, src: ['hearsay'] }] })).toThrow(/no source 'hearsay'/);
    expect(() => parse({ points: [{ ...first, scale: { exponent: 'w' } }] })).toThrow(
      /no 'w' under exponents/,
    );
    expect(() => parse({ points: [{ ...first, scale: { ratios: ['ct'] } }] })).toThrow(
      /no 'ct' under parameters/,
    );
    expect(() => parse({ points: [], sums: [] })).toThrow(/no points/);
    expect(() => parse({ atomic: [['power.active.total', 'none']] })).toThrow(/none is no point/);
  });
});
