import { describe, expect, it } from 'vitest';

import { fieldOf } from '../../../protocols/mqtt/fields.ts';
import {
  meterProfile,
  parseProfile,
  profileIds,
  ProfileInvalid,
  withProfileIn,
} from '../../../config/meters.ts';

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
    const outlets = {
      count: 8,
      stride: 2,
      write: { kind: 'coil', addr: 10, on: 1, off: 0 },
      state: { kind: 'discrete', addr: 10, on: 1, off: 0 },
      agree: 'yes',
      src: Object.keys(good.sources).slice(0, 1),
    };
    expect(() => parse({ outlets })).not.toThrow();
    expect(() => parse({ outlets: { ...outlets, agree: 'no' } })).toThrow(/disputed register/);
    expect(() => parse({ outlets: { ...outlets, src: ['hearsay'] } })).toThrow(/no source 'hearsay'/);
    expect(() => parse({ outlets: { ...outlets, stride: 0x7fff } })).toThrow(/beyond/);
    expect(() => parse({ outlets: { ...outlets, state: { ...outlets.state, on: 0 } } })).toThrow(
      /must differ/,
    );
    expect(() => parse({ outlets: { ...outlets, write: { ...outlets.write, on: 5 } } })).toThrow(/0 and 1/);
    expect(() => parse({ points: [], sums: [] })).toThrow(/no points/);
    expect(() => parse({ atomic: [['power.active.total', 'none']] })).toThrow(/none is no point/);
  });
});

describe('a profile of a site’s own', () => {
  const text = JSON.stringify(meterProfile('carlo-gavazzi-em300'), null, 2);
  const problemsOf = (changed: string): readonly string[] => {
    try {
      parseProfile(changed, 'own', 'meters/own.json');
    } catch (error) {
      if (!(error instanceof ProfileInvalid)) throw error;
      expect(error.file).toBe('meters/own.json');
      return error.problems.map(
        ({ line, column, message, suggestion }) => `${line}:${column} ${message} ${suggestion ?? ''}`,
      );
    }
    return [];
  };
  const own = text.replace('"id": "carlo-gavazzi-em300"', '"id": "own"');
  const lineOf = (part: string): number => own.slice(0, own.indexOf(part)).split('\n').length;

  it('is read', () => {
    expect(problemsOf(own)).toEqual([]);
  });

  it.each<[string, (good: string) => string, string, RegExp]>([
    [
      'no JSON',
      (good) => good.replace('"fc": 4,', '"fc": 4'),
      '"wordOrder"',
      /^\d+:3 not JSON: Expected ','/,
    ],
    ['a file with a comma too many', (good) => good.replace(/\}\s*$/, ',}'), '', /not JSON/],
    ['an empty file', () => '', '', /^1:1 not JSON/],
    ['a key that stands twice', (good) => good.replace('"fc": 4,', '"fc": 4, "fc": 3,'), '"fc"', /unique/],
    ['another name', (good) => good.replace('"id": "own"', '"id": "owm"'), '"id"', /calls itself owm/],
    ['a slip', (good) => good.replace('"maxGap"', '"maxgap"'), '"maxGap"', /unknown key 'maxgap' maxGap/],
    [
      'a scale of text',
      (good) => good.replace('"scale": 0.1,', '"scale": "0.1",'),
      '"scale": 0.1,',
      /scale: /,
    ],
    [
      'a scale of nothing',
      (good) => good.replace('"scale": 0.1,', '"scale": 0,'),
      '"scale": 0.1,',
      /factor of 0/,
    ],
    [
      'a slip in a scale',
      (good) => good.replace('"scale": 0.1,', '"scale": { "time": 2 },'),
      '"scale": 0.1,',
      /'time' times/,
    ],
    [
      'another unit',
      (good) => good.replace('"unit": "V"', '"unit": "A"'),
      '"unit": "V"',
      /given in V, not A/,
    ],
    [
      'an unknown quantity',
      (good) => good.replace('"q": "frequency"', '"q": "frequenzy"'),
      '"q": "frequency"',
      /no quantity known/,
    ],
  ])('%s is told with its place', (_name, change, at, said) => {
    const told = problemsOf(change(own)).find((problem) => said.test(problem)) ?? '';
    expect(told).toMatch(said);
    if (at !== '') expect(Number(told.split(':')[0])).toBe(lineOf(at));
  });

  it('is found from where its site file is', () => {
    const target = 'modbus://h/1?profile=meters/a%20b.json&invert=1';
    expect(withProfileIn('/etc/site/', target)).toBe(
      'modbus://h/1?profile=/etc/site/meters/a%20b.json&invert=1',
    );
    expect(withProfileIn('', target)).toBe(target);
    for (const same of [
      'modbus://h/1?profile=/m/a.json',
      'modbus://h/1?profile=sunspec',
      'antminer://h?user=a.json',
    ])
      expect(withProfileIn('/etc/site/', same)).toBe(same);
  });
});
