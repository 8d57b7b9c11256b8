import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { planBlocks, planMs } from '../../../../agent/drivers/modbus-plan.ts';
import { pointsOf, spansOf } from '../../../../agent/drivers/modbus-points.ts';
import type { Span } from '../../../../agent/drivers/modbus-points.ts';
import { meterProfile } from '../../../../config/meters.ts';
import { NETWORK_COST, serialCost } from '../../../../host/line-cost.ts';
import type { ReadCost } from '../../../../host/line-cost.ts';

type Limits = Parameters<typeof planBlocks>[1];

const anyLimits: fc.Arbitrary<Limits> = fc.record(
  {
    maxRegisters: fc.integer({ min: 8, max: 40 }),
    evenCount: fc.boolean(),
    maxGap: fc.nat(20),
    barriers: fc.array(fc.nat(100), { maxLength: 2 }),
  },
  { requiredKeys: ['maxRegisters', 'evenCount', 'maxGap', 'barriers'] },
);
const anySpans = fc
  .array(fc.tuple(fc.nat(90), fc.integer({ min: 1, max: 8 })), { minLength: 1, maxLength: 7 })
  .map((places) => places.map(([from, length]): Span => ({ from, to: from + length, points: [] })));
const anyCost: fc.Arbitrary<ReadCost> = fc.record({
  requestMs: fc.double({ min: 0.1, max: 100, noNaN: true }),
  registerMs: fc.double({ min: 0.001, max: 3, noNaN: true }),
});

/** What one read of these takes; undefined when the device would refuse it, or it passes a barrier. */
function readMs(
  spans: readonly Span[],
  limits: Limits,
  refused: readonly number[],
  cost: ReadCost,
): number | undefined {
  const from = Math.min(...spans.map((span) => span.from));
  const to = Math.max(...spans.map((span) => span.to));
  const count = to - from + (limits.evenCount ? (to - from) % 2 : 0);
  if (spans.length > 1) {
    if (count > limits.maxRegisters) return undefined;
    const sorted = spans.toSorted((a, b) => a.from - b.from);
    for (const [index, span] of sorted.entries()) {
      if (index === 0) continue;
      const end = Math.max(...sorted.slice(0, index).map((one) => one.to));
      if (span.from - end > limits.maxGap || refused.includes(span.from)) return undefined;
      if (limits.barriers?.some((wall) => end <= wall && wall <= span.from)) return undefined;
    }
  }
  return cost.requestMs + count * cost.registerMs;
}

/** The least that any way of sharing the spans among reads takes. */
function leastMs(
  spans: readonly Span[],
  read: (group: readonly Span[]) => number | undefined,
  groups: readonly (readonly Span[])[] = [],
): number {
  const [first, ...others] = spans;
  if (!first) return groups.reduce((sum, group) => sum + (read(group) ?? Infinity), 0);
  const joined = groups.map((group, at) =>
    leastMs(
      others,
      read,
      groups.map((one, place) => (place === at ? [...group, first] : one)),
    ),
  );
  return Math.min(...joined, leastMs(others, read, [...groups, [first]]));
}

describe('a read plan', () => {
  it('takes as little time as any other way to read the same, within a hundredth', () => {
    fc.assert(
      fc.property(
        anySpans,
        anyLimits,
        fc.array(fc.nat(90), { maxLength: 2 }),
        anyCost,
        (spans, limits, refused, cost) => {
          const plan = planBlocks(spans, limits, new Set(refused), cost);
          const read = (group: readonly Span[]): number | undefined => readMs(group, limits, refused, cost);
          for (const block of plan) expect(read(block.spans)).toBeDefined();
          expect(plan.flatMap((block) => block.spans).length).toBe(spans.length);
          // A refused span within another one is read alone, and its neighbours in order are not joined over it.
          const isNested = refused.some(
            (at) => spans.filter(({ from, to }) => from <= at && at < to).length > 1,
          );
          if (isNested) return;
          // A hundredth, and what sums of numbers round.
          expect(planMs(plan, cost)).toBeLessThanOrEqual((1.01 + 1e-9) * leastMs(spans, read));
        },
      ),
      { numRuns: 150 },
    );
  });

  it('is another on a slow line than on a network, from the same profile', () => {
    const profile = meterProfile('eastron-sdm630');
    const spans = spansOf(pointsOf(profile, undefined, 0), profile.atomic);
    const count = (cost: ReadCost): number => planBlocks(spans, profile.limits, new Set(), cost).length;
    const slow = { ...serialCost(10 / 2.4), requestMs: 60 };
    expect(count(slow)).toBeGreaterThan(count(NETWORK_COST));
  });

  it.each([
    'schneider-pm5xxx',
    'janitza-umg-19000',
    'janitza-umg604-1317',
    'siemens-pac2200',
    'siemens-pac3200-4200',
    'sunspec-203',
    'sunspec-213',
  ])('of what control needs from %s is one request', (id) => {
    const profile = meterProfile(id);
    const fast = pointsOf(profile, undefined, 0).filter((point) => point.class === 'fast');
    const spans = spansOf(fast, profile.atomic);
    expect(planBlocks(spans, profile.limits, new Set(), NETWORK_COST)).toHaveLength(1);
  });
});
