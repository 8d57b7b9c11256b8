/** A quartz that nobody disciplines is off by no more, ms per ms. */
const DRIFT = 100e-6;

/** How far the controller's wall clock is ahead of this agent's, ms, at a monotonic moment. */
export interface ClockOffset {
  readonly lowMs: number;
  readonly highMs: number;
  readonly monoMs: number;
}

/** A beat: the controller wrote `controllerMs` between these two moments of the agent's wall clock, ms UTC. */
export interface Exchange {
  readonly controllerMs: number;
  readonly askedMs: number;
  readonly heardMs: number;
  readonly monoMs: number;
}

const aged = ({ lowMs, highMs, monoMs }: ClockOffset, nowMs: number): ClockOffset => {
  const driftMs = DRIFT * Math.max(0, nowMs - monoMs);
  return { lowMs: lowMs - driftMs, highMs: highMs + driftMs, monoMs: nowMs };
};

/** What is known after one more beat. What contradicts all before it is believed: a clock was set. */
export function takeExchange(known: ClockOffset | undefined, exchange: Exchange): ClockOffset {
  const { controllerMs, askedMs, heardMs, monoMs } = exchange;
  const fresh = { lowMs: controllerMs - heardMs, highMs: controllerMs - askedMs, monoMs };
  if (known === undefined) return fresh;
  const before = aged(known, monoMs);
  const lowMs = Math.max(before.lowMs, fresh.lowMs);
  const highMs = Math.min(before.highMs, fresh.highMs);
  return lowMs <= highMs ? { lowMs, highMs, monoMs } : fresh;
}

/** The offset now, ms, and how wrong that may be. */
export function offsetNow(known: ClockOffset, monoMs: number): { offsetMs: number; boundMs: number } {
  const { lowMs, highMs } = aged(known, monoMs);
  return { offsetMs: (lowMs + highMs) / 2, boundMs: (highMs - lowMs) / 2 };
}
