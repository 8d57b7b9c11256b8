import { describe, expect, it } from 'vitest';

import { meterProfile, parseProfile, profileIds } from '../../../config/meters.ts';

describe('meter profiles', () => {
  it.each(profileIds())('%s loads and has what control needs', (id) => {
    const profile = meterProfile(id);
    const fast = profile.points.filter((point) => point.class === 'fast').map((point) => point.q);
    expect(fast).toEqual(
      expect.arrayContaining(['power.active.total', 'power.active.L1', 'voltage.L1N', 'current.L1']),
    );
    const all = [...profile.points, ...profile.sums].map((point) => point.q);
    expect(all).toEqual(
      expect.arrayContaining([
        'frequency',
        'powerFactor.total',
        'energy.active.import',
        'energy.active.export',
      ]),
    );
  });

  it('has at least the four families of this release', () => {
    expect(profileIds()).toEqual(
      expect.arrayContaining(['abb-b2x', 'eastron-sdm630', 'schneider-pm5xxx', 'siemens-pac2200']),
    );
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
  });
});
