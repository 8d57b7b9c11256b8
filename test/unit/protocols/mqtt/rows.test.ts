import { expect, test } from 'vitest';

import { readingsOf, Rows, tableOf } from '../../../../protocols/mqtt/rows.ts';
import type { Reading } from '../../../../protocols/reading.ts';

const watts = (value: number, atMs: number): Reading => ({
  ok: true,
  value,
  unit: 'W',
  quality: 'good',
  atMs,
  measured: true,
});
const celsius = (value: number, atMs: number): Reading => ({
  ok: true,
  value,
  unit: '°C',
  quality: 'good',
  atMs,
});

test('a row keeps the newest of each quantity, with the time of each', () => {
  const rows = new Rows(3);
  rows.put(1, { power: watts(3_000, 1_000), 'temperature.max': celsius(61.5, 1_000) });
  rows.put(1, { power: watts(2_900, 6_000) });
  expect(readingsOf(rows.table(7_000))).toEqual([
    {},
    { power: watts(2_900, 6_000), 'temperature.max': celsius(61.5, 1_000) },
    {},
  ]);
  expect([rows.atMs(1, 'power'), rows.atMs(1, 'hashrate'), rows.atMs(0, 'power')]).toEqual([
    6_000,
    undefined,
    undefined,
  ]);
});

test('what is lost keeps its place with the reason, and what is cleared leaves none', () => {
  const rows = new Rows(2);
  rows.put(0, { power: watts(3_000, 1_000), 'temperature.max': celsius(61.5, 1_000) });
  rows.lose(0, 'NET_TIMEOUT', 2_000);
  const lost: Reading = { ok: false, why: 'NET_TIMEOUT', atMs: 2_000 };
  expect(readingsOf(rows.table(2_000))[0]).toEqual({ power: lost, 'temperature.max': lost });
  rows.put(0, { power: watts(3_100, 3_000) });
  expect(readingsOf(rows.table(3_000))[0]?.['power']).toEqual(watts(3_100, 3_000));
  rows.clear(0);
  expect(rows.table(3_000)).toEqual(tableOf([{}, {}], 3_000));
});

test('a table that was given out does not change with the rows', () => {
  const rows = new Rows(1);
  rows.put(0, { power: watts(3_000, 1_000) });
  const before = rows.table(1_500);
  rows.put(0, { power: watts(1, 2_000) });
  rows.lose(0, 'NET_RESET', 3_000);
  expect(before).toEqual(tableOf([{ power: watts(3_000, 1_000) }], 1_500));
});
