import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import {
  decodeNumber,
  encodeNumber,
  REGISTER_TYPES,
  wordsOf,
} from '../../../../protocols/modbus/registers.ts';
import type { RegisterType, WordOrder } from '../../../../protocols/modbus/registers.ts';

const decode = (
  words: readonly number[],
  type: RegisterType,
  wordOrder: WordOrder = 'msw',
  invalid: bigint[] = [],
) => decodeNumber(words, 0, { type, wordOrder, scale: 1, invalid });

describe('numbers in registers', () => {
  it.each<[RegisterType, readonly number[], number]>([
    ['int16', [0xfffe], -2],
    ['uint16', [0xfffe], 65_534],
    ['int32', [0xffff, 0xfffe], -2],
    ['uint32', [0x0001, 0x0000], 65_536],
    ['float32', [0x42f6, 0xe979], 123.456],
    ['float64', [0x405e, 0xdd2f, 0x1a9f, 0xbe77], 123.456],
    ['int64', [0xffff, 0xffff, 0xffff, 0xfffe], -2],
    ['uint64', [0, 1, 0, 0], 2 ** 32],
    ['iskraT5', [0xfe00, 23_015], 230.15],
    ['iskraT6', [0xffed, 0x2979], -123_456.7],
    ['iskraT7', [0xff00, 9_850], -0.985],
  ])('%s', (type, words, value) => {
    const msw = decode(words, type);
    expect(msw.ok && msw.value).toBeCloseTo(value, 4);
    const lsw = decode(words.toReversed(), type, 'lsw');
    expect(lsw.ok && lsw.value).toBeCloseTo(value, 4);
  });

  it('scales', () => {
    expect(decodeNumber([0, 150], 0, { type: 'int32', wordOrder: 'msw', scale: 0.1, invalid: [] })).toEqual({
      ok: true,
      value: 15,
    });
  });

  it('has no value where the meter says so, where a float is none, and where registers end', () => {
    expect(decode([0x8000], 'int16', 'msw', [0x8000n])).toEqual({ ok: false, why: 'invalid-marker' });
    expect(decode([0xffff, 0xffff, 0xffff, 0xffff], 'uint64', 'lsw', [0xffffffffffffffffn])).toMatchObject({
      why: 'invalid-marker',
    });
    expect(decode([0x7fff, 0xffff], 'int32', 'msw', [0x7fffffffn])).toMatchObject({ why: 'invalid-marker' });
    expect(decode([0xffc0, 0], 'float32')).toMatchObject({ why: 'not-finite' });
    expect(decode([0x7f80, 0], 'float32')).toMatchObject({ why: 'not-finite' });
    expect(decode([0x7fff, 0xffff, 0xffff, 0xffff], 'int64')).toMatchObject({ why: 'beyond-exact' });
    expect(decode([1], 'float32')).toMatchObject({ why: 'short' });
    expect(
      decodeNumber([1, 2], -1, { type: 'int16', wordOrder: 'msw', scale: 1, invalid: [] }),
    ).toMatchObject({ why: 'short' });
  });

  it('gives back what was put in', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...REGISTER_TYPES),
        fc.constantFrom<WordOrder>('msw', 'lsw'),
        fc.integer({ min: 0, max: 32_767 }),
        (type, order, whole) => {
          // A power factor holds no more than 1.
          const value = type === 'iskraT7' ? (whole % 10_001) / 10_000 : whole;
          const words = encodeNumber(value, type, order);
          expect(words.length).toBe(wordsOf(type));
          const decoded = decodeNumber(words, 0, { type, wordOrder: order, scale: 1, invalid: [] });
          // A mantissa times a power of ten is off by what doubles are.
          expect(decoded.ok && Math.abs(decoded.value - value)).toBeLessThanOrEqual(
            type.startsWith('iskra') ? 1e-9 : 0,
          );
        },
      ),
    );
  });

  it('holds integers to their range', () => {
    expect(encodeNumber(1e9, 'int16')).toEqual(Uint16Array.of(0x7fff));
    expect(encodeNumber(-1, 'uint16')).toEqual(Uint16Array.of(0));
    expect(encodeNumber(-1e12, 'int32')).toEqual(Uint16Array.of(0x8000, 0));
    expect(encodeNumber(4_294_967_295, 'uint32')).toEqual(Uint16Array.of(0xffff, 0xffff));
  });
});
