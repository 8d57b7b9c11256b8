import { describe, expect, it } from 'vitest';

import {
  fullBudget,
  healthyUnit,
  isDoubted,
  unitAnswered,
  unitFailed,
  waitOf,
} from '../../../host/line-breaker.ts';
import { seededRandom } from '../../../host/random.ts';

/** Tries a dead unit whenever it may be, every 50 ms at most; the tries' times, ms, each of which took `costMs`. */
function triesOf(
  costMs: number,
  { untilMs = 600_000, isAlone = false } = {},
): { triesMs: number[]; spentMs: number } {
  const random = seededRandom(3);
  const unit = healthyUnit();
  const budget = fullBudget(0);
  const triesMs: number[] = [];
  let nowMs = 0;
  while (nowMs < untilMs) {
    if (waitOf(unit, budget, isAlone, nowMs) > 0) {
      nowMs += 50;
      continue;
    }
    triesMs.push(nowMs);
    nowMs += costMs;
    unitFailed(unit, budget, { nowMs, costMs, chance: random.next() });
  }
  return { triesMs, spentMs: triesMs.length * costMs };
}

describe('a unit that does not answer', () => {
  it('is asked again after one lost answer, and left alone after two failures and three seconds', () => {
    const unit = healthyUnit();
    const budget = fullBudget(0);
    unitFailed(unit, budget, { nowMs: 100, costMs: 100, chance: 0.5 });
    expect(isDoubted(unit)).toBe(false);
    expect(waitOf(unit, budget, false, 100)).toBe(0);
    unitFailed(unit, budget, { nowMs: 600, costMs: 100, chance: 0.5 });
    expect(waitOf(unit, budget, false, 600)).toBe(0);
    expect(unit.isOpen).toBe(false);
    unitFailed(unit, budget, { nowMs: 3_100, costMs: 100, chance: 0.5 });
    expect(unit.isOpen).toBe(true);
    expect(waitOf(unit, budget, false, 3_100)).toBeGreaterThan(1_400);
    unitAnswered(unit);
    expect(waitOf(unit, budget, false, 3_100)).toBe(0);
  });

  it('is tried further and further apart, at least once a minute', () => {
    const { triesMs } = triesOf(20);
    const gaps = triesMs.slice(1).map((ms, at) => ms - (triesMs[at] ?? 0));
    expect(Math.max(...gaps)).toBeLessThanOrEqual(60_100);
    expect(gaps.at(-1)).toBeGreaterThan(40_000);
  });

  it.each([20, 100, 400, 1_000, 6_000])('with tries of %d ms takes a twentieth of the line', (costMs) => {
    const { spentMs } = triesOf(costMs);
    // What the last try costs is known only behind it.
    expect(spentMs - costMs).toBeLessThanOrEqual(0.05 * 600_000);
  });

  it('is asked as often as anyone likes where nobody waits for the line', () => {
    const { triesMs } = triesOf(100, { isAlone: true, untilMs: 6_000 });
    expect(triesMs).toHaveLength(60);
  });
});
