import { expect, test } from 'vitest';

import {
  deltaKwText,
  durationText,
  hashrateText,
  kwText,
  powerText,
  usdText,
} from '../../../console/format.ts';

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
