import { readsBits } from '../protocols/modbus/frame.ts';
import type { ReadRequest } from '../protocols/modbus/frame.ts';

/**
 * A device whose every register is known at every moment: a number made of unit, function, address and of how many
 * questions it had been asked. An answer that is stale, shifted or of another unit is therefore recognised, whatever
 * made it so.
 */
export class Truth {
  #asked = 0;
  readonly #lastOf = new Map<number, number>();
  readonly #recent: ReadRequest[] = [];

  /** How many questions came. */
  get asked(): number {
    return this.#asked;
  }

  /** Notes a question of the wire; its number. */
  ask(request: ReadRequest): number {
    this.#asked += 1;
    this.#lastOf.set(keyOf(request), this.#asked);
    this.#recent[this.#asked % RECENT] = request;
    return this.#asked;
  }

  /** The registers (coils as 0 or 1) as of question `n`. */
  words(request: ReadRequest, n: number): Uint16Array {
    const mask = readsBits(request) ? 1 : 0xffff;
    const words = new Uint16Array(request.count);
    for (let at = 0; at < request.count; at += 1) words[at] = wordOf(request, request.address + at, n) & mask;
    return words;
  }

  /** Whether these are the registers of the last such question, which must have come after question `since`. */
  isRight(request: ReadRequest, since: number, registers: ArrayLike<number>): boolean {
    const n = this.#lastOf.get(keyOf(request)) ?? 0;
    if (n <= since || registers.length !== request.count) return false;
    return this.#are(request, n, registers);
  }

  /** Which of the last questions these registers answer, in words. */
  whose(registers: ArrayLike<number>): string {
    for (let back = 0; back < Math.min(RECENT, this.#asked); back += 1) {
      const request = this.#recent[(this.#asked - back) % RECENT];
      if (request?.count === registers.length && this.#are(request, this.#asked - back, registers))
        return `the answer to the ${back} questions older ${JSON.stringify(request)}`;
    }
    return 'no answer of ours';
  }

  #are(request: ReadRequest, n: number, registers: ArrayLike<number>): boolean {
    return this.words(request, n).every((word, at) => word === registers[at]);
  }
}

/** So many questions back it is known whose answer a wrong one was. */
const RECENT = 1_024;

/** One number for the fields of a question: 8, 3, 16 and 11 bits. */
function keyOf({ unit, fc, address, count }: ReadRequest): number {
  return ((unit * 8 + fc) * 0x1_0000 + address) * 2_048 + count;
}

function wordOf({ unit, fc }: ReadRequest, address: number, n: number): number {
  let mixed =
    Math.imul(n, 0x85eb_ca6b) ^ Math.imul(unit * 8 + fc, 0xc2b2_ae35) ^ Math.imul(address + 1, 0x27d4_eb2f);
  mixed = Math.imul(mixed ^ (mixed >>> 15), 0x2c1b_3c6d);
  mixed = Math.imul(mixed ^ (mixed >>> 12), 0x297a_2d39);
  return (mixed ^ (mixed >>> 15)) & 0xffff;
}
