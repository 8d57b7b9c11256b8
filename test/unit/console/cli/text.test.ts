import * as fc from 'fast-check';
import { expect, test } from 'vitest';

import { fit, plain, plainJson } from '../../../../console/cli/text.ts';

/** Control, format and separator characters, by number: C0, C1, direction, zero width, byte order mark. */
const OBEYED: readonly (readonly [number, number])[] = [
  [0, 0x1f],
  [0x7f, 0x9f],
  [0x200b, 0x200f],
  [0x2028, 0x202e],
  [0x2060, 0x206f],
  [0xfeff, 0xfeff],
];
const isObeyed = (text: string): boolean =>
  Array.from(text).some((char) =>
    OBEYED.some(([from, to]) => (char.codePointAt(0) ?? 0) >= from && (char.codePointAt(0) ?? 0) <= to),
  );

test.each([
  ['a colour', '\u001B[31mred', '·[31mred'],
  ['a title', '\u001B]0;owned\u0007x', '·]0;owned·x'],
  ['the one-character introducer', '\u009B2Jx', '·2Jx'],
  ['a new line', 'a\r\nb', 'a··b'],
  ['text turned around', 'abc\u202Edcba', 'abc·dcba'],
  ['hidden characters', 'a\u200Bb\uFEFF', 'a·b·'],
  ['half a character', 'a\uD800b', 'a·b'],
])('%s does nothing to a terminal', (_name, text, shown) => {
  expect(plain(text)).toBe(shown);
});

test('nothing a terminal obeys passes, and lengths are bounded', () => {
  fc.assert(
    fc.property(
      fc.string({ unit: 'binary', maxLength: 60 }),
      fc.integer({ min: 1, max: 40 }),
      (text, width) => {
        expect(isObeyed(plain(text, width))).toBe(false);
        expect(Array.from(fit(text, width))).toHaveLength(width);
      },
    ),
  );
});

test('JSON stays the same value and holds nothing a terminal obeys', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 40 }), (text) => {
      const line = plainJson({ text });
      expect(isObeyed(line)).toBe(false);
      expect(JSON.parse(line)).toEqual({ text });
    }),
    { numRuns: 60 },
  );
});
