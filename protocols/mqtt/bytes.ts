import { Fault } from '../faults.ts';

const textEncoder = new TextEncoder();
const textDecoder = new TextDecoder('utf-8', { fatal: true });

/** Grows as it is written; little-endian; varints are LEB128 of unsigned integers up to 2^53. */
export class ByteWriter {
  #bytes = new Uint8Array(1_024);
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** Begins anew in the same memory: what `view` and `take` gave is overwritten. */
  clear(): void {
    this.#size = 0;
  }

  u8(value: number): void {
    this.#room(1);
    this.#bytes[this.#size] = value;
    this.#size += 1;
  }

  u32(value: number): void {
    for (let shift = 0; shift < 32; shift += 8) this.u8((value >>> shift) & 0xff);
  }

  /** A time in ms: 6 bytes, unsigned. */
  u48(value: number): void {
    this.u32(value % 0x1_0000_0000);
    const high = Math.floor(value / 0x1_0000_0000);
    this.u8(high & 0xff);
    this.u8((high >>> 8) & 0xff);
  }

  varint(value: number): void {
    let rest = value;
    while (rest >= 0x80) {
      this.u8((rest % 0x80) | 0x80);
      rest = Math.floor(rest / 0x80);
    }
    this.u8(rest);
  }

  text(value: string): void {
    const start = this.#size;
    this.varint(value.length);
    // Nearly every text is a short id in ASCII, for which the encoder costs more than the text.
    for (let at = 0; at < value.length; at += 1) {
      const code = value.charCodeAt(at);
      if (code >= 0x80) {
        this.#size = start;
        const bytes = textEncoder.encode(value);
        this.varint(bytes.length);
        this.raw(bytes);
        return;
      }
      this.u8(code);
    }
  }

  raw(bytes: Uint8Array): void {
    this.#room(bytes.length);
    this.#bytes.set(bytes, this.#size);
    this.#size += bytes.length;
  }

  /** `count` bytes at the end, to be filled by the caller. */
  take(count: number): Uint8Array {
    this.#room(count);
    this.#size += count;
    return this.#bytes.subarray(this.#size - count, this.#size);
  }

  /** What was written so far, as a view of the same memory. */
  view(): Uint8Array {
    return this.#bytes.subarray(0, this.#size);
  }

  /** What was written so far, copied. */
  done(): Uint8Array {
    return this.#bytes.slice(0, this.#size);
  }

  #room(count: number): void {
    if (this.#size + count <= this.#bytes.length) return;
    const grown = new Uint8Array(Math.max(this.#bytes.length * 2, this.#size + count));
    grown.set(this.view());
    this.#bytes = grown;
  }
}

/** Reads what ByteWriter wrote; every method throws Fault BUS_MESSAGE at the end of the bytes or at a bad value. */
export class ByteReader {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get left(): number {
    return this.#bytes.length - this.#at;
  }

  u8(): number {
    const byte = this.#bytes[this.#at];
    if (byte === undefined) throw badMessage('it ends early');
    this.#at += 1;
    return byte;
  }

  u32(): number {
    return (this.u8() | (this.u8() << 8) | (this.u8() << 16) | (this.u8() << 24)) >>> 0;
  }

  u48(): number {
    const low = this.u32();
    return low + (this.u8() | (this.u8() << 8)) * 0x1_0000_0000;
  }

  /** At most `most`, 2^53 unless told. */
  varint(most = Number.MAX_SAFE_INTEGER + 1): number {
    let value = 0;
    let place = 1;
    for (let count = 0; count < 8; count += 1) {
      const byte = this.u8();
      value += (byte & 0x7f) * place;
      if (value > most) throw badMessage(`a number is above ${most}`);
      if (byte < 0x80) return value;
      place *= 0x80;
    }
    throw badMessage('a number does not end');
  }

  /** UTF-8 of at most `mostBytes`. */
  text(mostBytes: number): string {
    const bytes = this.raw(this.varint(mostBytes));
    // Nearly every text is a short id in ASCII, for which the decoder costs more than the text.
    if (isShortAscii(bytes)) return String.fromCharCode(...bytes);
    try {
      return textDecoder.decode(bytes);
    } catch {
      throw badMessage('a text is not UTF-8');
    }
  }

  /** Everything not yet read, without reading it. */
  rest(): Uint8Array {
    return this.#bytes.subarray(this.#at);
  }

  raw(count: number): Uint8Array {
    if (count > this.left) throw badMessage('it ends early');
    const bytes = this.#bytes.subarray(this.#at, this.#at + count);
    this.#at += count;
    return bytes;
  }
}

function isShortAscii(bytes: Uint8Array): boolean {
  if (bytes.length > 32) return false;
  for (let at = 0; at < bytes.length; at += 1) if ((bytes[at] ?? 0x80) >= 0x80) return false;
  return true;
}

/** The fault of a message that breaks its format. */
export function badMessage(detail: string): Fault {
  return new Fault('BUS_MESSAGE', detail);
}
