import { expect, test } from 'vitest';
import { isAlive } from '../../../../agent/core/alive.ts';
import type { WatchedNode } from '../../../../agent/core/alive.ts';

const metered: WatchedNode = { metered: true, answering: 0, expected: 8 };
const summed: WatchedNode = { metered: false, answering: 3, expected: 8 };
const blind: WatchedNode = { metered: false, answering: 0, expected: 8 };
const empty: WatchedNode = { metered: false, answering: 0, expected: 0 };

test('moves while the loop turns and every guard has its meter or its machines', () => {
  const state = { goodMs: undefined };
  expect(isAlive(state, 1_000, [blind], 10_000, 1_000)).toBe(false);
  expect(isAlive(state, 2_000, [metered, summed, empty], 10_000, 2_000)).toBe(true);
  // The loop has not turned since 2 s.
  expect(isAlive(state, 2_000, [metered], 10_000, 5_500)).toBe(true);
  expect(isAlive(state, 2_000, [metered], 10_000, 5_600)).toBe(false);
});

test('a guard that is blind stops it after its grace, and sight starts it again', () => {
  const state = { goodMs: undefined };
  expect(isAlive(state, 0, [metered, summed], 10_000, 0)).toBe(true);
  expect(isAlive(state, 9_000, [metered, blind], 10_000, 10_000)).toBe(true);
  expect(isAlive(state, 10_000, [metered, blind], 10_000, 10_001)).toBe(false);
  expect(isAlive(state, 30_000, [metered, summed], 10_000, 30_000)).toBe(true);
});
