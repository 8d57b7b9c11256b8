/**
 * Keeps units that do not answer from taking the time of those that do. A unit that failed in `OPEN_AFTER_CYCLES`
 * requests and for `OPEN_AFTER_MS` is asked no more except by single tries, further and further apart. All tries of
 * units in doubt share a small part of the line's time. All times are monotonic ms.
 */
export interface UnitHealth {
  /** Requests without an answer in a row. */
  failures: number;
  /** When the first of them ended. */
  sinceMs: number;
  isOpen: boolean;
  /** Tries without an answer since then. */
  tries: number;
  /** When the last of them ended. */
  failedMs: number;
  /** From then until it is tried again. */
  backOffMs: number;
}

/** The part of a line's time that units in doubt have left. */
export interface DoubtBudget {
  spareMs: number;
  atMs: number;
}

const OPEN_AFTER_CYCLES = 2;
const OPEN_AFTER_MS = 3_000;
const BACK_OFF_FIRST_MS = 2_000;
const BACK_OFF_MAX_MS = 60_000;
/** Less than the twentieth promised: what a try costs is known only behind it. */
const SHARE = 0.04;
const SPARE_MAX_MS = 500;
/** A line on which everything fails for a while must not be paid for later. */
const DEBT_MAX_MS = 6_000;

export const healthyUnit = (): UnitHealth => ({
  failures: 0,
  sinceMs: 0,
  isOpen: false,
  tries: 0,
  failedMs: 0,
  backOffMs: 0,
});

export const fullBudget = (nowMs: number): DoubtBudget => ({ spareMs: SPARE_MAX_MS, atMs: nowMs });

/** After one failure a unit is asked again as if nothing had been: single answers get lost on every line. */
export const isDoubted = ({ failures }: UnitHealth): boolean => failures >= OPEN_AFTER_CYCLES;

/**
 * How long a unit must still wait before it may be asked, ms; 0: now. `isAlone`: no other unit of the line answers, so
 * that nobody waits meanwhile.
 */
export function waitOf(unit: UnitHealth, budget: DoubtBudget, isAlone: boolean, nowMs: number): number {
  if (!unit.isOpen || isAlone) return 0;
  const spareMs = spareOf(budget, nowMs);
  return Math.max(0, unit.failedMs + unit.backOffMs - nowMs, -spareMs / SHARE);
}

/** A request had no answer and took `costMs` of the line. `chance`: uniform in [0, 1), for the jitter. */
export function unitFailed(
  unit: UnitHealth,
  budget: DoubtBudget,
  { nowMs, costMs, chance }: { readonly nowMs: number; readonly costMs: number; readonly chance: number },
): void {
  if (unit.failures === 0) unit.sinceMs = nowMs - costMs;
  unit.failures += 1;
  unit.failedMs = nowMs;
  if (!isDoubted(unit)) return;
  budget.spareMs = Math.max(-DEBT_MAX_MS, spareOf(budget, nowMs) - costMs);
  budget.atMs = nowMs;
  if (nowMs - unit.sinceMs < OPEN_AFTER_MS) return;
  unit.tries = unit.isOpen ? unit.tries + 1 : 0;
  unit.isOpen = true;
  const fullMs = Math.min(BACK_OFF_MAX_MS, BACK_OFF_FIRST_MS * 2 ** Math.min(unit.tries, 10));
  // Less than the whole, so that the longest is what it says.
  unit.backOffMs = fullMs * (0.75 + chance / 4);
}

export function unitAnswered(unit: UnitHealth): void {
  unit.failures = 0;
  unit.isOpen = false;
}

function spareOf(budget: DoubtBudget, nowMs: number): number {
  return Math.min(SPARE_MAX_MS, budget.spareMs + SHARE * (nowMs - budget.atMs));
}
