/** UTC that never jumps: it follows the wall clock as long as nobody sets it, and goes on evenly when somebody does. */
export interface Steady {
  /** The newest moment given, and when, monotonic. */
  lastMs: number;
  monoMs: number;
  /** What the wall clock was set by since the start. */
  setMs: number;
}

/** Less is what a disciplined clock does by itself. */
const SET_MS = 1_000;
/** A wall clock that is behind what an earlier start has written down: so much may have passed meanwhile. */
const BEHIND_MS = 60_000;

/** `knownMs`: the newest moment that an earlier start has written down. */
export function makeSteady(wallMs: number, monoMs: number, knownMs: number): Steady {
  return {
    lastMs: wallMs > knownMs ? wallMs : knownMs + BEHIND_MS,
    monoMs,
    setMs: wallMs > knownMs ? 0 : wallMs - knownMs - BEHIND_MS,
  };
}

/** Goes on to now. Gives what the wall clock was set by since the time before, ms; 0: it was not. */
export function goOn(steady: Steady, wallMs: number, monoMs: number): number {
  const expectedMs = steady.lastMs + Math.max(0, monoMs - steady.monoMs);
  const offMs = wallMs - steady.setMs - expectedMs;
  const isSet = Math.abs(offMs) >= SET_MS;
  if (isSet) steady.setMs += offMs;
  steady.lastMs = isSet ? expectedMs : Math.max(steady.lastMs, wallMs - steady.setMs);
  steady.monoMs = monoMs;
  return isSet ? offMs : 0;
}
