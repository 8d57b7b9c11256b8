/**
 * UTC that never goes back: it follows the wall clock, and goes on evenly when somebody sets that back. A jump ahead it
 * follows: whether the clock was set or the box stood still nobody can tell, and so much may have flowed meanwhile.
 */
export interface Steady {
  /** The newest moment given, and when, monotonic. */
  lastMs: number;
  monoMs: number;
  /** What the wall clock was set by since the start. */
  setMs: number;
  /** What it went by in steps too small to be told, and since when, monotonic. */
  slipMs: number;
  slipFromMs: number;
}

/** Less is what a disciplined clock does by itself. */
const SET_MS = 1_000;
/** Small steps count together for as long as the longest interval of a market. */
const SLIP_FOR_MS = 3_600_000;
/** A wall clock that is behind what an earlier start has written down: so much may have passed meanwhile. */
const BEHIND_MS = 60_000;

/** `knownMs`: the newest moment that an earlier start has written down. */
export function makeSteady(wallMs: number, monoMs: number, knownMs: number): Steady {
  return {
    lastMs: wallMs > knownMs ? wallMs : knownMs + BEHIND_MS,
    monoMs,
    setMs: wallMs > knownMs ? 0 : wallMs - knownMs - BEHIND_MS,
    slipMs: 0,
    slipFromMs: monoMs,
  };
}

/** Goes on to now. Gives what the wall clock went by beside the time that passed, at once or in small steps, ms; 0: nothing to tell. */
export function goOn(steady: Steady, wallMs: number, monoMs: number): number {
  const expectedMs = steady.lastMs + Math.max(0, monoMs - steady.monoMs);
  const offMs = wallMs - steady.setMs - expectedMs;
  const isBack = offMs <= -SET_MS;
  if (isBack) steady.setMs += offMs;
  steady.lastMs = isBack ? expectedMs : Math.max(steady.lastMs, wallMs - steady.setMs);
  steady.monoMs = monoMs;
  if (Math.abs(offMs) >= SET_MS) return offMs;
  if (monoMs - steady.slipFromMs > SLIP_FOR_MS) [steady.slipMs, steady.slipFromMs] = [0, monoMs];
  steady.slipMs += offMs;
  if (Math.abs(steady.slipMs) < SET_MS) return 0;
  const slippedMs = steady.slipMs;
  steady.slipMs = 0;
  return slippedMs;
}
