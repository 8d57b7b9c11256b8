/** A quartz that nobody disciplines is off by no more, ms per ms. */
const DRIFT = 100e-6;

/**
 * A beat: the controller wrote `controllerMs` between these two moments of the agent's wall clock, ms UTC. Earlier ones
 * could narrow it, but a clock may have been set since.
 */
export interface Exchange {
  readonly controllerMs: number;
  readonly askedMs: number;
  readonly heardMs: number;
  /** Monotonic ms at which it was heard. */
  readonly monoMs: number;
}

/** How far the controller's clock is ahead of the agent's at a monotonic moment, ms, and how wrong that may be. */
export function offsetNow(
  { controllerMs, askedMs, heardMs, monoMs }: Exchange,
  nowMs: number,
): { offsetMs: number; boundMs: number } {
  return {
    offsetMs: controllerMs - (askedMs + heardMs) / 2,
    boundMs: (heardMs - askedMs) / 2 + DRIFT * Math.max(0, nowMs - monoMs),
  };
}
