import { expect, test } from 'vitest';

import { thinHistory } from '../../../../controller/operator/thin.ts';
import type { HistoryPoint } from '../../../../protocols/console/view.ts';

const point = (atMs: number, powerKw: number | null, limitKw = 100): HistoryPoint => ({
  atMs,
  powerKw,
  limitKw,
  planKw: null,
  priceUsdPerMwh: atMs === 3_000 ? 30 : null,
});

test('a short span comes as it is, a gap as null', () => {
  const columns = thinHistory([point(1_000, 5), point(2_000, null), point(3_000, 7)], {
    nowMs: 3_000,
    spanMs: 10_000,
    points: 100,
  });
  expect(columns).toEqual({
    atMs: [1_000, 2_000, 3_000],
    powerKw: [5, null, 7],
    limitKw: [100, 100, 100],
    planKw: [null, null, null],
    priceUsdPerMwh: [null, null, 30],
  });
});

test('a long one is thinned: mean power, lowest limit, within the span', () => {
  const history = Array.from({ length: 10_000 }, (_, at) =>
    point(at * 1_000, at % 2, at === 9_990 ? 40 : 100),
  );
  const columns = thinHistory(history, { nowMs: 9_999_000, spanMs: 1_000_000, points: 100 });
  expect(columns.atMs.length).toBeGreaterThan(95);
  expect(columns.atMs.length).toBeLessThanOrEqual(100);
  expect(columns.atMs[0]).toBeGreaterThan(8_999_000);
  expect(columns.powerKw[50]).toBe(0.5);
  expect(Math.min(...columns.limitKw)).toBe(40);
});

test('nothing gives nothing', () => {
  expect(thinHistory([], { nowMs: 5, spanMs: 10, points: 2 }).atMs).toEqual([]);
});
