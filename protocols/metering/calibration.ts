/**
 * How much more a node's meter shows than what is known below it says: learnt while the meter is trusted and nothing
 * changes, for the time when it is not there. Times are monotonic ms.
 */

export interface Calibration {
  /** The meter over the others' sum. */
  ratio: number;
  /** How far single looks lie from it, in the mean. */
  spread: number;
  /** From how many looks, as far as it matters. */
  looks: number;
  /** When it was learnt last; -Infinity: not since it was made or found. */
  learntMs: number;
  /** What it was at least a quarter of an hour ago, and since when the next such value waits; undefined: not so long. */
  earlier: number | undefined;
  kept: number;
  keptMs: number;
  /** Both sides as they were when one of them last moved, W, and when that was. */
  shownW: number;
  sumW: number;
  movedMs: number;
}

export const makeCalibration = (): Calibration => ({
  ratio: 1,
  spread: 0,
  looks: 0,
  learntMs: -Infinity,
  earlier: undefined,
  kept: 1,
  keptMs: Infinity,
  shownW: Number.NaN,
  sumW: Number.NaN,
  movedMs: -Infinity,
});

/** A look counts so much once there were many. */
const LOOKS = 20;
const LEARNT_LOOKS = 5;
/** No meter shows less or more than this of what is really there and may still be learnt from. */
const LEAST = 0.5;
const MOST = 2;
/** A side that moves by more than this share is on its way: sums of words follow a meter within this time, ms. */
const MOVES_SHARE = 0.04;
const SETTLES_MS = 30_000;
/** A wrong meter under load is named within this time, ms: what was learnt before is not from its error. */
const NAMED_MS = 15 * 60_000;
const LOSSES_MOST = 1.05;
/** Looks that lie further apart than so many times their mean distance are none of these. */
const SPREADS = 3;

/** Both sides at one moment, W, both of them whole. */
export function learn(state: Calibration, shownW: number, sumW: number, nowMs: number): void {
  const moves = (before: number, now: number): boolean => Math.abs(now - before) > MOVES_SHARE * sumW;
  if (moves(state.shownW, shownW) || moves(state.sumW, sumW)) state.movedMs = nowMs;
  if (Number.isNaN(state.sumW) || state.movedMs === nowMs) {
    state.shownW = shownW;
    state.sumW = sumW;
  }
  if (nowMs - state.movedMs < SETTLES_MS) return;
  if (state.keptMs === Infinity) state.keptMs = nowMs;
  if (nowMs - state.keptMs >= NAMED_MS) {
    state.earlier = state.kept;
    state.kept = state.ratio;
    state.keptMs = nowMs;
  }
  const look = Math.min(MOST, Math.max(LEAST, shownW / sumW));
  state.looks = Math.min(LOOKS, state.looks + 1);
  const away = look - state.ratio;
  if (state.looks > 1) state.spread += (Math.abs(away) - state.spread) / state.looks;
  state.ratio += away / state.looks;
  state.learntMs = nowMs;
}

/** It was learnt from enough looks to go by. */
export const isLearnt = ({ looks }: Calibration): boolean => looks >= LEARNT_LOOKS;

/** What single looks may lie beside the ratio, as a share of it. */
export const spreadShare = ({ spread, ratio }: Calibration): number => (SPREADS * spread) / ratio;

/**
 * The meter is found to be wrong: the ratio is what it was before, or that of usual losses. Never less than what is
 * said below it: at little load one may have shown too little for hours before it could be named.
 */
export function unlearn(state: Calibration): void {
  state.ratio = Math.max(1, state.earlier ?? Math.min(LOSSES_MOST, state.ratio));
  state.earlier = undefined;
  state.keptMs = Infinity;
  state.kept = state.ratio;
}

/** Nothing was learnt. */
export const forget = (state: Calibration): void => void Object.assign(state, makeCalibration());

/** What of it outlives whoever learnt it. */
type KeptCalibration = Pick<Calibration, 'ratio' | 'spread'>;

/** Takes up what was learnt so long ago; what was learnt since then stands. */
export function takeUp(state: Calibration, kept: KeptCalibration, learntMs: number): void {
  if (isLearnt(state)) return;
  Object.assign(state, { ...kept, kept: kept.ratio, learntMs, looks: LEARNT_LOOKS });
}
