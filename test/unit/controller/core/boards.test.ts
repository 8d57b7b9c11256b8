import { expect, test } from 'vitest';

import { resolveSite } from '../../../../config/site.ts';
import { siteSchema } from '../../../../config/schema/site.ts';
import { BOARDS_SETTLE_MS, boardsText, noteBoards } from '../../../../controller/core/boards.ts';
import { breakevenUsdPerMwh, miningUsdPerHour } from '../../../../controller/core/economics.ts';
import { emptyState } from '../../../../controller/core/state.ts';
import type { Mode, Reading, Readings } from '../../../../protocols/reading.ts';
import { models, smallSite } from './small-site.ts';

const one = (value: number | string): Reading => ({ ok: true, value, unit: '1', quality: 'good', atMs: 0 });
const said = (boards: number | undefined, mode: Mode = 'mine'): Readings => ({
  mode: one(mode),
  ...(boards !== undefined && { 'boards.count': one(boards), 'chips.count': one(boards * 126) }),
});
const settledMs = BOARDS_SETTLE_MS + 60_000;

/** A site whose first machine has three boards by its model. */
function start() {
  const known = new Map(
    models.map((model) => [model.id, model.id === 'old' ? { ...model, boards: 3, chips: 378 } : model]),
  );
  const state = emptyState(resolveSite(siteSchema.parse(smallSite), known), 1, 0);
  state.hashpriceUsdPerPhDay = 50;
  const take = (readings: Readings, monoMs: number): readonly unknown[] =>
    noteBoards(state, 0, readings, { monoMs, wallMs: monoMs });
  return { state, take };
}

test('a board that is gone for longer than a start takes is an alarm, and earns nothing until it is back', () => {
  const { state, take } = start();
  const whole = miningUsdPerHour(state, 0);
  const breakeven = breakevenUsdPerMwh(state, 0);
  expect(take(said(3), 0)).toEqual([]);
  expect(boardsText(state, 0)).toBe('3 of 3 boards, 378 of 378 chips');
  expect(take(said(2), 1_000)).toEqual([]);
  expect(take(said(2), 1_000 + settledMs - 1)).toEqual([]);
  expect(miningUsdPerHour(state, 0)).toBe(whole);
  take(said(2), 1_000 + settledMs);
  expect(state.alarms.get('BOARDS_LOST:r1-01')?.text).toBe(
    'r1-01: 2 of 3 boards, 252 of 378 chips take part',
  );
  expect(miningUsdPerHour(state, 0)).toBeCloseTo((whole * 2) / 3);
  // What it draws is learned from its readings; until it is, the board counts as drawing.
  expect(breakevenUsdPerMwh(state, 0)).toBeCloseTo((breakeven * 2) / 3);
  take(said(3), 2_000 + settledMs);
  expect(state.alarms.size).toBe(0);
  expect(miningUsdPerHour(state, 0)).toBe(whole);
});

test('boards that come up one after the other, and a machine at rest, are no loss', () => {
  const { state, take } = start();
  take(said(1), 0);
  take(said(3), 60_000);
  take(said(2), 70_000);
  take(said(3), settledMs);
  take(said(0, 'sleep'), settledMs + 1);
  take(said(undefined), 9 * settledMs);
  expect(state.alarms.size).toBe(0);
  expect(boardsText(state, 0)).toBe('3 of 3 boards, 378 of 378 chips');
});

test('put to rest in the middle of a start, it has the time of a whole start the next time', () => {
  const { state, take } = start();
  take(said(1), 0);
  take(said(undefined, 'sleep'), 60_000);
  take(said(1), 9 * settledMs);
  take(said(1), 10 * settledMs - 1);
  expect(state.alarms.size).toBe(0);
  take(said(1), 10 * settledMs);
  expect(state.alarms.size).toBe(1);
  // What was found stands while it rests, and while it starts.
  take(said(undefined, 'sleep'), 11 * settledMs);
  take(said(1), 20 * settledMs);
  expect(state.alarms.size).toBe(1);
  expect(state.boards.share[0]).toBeCloseTo(1 / 3);
});

test('what it hashes is not taken from it by what it says of its boards', () => {
  const { state, take } = start();
  const whole = miningUsdPerHour(state, 0);
  const { model } = state.site.machines[0] ?? expect.fail('no machine');
  const fullHs = (model.kind === 'asic' ? (model.rungs.at(-1)?.hashrateThs ?? 0) : 0) * 1e12;
  take(said(2), 0);
  state.hashrateHs[0] = 0.8 * fullHs;
  take(said(2), settledMs);
  expect(miningUsdPerHour(state, 0)).toBeCloseTo(0.8 * whole);
  state.hashrateHs[0] = 1_000 * fullHs;
  take(said(2), settledMs + 1);
  expect(miningUsdPerHour(state, 0)).toBe(whole);
  state.hashrateHs[0] = Number.NaN;
  take(said(2), settledMs + 2);
  expect(miningUsdPerHour(state, 0)).toBeCloseTo((2 * whole) / 3);
});

test('none at all of one that mines is not believed', () => {
  const { state, take } = start();
  take(said(0), 0);
  take(said(0), 9 * settledMs);
  expect(state.alarms.size).toBe(0);
  expect(state.boards.share[0]).toBe(1);
});

test('a machine that says nothing of boards, and one of a model without, are not judged', () => {
  const { state, take } = start();
  take(said(undefined), 0);
  expect(boardsText(state, 0)).toBeNull();
  noteBoards(state, 10, said(1), { monoMs: 0, wallMs: 0 });
  noteBoards(state, 10, said(1), { monoMs: 9 * settledMs, wallMs: 0 });
  expect(boardsText(state, 10)).toBe('1 boards, 126 chips');
  expect(state.alarms.size).toBe(0);
});
