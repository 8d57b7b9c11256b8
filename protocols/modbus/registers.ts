/**
 * Numbers in 16-bit registers: types, word order, invalid markers. Iskra's: T5 and T6 are a signed power of ten (high
 * byte) and a mantissa of 24 bits, without and with sign; T7 is a power factor, 0xFF in the high byte for export, and
 * ten-thousandths in the low word.
 */

export const REGISTER_TYPES = [
  'int16',
  'uint16',
  'int32',
  'uint32',
  'int64',
  'uint64',
  'float32',
  'float64',
  'iskraT5',
  'iskraT6',
  'iskraT7',
] as const;
export type RegisterType = (typeof REGISTER_TYPES)[number];

/** Which word of a number comes first on the wire: `msw` most significant, `lsw` least. */
export type WordOrder = 'msw' | 'lsw';

const WORDS: Readonly<Record<RegisterType, 1 | 2 | 4>> = {
  int16: 1,
  uint16: 1,
  int32: 2,
  uint32: 2,
  float32: 2,
  iskraT5: 2,
  iskraT6: 2,
  iskraT7: 2,
  int64: 4,
  uint64: 4,
  float64: 4,
};

/** How many registers a number of this type takes. */
export function wordsOf(type: RegisterType): 1 | 2 | 4 {
  return WORDS[type];
}

/** How a number stands in registers. `invalid`: bit patterns (all words, as one unsigned number) that mean "no value". */
export interface RegisterFormat {
  readonly type: RegisterType;
  readonly wordOrder: WordOrder;
  readonly scale: number;
  readonly invalid: readonly bigint[];
}

/** A scaled number, or why there is none. `short`: the registers end before it does. */
export type DecodedNumber =
  | { readonly ok: true; readonly value: number }
  | { readonly ok: false; readonly why: 'invalid-marker' | 'not-finite' | 'beyond-exact' | 'short' };

const scratch = new DataView(new ArrayBuffer(8));

/** The number at `offset`, scaled. Never throws. */
export function decodeNumber(
  registers: ArrayLike<number>,
  offset: number,
  format: RegisterFormat,
): DecodedNumber {
  const words = WORDS[format.type];
  if (offset < 0 || offset + words > registers.length) return { ok: false, why: 'short' };
  for (let index = 0; index < words; index += 1) {
    const at = format.wordOrder === 'msw' ? index : words - 1 - index;
    scratch.setUint16(2 * at, registers[offset + index] ?? 0);
  }
  if (format.invalid.length > 0 && format.invalid.includes(bitsOf(words))) {
    return { ok: false, why: 'invalid-marker' };
  }
  const raw = rawOf(format.type);
  if (!Number.isFinite(raw)) return { ok: false, why: 'not-finite' };
  if (words === 4 && format.type !== 'float64' && !Number.isSafeInteger(raw)) {
    return { ok: false, why: 'beyond-exact' };
  }
  const value = raw * format.scale;
  return Number.isFinite(value) ? { ok: true, value } : { ok: false, why: 'not-finite' };
}

function bitsOf(words: 1 | 2 | 4): bigint {
  if (words === 1) return BigInt(scratch.getUint16(0));
  return words === 2 ? BigInt(scratch.getUint32(0)) : scratch.getBigUint64(0);
}

function rawOf(type: RegisterType): number {
  switch (type) {
    case 'int16':
      return scratch.getInt16(0);
    case 'uint16':
      return scratch.getUint16(0);
    case 'int32':
      return scratch.getInt32(0);
    case 'uint32':
      return scratch.getUint32(0);
    case 'float32':
      return scratch.getFloat32(0);
    case 'float64':
      return scratch.getFloat64(0);
    case 'int64':
      return Number(scratch.getBigInt64(0));
    case 'iskraT5':
      return (scratch.getUint32(0) & 0xff_ffff) * 10 ** scratch.getInt8(0);
    case 'iskraT6':
      return ((scratch.getInt32(0) << 8) >> 8) * 10 ** scratch.getInt8(0);
    case 'iskraT7':
      return ((scratch.getUint8(0) === 0 ? 1 : -1) * scratch.getUint16(2)) / 10_000;
    default:
      return Number(scratch.getBigUint64(0));
  }
}

/** The registers of a raw (unscaled) number; integers are rounded and held to the range of their type. */
export function encodeNumber(raw: number, type: RegisterType, wordOrder: WordOrder = 'msw'): Uint16Array {
  const words = WORDS[type];
  const registers = new Uint16Array(words);
  switch (type) {
    case 'float32':
      scratch.setFloat32(0, raw);
      break;
    case 'float64':
      scratch.setFloat64(0, raw);
      break;
    case 'iskraT5':
    case 'iskraT6':
      putExponential(raw, type === 'iskraT5' ? 0xff_ffff : 0x7f_ffff);
      break;
    case 'iskraT7':
      scratch.setUint16(0, raw < 0 ? 0xff00 : 0);
      scratch.setUint16(2, Math.min(10_000, Math.round(Math.abs(raw) * 10_000)));
      break;
    case 'int64':
    case 'uint64':
      scratch.setBigInt64(0, BigInt(clampInteger(raw, type)));
      break;
    default: {
      const whole = clampInteger(raw, type);
      if (words === 1) scratch.setInt16(0, whole);
      else scratch.setInt32(0, whole);
    }
  }
  for (let index = 0; index < words; index += 1)
    registers[index] = scratch.getUint16(2 * (wordOrder === 'msw' ? index : words - 1 - index));
  return registers;
}

/** The mantissa as large as it can be: the most digits. */
function putExponential(raw: number, most: number): void {
  const held = Number.isFinite(raw) && (raw > 0 || most === 0x7f_ffff) ? raw : 0;
  let exponent = -6;
  while (Math.abs(Math.round(held / 10 ** exponent)) > most) exponent += 1;
  scratch.setInt32(0, Math.round(held / 10 ** exponent) & 0xff_ffff);
  scratch.setInt8(0, exponent);
}

function clampInteger(
  raw: number,
  type: 'int16' | 'uint16' | 'int32' | 'uint32' | 'int64' | 'uint64',
): number {
  const signed = type.startsWith('int');
  const bits = 16 * WORDS[type];
  // 64-bit values are held to what a number counts exactly.
  const most = bits === 64 ? Number.MAX_SAFE_INTEGER : 2 ** (signed ? bits - 1 : bits) - 1;
  const least = signed ? -most - (bits === 64 ? 0 : 1) : 0;
  const whole = Number.isNaN(raw) ? 0 : Math.round(raw);
  return Math.min(most, Math.max(least, whole));
}
