import { expect, test } from 'vitest';
import { virtualText, virtualValue } from '../../../../protocols/metering/virtual.ts';
import type { VirtualPart } from '../../../../protocols/metering/virtual.ts';

const part = (id: string, powerW: number | undefined, sign: 1 | -1 = 1): VirtualPart => ({
  id,
  sign,
  powerW,
  errorShare: 0.01,
  leastW: 0,
  mostW: 100_000,
});

test('a sum has the errors of its parts in quadrature', () => {
  const { powerW, leastW, mostW, coverage } = virtualValue([part('a', 30_000), part('b', 40_000)]);
  expect([powerW, coverage]).toEqual([70_000, 1]);
  expect(mostW - powerW).toBeCloseTo(500);
  expect(powerW - leastW).toBeCloseTo(500);
});

test('a missing part bounds the total and never makes it smaller', () => {
  const value = virtualValue([part('a', 30_000), part('b', undefined)]);
  expect(value).toMatchObject({ powerW: 130_300, leastW: 29_700, coverage: 0.5, missing: ['b'] });
  expect(virtualText(value)).toBe('between 29.7 and 130.3 kW, 50 % known, without b');
});

test('what is missing of what is taken away bounds it below', () => {
  const value = virtualValue([part('main', 90_000), part('a', 30_000, -1), part('b', undefined, -1)]);
  expect(value.leastW).toBeLessThan(-40_000);
  expect(value.powerW).toBeCloseTo(60_000 + Math.hypot(900, 300));
});
