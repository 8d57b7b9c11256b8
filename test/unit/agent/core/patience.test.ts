import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { noteTime, patienceMs } from '../../../../agent/core/patience.ts';
import type { LearnedTimes } from '../../../../agent/core/patience.ts';

const KIND = { model: 'm', firmware: '1.0', verb: 'sleep' };
const DECLARED_MS = 60_000;
const PLAIN = { pollMs: 2_000, restartsMining: false };

function learned(samples: readonly number[]): LearnedTimes {
  const times: LearnedTimes = new Map();
  for (const ms of samples) noteTime(times, KIND, ms);
  return times;
}
const many = (ms: number, count = 8): number[] => Array.from({ length: count }, () => ms);

describe('how long to wait', () => {
  test('is as declared until enough was seen', () => {
    expect(patienceMs(learned(many(1_000, 7)), KIND, DECLARED_MS, PLAIN)).toBe(DECLARED_MS);
    expect(patienceMs(learned(many(1_000)), undefined, DECLARED_MS, PLAIN)).toBe(DECLARED_MS);
  });

  test('is what was seen, with room', () => {
    expect(patienceMs(learned(many(40_000)), KIND, DECLARED_MS, PLAIN)).toBe(64_000);
    expect(patienceMs(learned(many(24_000)), KIND, DECLARED_MS, PLAIN)).toBe(40_000);
  });

  test('is not less than half of what is declared, and for what restarts mining not less at all', () => {
    expect(patienceMs(learned(many(1_000)), KIND, DECLARED_MS, PLAIN)).toBe(30_000);
    expect(patienceMs(learned(many(1_000)), KIND, DECLARED_MS, { ...PLAIN, restartsMining: true })).toBe(
      DECLARED_MS,
    );
  });

  test('starts anew with another firmware', () => {
    const times = learned(many(40_000));
    expect(patienceMs(times, { ...KIND, firmware: '1.1' }, DECLARED_MS, PLAIN)).toBe(DECLARED_MS);
  });

  test('one that was stuck among many does not stretch it', () => {
    const times = learned([...many(20_000, 31), 3_000_000]);
    expect(patienceMs(times, KIND, DECLARED_MS, PLAIN)).toBe(34_000);
  });

  test('is bounded whatever was seen, and so is the memory', () => {
    fc.assert(
      fc.property(fc.array(fc.double(), { maxLength: 100 }), fc.boolean(), (samples, restartsMining) => {
        const times = learned(samples);
        const ms = patienceMs(times, KIND, DECLARED_MS, { ...PLAIN, restartsMining });
        expect(ms).toBeGreaterThanOrEqual(restartsMining ? DECLARED_MS : DECLARED_MS / 2);
        expect(ms).toBeLessThanOrEqual(4 * DECLARED_MS);
        expect(times.get(JSON.stringify(['m', '1.0', 'sleep']))?.length ?? 0).toBeLessThanOrEqual(32);
      }),
    );
    const times: LearnedTimes = new Map();
    for (let at = 0; at < 2_000; at += 1) noteTime(times, { ...KIND, model: `m${at}` }, 1_000);
    expect(times.size).toBe(500);
  });
});
