import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { nextStartMs, takeNext, URGENCIES } from '../../../host/line-queue.ts';
import type { Waiting } from '../../../host/line-queue.ts';

const anyWaiting = fc.record({
  urgency: fc.constantFrom(...URGENCIES),
  deadlineMs: fc.nat(1_000),
  sinceMs: fc.constant(0),
  notBeforeMs: fc.constantFrom(0, 50, 500),
});

describe('who is asked next on a line', () => {
  it('is the most urgent class, in it the earliest deadline, among equals the first that came', () => {
    fc.assert(
      fc.property(fc.array(anyWaiting, { maxLength: 40 }), fc.constantFrom(0, 100, 600), (all, nowMs) => {
        const rank = (one: Waiting): readonly number[] => [URGENCIES.indexOf(one.urgency), one.deadlineMs];
        const may = all.filter(({ notBeforeMs }) => notBeforeMs <= nowMs);
        const [expected] = may.toSorted((a, b) => {
          const [urgency = 0, deadlineMs = 0] = rank(a);
          const [otherUrgency = 0, otherMs = 0] = rank(b);
          return urgency - otherUrgency || deadlineMs - otherMs;
        });
        const queue = [...all];
        expect(takeNext(queue, nowMs)).toBe(expected);
        expect(queue).toHaveLength(all.length - (expected ? 1 : 0));
      }),
    );
  });

  it('is in the end what less urgent things have waited for too long', () => {
    const fast = { urgency: 'fast', deadlineMs: 9_000, sinceMs: 4_900, notBeforeMs: 0 } as const;
    const slow = { urgency: 'slow', deadlineMs: 8_000, sinceMs: 0, notBeforeMs: 0 } as const;
    expect(takeNext([fast, slow], 4_999)).toBe(fast);
    expect(takeNext([fast, slow], 5_000)).toBe(slow);
    const control = { ...fast, urgency: 'control' } as const;
    expect(takeNext([slow, control], 6_000)).toBe(control);
  });

  it('waits until the first of what must wait may be asked', () => {
    const one = { urgency: 'fast', deadlineMs: 900, sinceMs: 0 } as const;
    const queue = [
      { ...one, notBeforeMs: 300 },
      { ...one, notBeforeMs: 200 },
    ];
    expect(takeNext(queue, 100)).toBeUndefined();
    expect(nextStartMs(queue)).toBe(200);
    expect(nextStartMs([])).toBeUndefined();
  });
});
