import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { FAULTS, sentence, withNext } from '../../../protocols/faults.ts';

const codes = Object.entries(FAULTS);

test.each(codes)('%s reads as two sentences, each with one end', (_code, { cause, next }) => {
  for (const what of [cause, `${cause}.`, `${cause} (NET_TIMEOUT: no answer.)`, `x: ${cause}. `]) {
    const text = withNext(what, next);
    expect(text).not.toMatch(/\.\.|\. \.|[.!?…] *\./u);
    expect(text.match(/[.!?…)] Next: /gu)).toHaveLength(1);
    expect(text).toMatch(/[.!?…]$/u);
  }
});

test('a sentence stays what it is, and nothing else gets two ends', () => {
  expect(['done', 'done.', 'done. ', 'done..', 'really?', 'and so on…', 'of 3.5 kW'].map(sentence)).toEqual([
    'done.',
    'done.',
    'done.',
    'done.',
    'really?',
    'and so on…',
    'of 3.5 kW.',
  ]);
  fc.assert(
    fc.property(fc.string(), (text) => {
      expect(sentence(sentence(text))).toBe(sentence(text));
    }),
  );
});
