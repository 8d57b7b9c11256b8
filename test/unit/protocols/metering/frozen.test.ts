import { describe, expect, it } from 'vitest';

import { seededRandom } from '../../../../host/random.ts';
import { looksNeeded, makeFrozen, noteLook } from '../../../../protocols/metering/frozen.ts';
import type { FrozenState } from '../../../../protocols/metering/frozen.ts';

/** A meter read every `pollMs`, renewed every `refreshMs`. */
interface Play {
  readonly pollMs?: number;
  readonly refreshMs?: number;
  readonly isFine?: boolean;
  /** What stands in the registers at the n-th refresh. */
  readonly values: (refresh: number) => readonly number[];
  readonly fromMs?: number;
  readonly untilMs: number;
  readonly state: FrozenState;
}

/** The times at which the values were said to be frozen. */
function frozenAt({
  pollMs = 1_000,
  refreshMs = 1_000,
  isFine = true,
  values,
  fromMs = 0,
  untilMs,
  state,
}: Play) {
  const told: number[] = [];
  for (let atMs = fromMs; atMs < untilMs; atMs += pollMs) {
    const now = values(Math.floor(atMs / refreshMs));
    const look = {
      values: now,
      fastCount: now.length,
      fineCount: isFine ? now.length : 0,
      steps: now.map(() => 1),
      load: 400,
    };
    if (noteLook(state, { ...look, atMs, refreshMs: 1_000 }) !== undefined) told.push(atMs);
  }
  return told;
}

const HOUR_MS = 3_600_000;
const noise = seededRandom(3);
const noisy = new Map<number, readonly number[]>();
const live = (refresh: number): readonly number[] => {
  const known = noisy.get(refresh);
  if (known) return known;
  const fresh = [400 + noise.next(), 230 + noise.next(), 230 + noise.next(), 90_000 + noise.next()];
  noisy.set(refresh, fresh);
  return fresh;
};

describe('registers that stand still', () => {
  it('are frozen within three refresh periods, and no longer when they move again', () => {
    const state = makeFrozen();
    expect(frozenAt({ values: live, untilMs: 20_000, state })).toEqual([]);
    const frozen = { values: () => live(19), state };
    expect(frozenAt({ ...frozen, fromMs: 20_000, untilMs: 26_000 })).toEqual([
      22_000, 23_000, 24_000, 25_000,
    ]);
    expect(frozenAt({ values: live, fromMs: 26_000, untilMs: 40_000, state })).toEqual([]);
  });

  it('are not told by polls faster than the refresh, and by three slow ones', () => {
    for (const pollMs of [100, 250, 700, 1_300, 5_000]) {
      const state = makeFrozen();
      expect(frozenAt({ pollMs, values: live, untilMs: 100_000, state })).toEqual([]);
      const at = frozenAt({ pollMs, values: () => live(99), fromMs: 100_000, untilMs: 120_000, state });
      const firstSeenMs = Math.ceil(99_000 / pollMs) * pollMs;
      expect((at[0] ?? Infinity) - firstSeenMs).toBeGreaterThan(1.9 * Math.max(1_000, pollMs));
      expect((at[0] ?? Infinity) - firstSeenMs).toBeLessThanOrEqual(Math.max(3_000 + pollMs, 3 * pollMs));
    }
  });

  it('are right when they are renewed more slowly than said, once that has shown', () => {
    const state = makeFrozen();
    const slow = { values: live, refreshMs: 6_000, state };
    expect(frozenAt({ ...slow, untilMs: 60_000 }).length).toBeLessThan(10);
    expect(frozenAt({ ...slow, fromMs: 60_000, untilMs: HOUR_MS })).toEqual([]);
    expect(
      frozenAt({ values: () => live(599), fromMs: HOUR_MS, untilMs: HOUR_MS + 30_000, state }),
    ).not.toEqual([]);
  });

  it('are right where their steps are too coarse for a steady load, at any steadiness', () => {
    for (const share of [0.5, 0.05, 0.005]) {
      const chance = seededRandom(7);
      const state = makeFrozen();
      let value = 400;
      let at = -1;
      const coarse = (refresh: number): readonly number[] => {
        if (refresh !== at && chance.next() < share) value = value === 400 ? 401 : 400;
        at = refresh;
        return [value];
      };
      const told = frozenAt({ isFine: false, values: coarse, untilMs: 8 * HOUR_MS, state });
      // The rarest ones may surprise once before they are known.
      expect(told.length).toBeLessThan(share < 0.01 ? 600 : 1);
      expect(looksNeeded(state)).toBeGreaterThan(3);
      const dead = {
        isFine: false,
        values: () => [400.5],
        fromMs: 8 * HOUR_MS,
        untilMs: 12 * HOUR_MS,
        state,
      };
      expect(frozenAt(dead)).not.toEqual([]);
    }
  });

  it('come to be suspected soon again where coarse values always move', () => {
    const state = makeFrozen();
    expect(looksNeeded({ ...state, isFine: false, level: 8 })).toBeGreaterThan(300);
    frozenAt({ isFine: false, values: live, untilMs: 1_000_000, state });
    expect(looksNeeded(state)).toBe(60);
  });

  it('are right where coarse values move under a large load and stand under a small one', () => {
    const state = makeFrozen();
    const at = (load: number, value: number, atMs: number): number | undefined =>
      noteLook(state, {
        values: [value],
        fastCount: 1,
        fineCount: 0,
        steps: [1],
        load,
        atMs,
        refreshMs: 1_000,
      });
    for (let atMs = 0; atMs < HOUR_MS; atMs += 1_000) at(90_000, (atMs / 1_000) % 7, atMs);
    // The load falls, which moves everything, and is steady then.
    for (let atMs = HOUR_MS - 100_000; atMs < HOUR_MS; atMs += 1_000)
      at(300, 9 + (HOUR_MS - atMs) / 100, atMs);
    for (let atMs = HOUR_MS; atMs < HOUR_MS + 120_000; atMs += 1_000)
      expect(at(300, 9, atMs)).toBeUndefined();
  });

  it('say nothing without load', () => {
    const state = makeFrozen();
    for (let atMs = 0; atMs < 60_000; atMs += 1_000) {
      const look = { values: [0, 230, 231, 229], fastCount: 4, fineCount: 3, steps: [1, 0, 0, 0], load: 0 };
      expect(noteLook(state, { ...look, atMs, refreshMs: 1_000 })).toBeUndefined();
    }
  });
});
