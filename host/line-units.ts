import {
  fullBudget,
  healthyUnit,
  isDoubted,
  lineBack,
  unitAnswered,
  unitBack,
  unitFailed,
  waitOf,
} from './line-breaker.ts';
import type { DoubtBudget, UnitHealth } from './line-breaker.ts';
import { CostLearner } from './line-cost.ts';
import type { ReadCost } from './line-cost.ts';
import { Fault } from '../protocols/faults.ts';
import type { ModbusRequest } from '../protocols/modbus/frame.ts';

/** The longest that an answer, or a connection, is waited for. */
export const TIMEOUT_MAX_MS = 3_000;
const TIMEOUT_MIN_MS = 100;
/** A write may end in a slow memory, and no answer leaves open whether it was done. */
const WRITE_TIMEOUT_MIN_MS = 500;
/** A first answer on a line where others answer. */
const NEW_TIMEOUT_MIN_MS = 300;
const TIMEOUT_TIMES = 4;
/** Where others wait, a unit that does not answer is given longer only at every so many tries. */
const PATIENT_EVERY = 4;
/** Then so long at the most, unless it was slower before: the others' readings must stay fresh. */
const SHARED_MAX_MS = 1_000;
/** As long as the longest only at every so many tries. */
const LONGEST_EVERY = 16;
/** One that was never heard may be slow by nature: its long try comes soon, if no other had one lately. */
const FIRST_LONGEST = 4;
/** Beyond it the others' readings would be too old for a guard. */
const FIRST_LONGEST_MS = 2_000;
const LONGEST_APART_MS = 300_000;
/** As much of it is paid for as leaves the next try of a unit in doubt to the same minute. */
const FIRST_LONGEST_PAID_MS = 2_250;
/** After a lost RTU answer the bus stays silent at least this long. */
export const QUARANTINE_MIN_MS = 300;
/** Who answered within this time is there. */
const THERE_FOR_MS = 60_000;

interface Unit {
  readonly cost: CostLearner;
  readonly health: UnitHealth;
  /** The factor of its time limit: grows while it does not answer. */
  patience: number;
  answeredMs: number;
  /** Why it did not answer last time. */
  fault: Fault | undefined;
  /** Without transaction ids: of how many values the answers are that may still come, though nobody waits for them. */
  readonly owed: Set<number>;
}

/** What a line knows of the units behind it: how fast each answers, and whether it does. Times are monotonic ms. */
export class LineUnits {
  readonly #units = new Map<number, Unit>();
  readonly #prior: ReadCost;
  readonly #budget: DoubtBudget;
  /** When a try as long as the longest ended last. */
  #longestMs = -Infinity;

  constructor(prior: ReadCost, nowMs: number) {
    this.#prior = prior;
    this.#budget = fullBudget(nowMs);
  }

  costOf(unit: number): ReadCost {
    return this.#at(unit).cost.cost;
  }

  /** Of how many values the answers are that this unit still owes; undefined when none. */
  owedBy(unit: number): ReadonlySet<number> | undefined {
    const owed = this.#units.get(unit)?.owed;
    return owed && owed.size > 0 ? owed : undefined;
  }

  isDoubted(unit: number): boolean {
    const known = this.#units.get(unit);
    return known !== undefined && isDoubted(known.health);
  }

  /** How long this unit must still be left alone, ms. */
  waitOf(unit: number, nowMs: number): number {
    const known = this.#units.get(unit);
    if (!known?.health.isOpen) return 0;
    return waitOf(known.health, this.#budget, this.#isAlone(unit, nowMs), nowMs);
  }

  /** How long an answer is waited for: a multiple of what this unit takes. */
  timeoutMs(request: ModbusRequest, nowMs: number): number {
    const unit = this.#at(request.unit);
    const usualMs = this.#usualMs(unit, request, nowMs);
    if (usualMs === undefined) return TIMEOUT_MAX_MS;
    const leastMs = request.kind === 'write' ? WRITE_TIMEOUT_MIN_MS : TIMEOUT_MIN_MS;
    const shortMs = Math.min(TIMEOUT_MAX_MS, Math.max(leastMs, TIMEOUT_TIMES * usualMs));
    const tries = unit.health.failures + 1;
    const isAlone = this.#isAlone(request.unit, nowMs);
    const isNew = !unit.cost.isKnown && !isAlone;
    if (isNew && tries >= FIRST_LONGEST && nowMs - this.#longestMs >= LONGEST_APART_MS)
      return FIRST_LONGEST_MS;
    if (unit.patience <= 1 || !this.#hasTime(request.unit, unit, nowMs)) return shortMs;
    const isShared = isNew || (!isAlone && tries % LONGEST_EVERY !== 0);
    return Math.min(isShared ? Math.max(shortMs, SHARED_MAX_MS) : TIMEOUT_MAX_MS, shortMs * unit.patience);
  }

  /** A whole answer came, refusals included. */
  answered(request: ModbusRequest, elapsedMs: number, nowMs: number, isValue: boolean): void {
    const unit = this.#at(request.unit);
    if (unit.health.isOpen) {
      const all = [...this.#units.values()].map(({ health }) => health);
      if (this.#isAlone(request.unit, nowMs)) lineBack(all, this.#budget, nowMs);
      else unitBack(unit.health, all);
    }
    unit.answeredMs = nowMs;
    unitAnswered(unit.health);
    if (!isValue || request.kind === 'write') return;
    // It came only because it was waited for longer than usual: the unit has become another.
    if (unit.patience > 1) unit.cost.forget();
    unit.patience = 1;
    unit.cost.learn(request.count, elapsedMs);
  }

  /** The unit did not answer, which took `costMs` of the line. True when nobody waited for the line meanwhile. */
  failed(
    unitId: number,
    fault: Fault,
    how: { readonly nowMs: number; readonly costMs: number; readonly chance: number },
  ): boolean {
    const unit = this.#at(unitId);
    if (this.#hasTime(unitId, unit, how.nowMs))
      unit.patience = Math.min(TIMEOUT_MAX_MS / TIMEOUT_MIN_MS, TIMEOUT_TIMES * unit.patience);
    unit.fault = fault;
    const isLongest = how.costMs >= FIRST_LONGEST_MS;
    if (isLongest) this.#longestMs = how.nowMs;
    const costMs = isLongest && !unit.cost.isKnown ? FIRST_LONGEST_PAID_MS : how.costMs;
    unitFailed(unit.health, this.#budget, { ...how, costMs });
    return this.#isAlone(unitId, how.nowMs);
  }

  /** Why this unit is left alone. */
  whyHeld(unit: number, waitMs: number): Fault {
    const { health, fault } = this.#at(unit);
    const detail = `unit ${unit} did not answer ${health.failures} times (${fault?.detail ?? ''})`;
    return new Fault(fault?.code ?? 'NET_TIMEOUT', `${detail}; next try in ${Math.ceil(waitMs)} ms`);
  }

  owes(unit: number, values: number): void {
    this.#at(unit).owed.add(values);
  }

  owesNothing(unit: number): void {
    this.#at(unit).owed.clear();
  }

  /** Whether no other unit answers: then nobody waits for this one. */
  #isAlone(unitId: number, nowMs: number): boolean {
    for (const [id, unit] of this.#units)
      if (id !== unitId && nowMs - unit.answeredMs < THERE_FOR_MS && !isDoubted(unit.health)) return false;
    return true;
  }

  /** Whether the next try may take longer than usual. */
  #hasTime(unitId: number, { health }: Unit, nowMs: number): boolean {
    return (health.failures + 1) % PATIENT_EVERY === 0 || this.#isAlone(unitId, nowMs);
  }

  /** Long enough that an answer which is late comes to nobody. */
  get silenceMs(): number {
    let slowestMs = 0;
    for (const { cost } of this.#units.values()) slowestMs = Math.max(slowestMs, cost.meanMs);
    return Math.min(TIMEOUT_MAX_MS, Math.max(QUARANTINE_MIN_MS, TIMEOUT_TIMES * slowestMs));
  }

  /** What an answer of this length takes this unit; of a unit never heard, what it takes the others. */
  #usualMs(unit: Unit, request: ModbusRequest, nowMs: number): number | undefined {
    const count = request.kind === 'read' ? request.count : 1;
    if (unit.cost.isKnown) return unit.cost.expectMs(count);
    let usualMs: number | undefined;
    for (const { cost, answeredMs } of this.#units.values())
      if (cost.isKnown && nowMs - answeredMs < THERE_FOR_MS)
        usualMs = Math.max(usualMs ?? NEW_TIMEOUT_MIN_MS / TIMEOUT_TIMES, cost.expectMs(count));
    return usualMs;
  }

  #at(unit: number): Unit {
    const known = this.#units.get(unit);
    if (known) return known;
    const made: Unit = {
      cost: new CostLearner(this.#prior),
      health: healthyUnit(),
      patience: 1,
      answeredMs: -Infinity,
      fault: undefined,
      owed: new Set(),
    };
    this.#units.set(unit, made);
    return made;
  }
}
