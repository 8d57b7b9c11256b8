/**
 * An agent that stood still (stopped, starved, its box suspended) finds every reading old when it goes on, though
 * nothing is wrong with any meter or PLC. For as long as one may take to answer, old readings then mean nothing yet.
 */
export interface Stall {
  /** When the loop last turned, monotonic ms. */
  turnedMs: number;
  /** When it went on after it had stood still. */
  wokeMs: number;
}

export const makeStall = (nowMs: number): Stall => ({ turnedMs: nowMs, wokeMs: -Infinity });

/** The loop turns once a second; standing still this long is no ordinary delay, ms. */
const STOOD_MS = 3_000;
/** Two tries of a meter or PLC. Never longer. */
const READ_MS = 3_000;
/** An agent that stands still again and again is given this only now and then: it has to guard all the same. */
const AGAIN_MS = 30_000;

/** Notes that the loop turns; true while what is old may be old only because it stood still. */
export function readsAgain(stall: Stall, nowMs: number): boolean {
  if (nowMs - stall.turnedMs > STOOD_MS && nowMs - stall.wokeMs > AGAIN_MS) stall.wokeMs = nowMs;
  stall.turnedMs = nowMs;
  return nowMs - stall.wokeMs < READ_MS;
}

/** True while what was read at `goodMs` is from before the agent stood still, and may be read anew any moment. */
export const isAwaited = (stall: Stall, goodMs: number | undefined, nowMs: number): boolean =>
  readsAgain(stall, nowMs) && (goodMs ?? -Infinity) < stall.wokeMs;
