import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { lookAt, lookAtTrip, makeRule } from '../../../../agent/core/permissive.ts';
import type { ProtectionState, Rule, Standing } from '../../../../agent/core/permissive.ts';

const rule = (changes: Partial<Rule> = {}): Rule => ({
  is: true,
  hysteresis: 0,
  delayMs: 5_000,
  returnMs: 10_000,
  unknownMs: 15_000,
  ...changes,
});

/** Values by second (undefined: no answer) to what each look said: g, l or u. */
function play(one: Rule, values: readonly (number | undefined)[]): string {
  const state = makeRule();
  let sample: { value: number; goodMs: number } | undefined;
  return values
    .map((value, second) => {
      if (value !== undefined) sample = { value, goodMs: second * 1_000 };
      return lookAt(one, state, sample, second * 1_000)[0];
    })
    .join('');
}

const times = (count: number, value: number | undefined): (number | undefined)[] =>
  Array.from({ length: count }, () => value);

describe('an input', () => {
  test('must be wrong for its delay before it counts, and right for its return', () => {
    expect(play(rule(), [1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, ...times(11, 1)])).toBe('gggggggggglllllllllllg');
    expect(play(rule({ delayMs: 0, returnMs: 0 }), [1, 0, 1])).toBe('glg');
  });

  test('with a bound returns only when it is better by its hysteresis', () => {
    const hot = rule({ is: undefined, max: 40, hysteresis: 3, delayMs: 0, returnMs: 0 });
    expect(play(hot, [40, 40.1, 39, 37.1, 37, 38])).toBe('glllgg');
    const flow = rule({ is: undefined, min: 100, hysteresis: 10, delayMs: 0, returnMs: 0 });
    expect(play(flow, [100, 99, 105, 110])).toBe('gllg');
  });

  test('is unknown before its first value and when it grows old; what was lost stays lost', () => {
    expect(play(rule({ unknownMs: 2_000 }), [undefined, 1, undefined, undefined, undefined, 1])).toBe(
      'ugggug',
    );
    const gone = rule({ unknownMs: 2_000, delayMs: 0 });
    expect(play(gone, [0, ...times(6, undefined)])).toBe('lllllll');
  });

  test('never counts as lost for a wrong value shorter than its delay', () => {
    fc.assert(
      fc.property(fc.array(fc.boolean(), { minLength: 1, maxLength: 60 }), (good) => {
        const said = play(rule(), good.map(Number));
        for (const [place, letter] of said.split('').entries())
          if (letter === 'l' && said[place - 1] !== 'l')
            expect(good.slice(Math.max(0, place - 5), place + 1)).toEqual(
              Array.from({ length: 6 }, () => false),
            );
      }),
    );
  });
});

describe('a trip', () => {
  const look = (state: ProtectionState, standing: Standing, nowMs: number, autoRelease = false) =>
    lookAtTrip(state, standing, { autoRelease, releaseMs: 60_000 }, nowMs, 1_000_000 + nowMs);

  test('holds after its return until a person permits the restart', () => {
    const state: ProtectionState = { latch: undefined, permitted: false };
    expect(look(state, 'good', 0)).toBe('clear');
    expect(look(state, 'lost', 1_000)).toBe('tripped');
    state.permitted = true;
    // Permitted while it is open: no permission.
    expect(look(state, 'lost', 2_000)).toBe('tripped');
    expect(look(state, 'good', 3_000)).toBe('waiting');
    expect(look(state, 'good', 900_000)).toBe('waiting');
    state.permitted = true;
    expect(look(state, 'good', 901_000)).toBe('clear');
    expect(state.latch).toBeUndefined();
  });

  test('releases itself where that is declared, when it has been back for its time without a break', () => {
    const state: ProtectionState = { latch: undefined, permitted: false };
    look(state, 'lost', 0, true);
    expect(look(state, 'good', 1_000, true)).toBe('waiting');
    expect(look(state, 'unknown', 50_000, true)).toBe('waiting');
    expect(look(state, 'good', 60_500, true)).toBe('waiting');
    expect(look(state, 'good', 120_000, true)).toBe('waiting');
    expect(look(state, 'good', 120_500, true)).toBe('clear');
  });
});
