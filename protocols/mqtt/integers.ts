import { badMessage } from './bytes.ts';
import type { ByteReader, ByteWriter } from './bytes.ts';

/** Largest magnitude of a difference that is coded: its token, twice this and one, still is an exact double. */
const MOST_DIFFERENCE = 2 ** 52 - 1;

/** First byte of a list coded as tokens; every smaller value is a Rice parameter. */
const TOKENS = 0xff;
const MOST_RICE = 24;
/** Ones in front of a number too large for its Rice code, which then follows in 54 bits. */
const ESCAPE = 24;
const ESCAPED_BITS = 54;

const zigzag = (value: number): number => (value < 0 ? -2 * value - 1 : 2 * value);
function unzigzag(code: number): number {
  // The quick way for what fits an int32, which nearly everything does.
  if (code < 0x4000_0000) return (code >>> 1) ^ -(code & 1);
  return code % 2 === 1 ? -(code + 1) / 2 : code / 2;
}

function varintSize(value: number): number {
  let size = 1;
  for (let rest = value; rest >= 0x80; rest = Math.floor(rest / 0x80)) size += 1;
  return size;
}

/**
 * Writes integers that are mostly small (differences) in the shorter of two ways: tokens with run lengths of zero,
 * or Rice codes for noise. `count` of them must be known to the reader; |value| < 2^52.
 */
export function writeIntegers(writer: ByteWriter, values: Float64Array): void {
  const codes = new Float64Array(values.length);
  let sum = 0;
  for (let index = 0; index < values.length; index += 1) {
    const code = zigzag(values[index] ?? 0);
    codes[index] = code;
    sum += code;
  }
  const rice = bestRice(codes, sum / Math.max(1, codes.length));
  if (tokensSize(codes) <= Math.ceil(rice.bits / 8)) {
    writer.u8(TOKENS);
    writeTokens(writer, codes);
  } else {
    writer.u8(rice.parameter);
    writeRice(writer, codes, rice.parameter, rice.bits);
  }
}

/** Reads `count` integers that writeIntegers wrote; throws Fault BUS_MESSAGE. */
export function readIntegers(reader: ByteReader, count: number): Float64Array {
  const values = new Float64Array(count);
  const parameter = reader.u8();
  if (parameter === TOKENS) readTokens(reader, values);
  else if (parameter <= MOST_RICE) readRice(reader, values, parameter);
  else throw badMessage('an unknown list coding');
  return values;
}

/** Length of the run of zeros at `from`. */
function zerosAt(codes: Float64Array, from: number): number {
  let end = from;
  while (end < codes.length && codes[end] === 0) end += 1;
  return end - from;
}

function tokensSize(codes: Float64Array): number {
  let size = 0;
  for (let index = 0; index < codes.length; index += 1) {
    const zeros = zerosAt(codes, index);
    if (zeros >= 2) {
      size += 1 + varintSize(zeros - 2);
      index += zeros - 1;
    } else size += varintSize((codes[index] ?? 0) + 1);
  }
  return size;
}

// Token 0 and n: n + 2 zeros. Any other token t: the difference of zig-zag code t - 1.
function writeTokens(writer: ByteWriter, codes: Float64Array): void {
  for (let index = 0; index < codes.length; index += 1) {
    const zeros = zerosAt(codes, index);
    if (zeros >= 2) {
      writer.varint(0);
      writer.varint(zeros - 2);
      index += zeros - 1;
    } else writer.varint((codes[index] ?? 0) + 1);
  }
}

function readTokens(reader: ByteReader, values: Float64Array): void {
  for (let index = 0; index < values.length; index += 1) {
    const token = reader.varint(2 * MOST_DIFFERENCE + 1);
    if (token !== 0) values[index] = unzigzag(token - 1);
    else {
      const zeros = reader.varint(values.length) + 2;
      if (zeros > values.length - index) throw badMessage('a run is longer than its column');
      index += zeros - 1;
    }
  }
}

function bestRice(codes: Float64Array, mean: number): { parameter: number; bits: number } {
  const guess = mean < 1 ? 0 : Math.min(MOST_RICE, Math.floor(Math.log2(mean)));
  let best = { parameter: guess, bits: riceBits(codes, guess) };
  for (const parameter of [guess - 1, guess - 2]) {
    if (parameter < 0) break;
    const bits = riceBits(codes, parameter);
    if (bits >= best.bits) break;
    best = { parameter, bits };
  }
  return best;
}

function riceBits(codes: Float64Array, parameter: number): number {
  const divisor = 2 ** parameter;
  let bits = 0;
  for (const code of codes) {
    const quotient = Math.floor(code / divisor);
    bits += quotient < ESCAPE ? quotient + 1 + parameter : ESCAPE + ESCAPED_BITS;
  }
  return bits;
}

function writeRice(writer: ByteWriter, codes: Float64Array, parameter: number, bits: number): void {
  const bytes = writer.take(Math.ceil(bits / 8));
  let at = 0;
  let held = 0;
  let filled = 0;
  // At most 24 bits at a time, so that with up to 7 held ones they fit an int32.
  const put = (value: number, count: number): void => {
    held |= value << filled;
    filled += count;
    for (; filled >= 8; filled -= 8) {
      bytes[at] = held;
      at += 1;
      held >>>= 8;
    }
  };
  const divisor = 2 ** parameter;
  for (const code of codes) {
    const quotient = Math.floor(code / divisor);
    if (quotient < ESCAPE) {
      // The ones and the zero behind them.
      put(2 ** quotient - 1, quotient + 1);
      put(code - quotient * divisor, parameter);
    } else {
      put(2 ** ESCAPE - 1, ESCAPE);
      for (let rest = code, part = 0; part < 3; part += 1, rest = Math.floor(rest / 2 ** 18)) {
        put(rest % 2 ** 18, 18);
      }
    }
  }
  if (filled > 0) bytes[at] = held;
}

function readRice(reader: ByteReader, values: Float64Array, parameter: number): void {
  const bytes = reader.rest();
  let at = 0;
  let held = 0;
  let filled = 0;
  const fill = (count: number): void => {
    while (filled < count) {
      const byte = bytes[at];
      if (byte === undefined) throw badMessage('it ends early');
      held |= byte << filled;
      at += 1;
      filled += 8;
    }
  };
  const take = (count: number): number => {
    fill(count);
    const value = held & ((1 << count) - 1);
    held >>>= count;
    filled -= count;
    return value;
  };
  /** Counts ones up to the next zero, or ESCAPE of them. */
  const ones = (): number => {
    let count = 0;
    for (;;) {
      fill(1);
      const zeros = ~held;
      const run = Math.min(31 - Math.clz32(zeros & -zeros), filled, ESCAPE - count);
      held >>>= run;
      filled -= run;
      count += run;
      if (count === ESCAPE) return count;
      if (filled === 0) continue;
      held >>>= 1;
      filled -= 1;
      return count;
    }
  };
  for (let index = 0; index < values.length; index += 1) {
    const quotient = ones();
    const code =
      quotient < ESCAPE
        ? quotient * 2 ** parameter + take(parameter)
        : take(18) + take(18) * 2 ** 18 + take(18) * 2 ** 36;
    if (code > 2 * MOST_DIFFERENCE) throw badMessage('a difference is too large');
    values[index] = unzigzag(code);
  }
  reader.raw(at);
}
