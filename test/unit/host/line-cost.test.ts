import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { CostLearner, NETWORK_COST, serialCost } from '../../../host/line-cost.ts';
import { seededRandom } from '../../../host/random.ts';

describe('what reads of a unit take', () => {
  it('is what the line’s speed says before anything was learnt', () => {
    const prior = serialCost(10 / 38.4);
    const learner = new CostLearner(prior);
    expect(learner.cost).toEqual(prior);
    // 112 registers at 38,400 baud take 74 ms with a turnaround of 10 ms, 114 ms with 50 ms.
    expect(learner.expectMs(112)).toBeGreaterThan(74);
    expect(learner.expectMs(112)).toBeLessThan(114);
  });

  it('comes from its answers: turnaround and time per register, within a tenth, whatever they are', () => {
    fc.assert(
      fc.property(
        fc.double({ min: 2, max: 80, noNaN: true }),
        fc.double({ min: 0.01, max: 2.2, noNaN: true }),
        fc.integer(),
        (requestMs, registerMs, seed) => {
          const random = seededRandom(seed);
          const learner = new CostLearner(NETWORK_COST);
          for (let turn = 0; turn < 60; turn += 1) {
            const count = [4, 40, 100][turn % 3] ?? 4;
            learner.learn(count, requestMs + registerMs * count + random.next() * 0.5);
          }
          for (const count of [4, 40, 100]) {
            const truth = requestMs + registerMs * count;
            expect(Math.abs(learner.expectMs(count) - truth)).toBeLessThan(0.1 * truth + 0.5);
          }
        },
      ),
    );
  });

  it('is not thrown off by single answers that hang', () => {
    const learner = new CostLearner(NETWORK_COST);
    for (let turn = 0; turn < 200; turn += 1) {
      const count = turn % 2 === 0 ? 10 : 60;
      learner.learn(count, turn % 20 === 19 ? 2_000 : 20 + 0.5 * count);
    }
    expect(learner.expectMs(10)).toBeLessThan(40);
    expect(learner.expectMs(60)).toBeLessThan(80);
  });

  it('keeps the slope of the line where all reads are of one length', () => {
    const prior = serialCost(10 / 9.6);
    const learner = new CostLearner(prior);
    for (let turn = 0; turn < 50; turn += 1) learner.learn(20, 90);
    expect(learner.cost.registerMs).toBeCloseTo(prior.registerMs, 5);
    expect(learner.expectMs(20)).toBeCloseTo(90, 3);
  });

  it('never is negative', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.integer({ min: 1, max: 125 }), fc.double({ min: 0, max: 3_000, noNaN: true }))),
        (samples) => {
          const learner = new CostLearner(NETWORK_COST);
          for (const [count, ms] of samples) learner.learn(count, ms);
          expect(learner.cost.requestMs).toBeGreaterThanOrEqual(0);
          expect(learner.cost.registerMs).toBeGreaterThanOrEqual(0);
        },
      ),
    );
  });
});
