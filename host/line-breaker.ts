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
  /** It is tried once before that, and its part of the line's time is not counted. */
  isCalled: boolean;
}

/** The part of a line's time that units in doubt have left. */
export interface DoubtBudget {
  spareMs: number;
  atMs: number;
  /** When the whole line was back last. */
  backMs: number;
}

const OPEN_AFTER_CYCLES = 2;
const OPEN_AFTER_MS = 3_000;
const BACK_OFF_FIRST_MS = 2_000;
const BACK_OFF_MAX_MS = 60_000;
/** A line that comes and goes is not taken for one that is back each time. */
const BACK_EVERY_MS = 10_000;
/** Less than the twentieth promised: what a try costs is known only behind it. */
const SHARE = 0.04;
const SPARE_MAX_MS = 500;
/** A line on which everything fails for a while must not be paid for later. */
const DEBT_MAX_MS = 6_000;
/** Nor what it took to find out that units are dead: many that die at once would not be looked for for minutes. */
const FINDING_DEBT_MAX_MS = 500;
/** Units that fell silent within this time have the same reason, a fuse or a cable: they are found one after another. */
const TOGETHER_MS = 20_000;

export const healthyUnit = (): UnitHealth => ({
  failures: 0,
  sinceMs: 0,
  isOpen: false,
  tries: 0,
  failedMs: 0,
  backOffMs: 0,
  isCalled: false,
});

export const fullBudget = (nowMs: number): DoubtBudget => ({
  spareMs: SPARE_MAX_MS,
  atMs: nowMs,
  backMs: -Infinity,
});

/** After one failure a unit is asked again as if nothing had been: single answers get lost on every line. */
export const isDoubted = ({ failures }: UnitHealth): boolean => failures >= OPEN_AFTER_CYCLES;

/**
 * How long a unit must still wait before it may be asked, ms; 0: now. `isAlone`: no other unit of the line answers, so
 * that nobody waits meanwhile.
 */
export function waitOf(unit: UnitHealth, budget: DoubtBudget, isAlone: boolean, nowMs: number): number {
  if (!unit.isOpen || unit.isCalled || isAlone) return 0;
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
  const spareMs = spareOf(budget, nowMs);
  const leastMs = unit.isOpen ? -DEBT_MAX_MS : Math.min(spareMs, -FINDING_DEBT_MAX_MS);
  budget.spareMs = Math.max(leastMs, spareMs - (unit.isCalled ? 0 : costMs));
  budget.atMs = nowMs;
  if (nowMs - unit.sinceMs < OPEN_AFTER_MS) return;
  unit.tries = unit.isOpen && !unit.isCalled ? unit.tries + 1 : 0;
  unit.isCalled = false;
  unit.isOpen = true;
  const fullMs = Math.min(BACK_OFF_MAX_MS, BACK_OFF_FIRST_MS * 2 ** Math.min(unit.tries, 10));
  // Less than the whole, so that the longest is what it says.
  unit.backOffMs = fullMs * (0.75 + chance / 4);
}

export function unitAnswered(unit: UnitHealth): void {
  unit.failures = 0;
  unit.isOpen = false;
  unit.isCalled = false;
}

/** The line was down and is back: that was no unit's fault, so each is tried now, whatever that takes. */
export function lineBack(units: Iterable<UnitHealth>, budget: DoubtBudget, nowMs: number): void {
  if (nowMs - budget.backMs < BACK_EVERY_MS) return;
  Object.assign(budget, fullBudget(nowMs), { backMs: nowMs });
  for (const unit of units) unit.isCalled = unit.isOpen;
}

/**
 * One of the units that fell silent together answers: the others are tried now, once. Who comes and goes does not call
 * them again, since it fell silent later than they did.
 */
export function unitBack(back: UnitHealth, units: Iterable<UnitHealth>): void {
  for (const unit of units)
    if (unit.isOpen && Math.abs(unit.sinceMs - back.sinceMs) < TOGETHER_MS) unit.isCalled = true;
}

function spareOf(budget: DoubtBudget, nowMs: number): number {
  return Math.min(SPARE_MAX_MS, budget.spareMs + SHARE * (nowMs - budget.atMs));
}
