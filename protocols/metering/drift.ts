/** Whether what lies between a meter and those below it stays what it was: losses do, an ageing transformer does not. */
import type { Balance } from './balance.ts';

/** Means of the past, slow and fast; shares are of what flows. */
export interface DriftState {
  windows: number;
  slowShare: number;
  slowW: number;
  fastShare: number;
  fastW: number;
  /** Windows in a row in which it has drifted. */
  drifted: number;
}

export const makeDrift = (): DriftState => ({
  windows: 0,
  slowShare: 0,
  slowW: 0,
  fastShare: 0,
  fastW: 0,
  drifted: 0,
});

/** Below this share of the cap the difference says nothing of its course. */
export const TELLING = 0.3;
/** Minutes of load that the means look back, and after which they may be compared. */
const SLOW_WINDOWS = 2_880;
const FAST_WINDOWS = 30;
const LEARNT_WINDOWS = 180;
const DRIFTED_WINDOWS = 15;

/**
 * One more window. How far the difference has gone from what it was for long, as a share of what flows; 0 while that
 * is within `allowedShare`. Both what is lost by share and what is drawn undeclared at all times may stay as they are
 * while the load changes: only what fits neither has drifted.
 */
export function noteDrift(
  state: DriftState,
  { differenceW, sizeW }: Balance,
  capW: number,
  allowedShare: number,
): number {
  if (sizeW < TELLING * capW) return state.drifted >= DRIFTED_WINDOWS ? 1 : 0;
  const share = differenceW / sizeW;
  state.windows++;
  const fast = 1 / Math.min(state.windows, FAST_WINDOWS);
  const slow = 1 / Math.min(state.windows, SLOW_WINDOWS);
  state.fastShare += fast * (share - state.fastShare);
  state.fastW += fast * (differenceW - state.fastW);
  state.slowShare += slow * (share - state.slowShare);
  state.slowW += slow * (differenceW - state.slowW);
  const gone = Math.min(
    Math.abs(state.fastShare - state.slowShare),
    Math.abs(state.fastW - state.slowW) / sizeW,
  );
  state.drifted = gone > allowedShare && state.windows >= LEARNT_WINDOWS ? state.drifted + 1 : 0;
  return state.drifted >= DRIFTED_WINDOWS ? gone : 0;
}
