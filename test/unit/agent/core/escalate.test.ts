import { expect, test } from 'vitest';
import { isInPlaceOfRest, leastLimitW } from '../../../../agent/core/escalate.ts';
import { loadModel } from '../../../../config/models.ts';
import { PLAIN_VERB } from '../../../../protocols/verb-facts.ts';
import { gpuHost } from './toys.ts';

const levels = loadModel('antminer-s19k-pro-luxos');
const oneLevel = loadModel('antminer-s21');
const LIMIT = { ...PLAIN_VERB, grain: { by: 'watts', stepW: 1, leastW: 900 }, source: 'a toy' } as const;

test.each([
  ['its lowest level, within what the firmware takes', levels, LIMIT, 2_800, 900],
  ['its lowest level', levels, { ...LIMIT, grain: { by: 'list' } as const }, 2_800, 784],
  ['none where it would restart mining', levels, { ...LIMIT, restartsMining: true }, 2_800, undefined],
  ['none that would not bring the draw down', levels, LIMIT, 950, undefined],
  ['from its rating where its draw is not known', levels, LIMIT, undefined, 900],
  ['none for a firmware without limits', levels, undefined, 2_800, undefined],
  ['none for a model with one level', oneLevel, LIMIT, 3_500, undefined],
  ['none for a GPU host', gpuHost(), LIMIT, 9_000, undefined],
])('another way than rest: %s', (_name, model, facts, drawnW, expected) => {
  expect(leastLimitW(model, facts, drawnW, undefined)).toBe(expected);
});

test('a limit that is as low or lower is neither raised nor written again', () => {
  for (const drawnW of [undefined, 2_800]) {
    expect(leastLimitW(levels, LIMIT, drawnW, 850)).toBeUndefined();
    expect(leastLimitW(levels, LIMIT, drawnW, 900)).toBeUndefined();
    expect(leastLimitW(levels, LIMIT, drawnW, 1_000)).toBe(900);
  }
});

test('a limit for a machine that works stands in for nothing', () => {
  expect(isInPlaceOfRest({ verb: 'power-limit', mode: 'sleep' })).toBe(true);
  expect(isInPlaceOfRest({ verb: 'power-limit', mode: 'mine' })).toBe(false);
  expect(isInPlaceOfRest({ verb: 'sleep', mode: 'sleep' })).toBe(false);
});
