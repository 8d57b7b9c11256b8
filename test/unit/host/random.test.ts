import { expect, test } from 'vitest';
import { seededRandom, systemRandom } from '../../../host/random.ts';

const take = (seed: number, count: number): number[] => {
  const random = seededRandom(seed);
  return Array.from({ length: count }, () => random.next());
};

test('one seed gives one stream, another seed another', () => {
  expect(take(7, 50)).toEqual(take(7, 50));
  for (const other of [0, 6, 8, 7 + 2 ** 32]) expect(take(other, 5)).not.toEqual(take(7, 5));
});

test('numbers are uniform enough and in [0, 1)', () => {
  const buckets = Array.from({ length: 10 }, () => 0);
  const values = take(1, 100_000);
  expect(values.every((value) => value >= 0 && value < 1)).toBe(true);
  for (const value of values) {
    const index = Math.floor(value * 10);
    buckets[index] = (buckets[index] ?? 0) + 1;
  }
  for (const count of buckets) expect(Math.abs(count - 10_000)).toBeLessThan(500);
});

test('system numbers are in [0, 1) and differ', () => {
  const values = Array.from({ length: 100 }, () => systemRandom.next());
  expect(values.every((value) => value >= 0 && value < 1)).toBe(true);
  expect(new Set(values).size).toBeGreaterThan(95);
});
