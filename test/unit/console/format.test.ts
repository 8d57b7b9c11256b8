import { expect, test } from 'vitest';

import {
  aimText,
  deltaKwText,
  durationText,
  excessOf,
  hashrateText,
  kwText,
  powerText,
  sitePowerKw,
  usdText,
} from '../../../console/format.ts';
import { limitSignal, siteView } from '../../wire/fake-operator.ts';

test('what is not known is never a zero', () => {
  expect([powerText(null), kwText(Number.NaN), usdText(null), hashrateText(null)]).toEqual([
    '–',
    '–',
    '–',
    '–',
  ]);
  expect(powerText(0)).toBe('0.00 kW');
});

test('numbers carry their unit and fit their size', () => {
  expect([powerText(3_420), powerText(48_200), powerText(816_000), powerText(64_950_000)]).toEqual([
    '3.42 kW',
    '48.2 kW',
    '816 kW',
    '64.95 MW',
  ]);
  expect([deltaKwText(-380), deltaKwText(12), kwText(-5)]).toEqual(['−380 kW', '+12.0 kW', '−5.00 kW']);
  expect([usdText(-1.5), usdText(1_234.5)]).toEqual(['−$1.50', '$1235']);
  expect([hashrateText(2e14), hashrateText(1.84e16), hashrateText(30e6)]).toEqual([
    '200.00 TH/s',
    '18.40 PH/s',
    '30.00 MH/s',
  ]);
  expect([durationText(900), durationText(249_000), durationText(3_840_000), durationText(-5)]).toEqual([
    '1 s',
    '4 min 09 s',
    '1 h 04 min',
    '0 s',
  ]);
});

test('a new limit is work to do until its deadline, and a breach after it or above the cap', () => {
  const view = siteView({ racks: 2, perRack: 4, atMs: 0 });
  const draws = { ...view.site, powerW: 20_000, limitKw: 15, capKw: 100 };
  const limit = { ...limitSignal(0), untilMs: 30_000 };
  const at = (nowMs: number, capKw = 100) =>
    excessOf({ ...view, site: { ...draws, capKw }, signals: [limit] }, nowMs);
  expect(at(10_000)).toEqual({ excessKw: 5, leftMs: 20_000 });
  expect(at(40_000)?.leftMs).toBe(0);
  expect(at(10_000, 18)?.leftMs).toBe(0);
  expect(excessOf({ ...view, site: draws, signals: [] }, 0)?.leftMs).toBe(0);
  expect(excessOf({ ...view, site: { ...draws, powerW: 14_000 } }, 0)).toBeUndefined();
  expect(excessOf({ ...view, site: { ...draws, powerW: null } }, 0)).toBeUndefined();
});

test('the sum of a few machines is not the power of the site', () => {
  const { site } = siteView({ racks: 2, perRack: 4, atMs: 0 });
  const sum = { ...site, powerW: 9_000, powerFrom: 'sum' as const, expected: 100 };
  expect(sitePowerKw({ ...sum, reporting: 99 })).toBe(9);
  expect(sitePowerKw({ ...sum, reporting: 50 })).toBeNull();
  expect(sitePowerKw({ ...sum, reporting: 50, powerFrom: 'meter' })).toBe(9);
});

test('a command says how many machines and how much it moves', () => {
  const command = {
    id: 'c-1',
    owner: 'price',
    text: 'mining pays less than energy costs',
    atMs: 0,
    state: 'sent',
    machines: 48,
    acknowledged: 0,
    observed: 0,
    failed: 0,
    expectedKw: -142.4,
    measuredKw: null,
  } as const;
  expect(aimText(command)).toBe('48 machines, −142 kW');
  expect(aimText({ ...command, machines: 1, expectedKw: 3.5 })).toBe('1 machine, +3.50 kW');
});
