/**
 * md5crypt (`$1$`): a thousand MD5 rounds over short inputs. MD5 is written out here because a call into the crypto
 * library per round costs more than the hash itself, and a curtailment makes a token for every machine at once.
 */
const ITOA64 = './0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
const SALT_MAX = 8;
const PASSWORD_MAX_BYTES = 256;

const SHIFTS = [7, 12, 17, 22, 5, 9, 14, 20, 4, 11, 16, 23, 6, 10, 15, 21] as const;
const SINES = Int32Array.from(
  { length: 64 },
  (_, i) => Math.floor(Math.abs(Math.sin(i + 1)) * 0x1_0000_0000) | 0,
);

const encoder = new TextEncoder();

/** Devices keep their salt and ask for a new token every half hour: the key of each need not be worked out again. */
const MOST_REMEMBERED = 1_000;
const remembered = new Map<string, string>();

/** The hash part (22 characters) of md5crypt; salt of at most 8 characters counts. Throws RangeError above 256 bytes of password. */
export function md5crypt(password: string, salt: string): string {
  const asked = `${salt.length} ${salt}${password}`;
  let answer = remembered.get(asked);
  if (answer !== undefined) return answer;
  answer = workOut(password, salt);
  if (remembered.size >= MOST_REMEMBERED) remembered.clear();
  remembered.set(asked, answer);
  return answer;
}

function workOut(password: string, salt: string): string {
  const pass = encoder.encode(password);
  const salted = encoder.encode(salt).subarray(0, SALT_MAX);
  if (pass.length > PASSWORD_MAX_BYTES) throw new RangeError('password too long');
  const hash = new Md5(4 * PASSWORD_MAX_BYTES);
  let digest = hash.of(pass, salted, pass);
  const first: Uint8Array[] = [pass, encoder.encode('$1$'), salted];
  for (let left = pass.length; left > 0; left -= 16) first.push(digest.slice(0, Math.min(16, left)));
  const zero = new Uint8Array(1);
  for (let bits = pass.length; bits > 0; bits >>= 1) first.push((bits & 1) === 1 ? zero : pass.slice(0, 1));
  digest = hash.of(...first);
  for (let round = 0; round < 1_000; round += 1) {
    hash.start();
    hash.add((round & 1) === 1 ? pass : digest);
    if (round % 3 !== 0) hash.add(salted);
    if (round % 7 !== 0) hash.add(pass);
    hash.add((round & 1) === 1 ? digest : pass);
    hash.finish(digest);
  }
  return encoded(digest);
}

function encoded(digest: Uint8Array): string {
  let text = '';
  const put = (value: number, digits: number): void => {
    let left = value;
    for (let i = 0; i < digits; i += 1) {
      text += ITOA64[left & 0x3f] ?? '';
      left >>= 6;
    }
  };
  const byte = (i: number): number => digest[i] ?? 0;
  for (let i = 0; i < 5; i += 1) put((byte(i) << 16) | (byte(i + 6) << 8) | byte(i === 4 ? 5 : i + 12), 4);
  put(byte(11), 2);
  return text;
}

/** MD5 over inputs that fit one buffer, without allocation between rounds. */
class Md5 {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #words = new Int32Array(16);
  readonly #state = new Int32Array(4);
  #length = 0;

  constructor(maxBytes: number) {
    this.#bytes = new Uint8Array(maxBytes + 128);
    this.#view = new DataView(this.#bytes.buffer);
  }

  start(): void {
    this.#length = 0;
  }

  add(part: Uint8Array): void {
    // Parts are a few bytes long: a loop is faster than a call to set().
    const bytes = this.#bytes;
    let length = this.#length;
    for (let i = 0; i < part.length; i += 1) {
      bytes[length] = part[i] ?? 0;
      length += 1;
    }
    this.#length = length;
  }

  of(...parts: readonly Uint8Array[]): Uint8Array {
    const into = new Uint8Array(16);
    this.start();
    for (const part of parts) this.add(part);
    this.finish(into);
    return into;
  }

  finish(into: Uint8Array): void {
    const length = this.#length;
    const total = ((length + 8) >> 6) * 64 + 64;
    this.#bytes.fill(0, length, total);
    this.#bytes[length] = 0x80;
    this.#view.setUint32(total - 8, length * 8, true);
    const state = this.#state;
    state[0] = 0x67452301;
    state[1] = 0xefcdab89;
    state[2] = 0x98badcfe;
    state[3] = 0x10325476;
    for (let block = 0; block < total; block += 64) {
      for (let i = 0; i < 16; i += 1) this.#words[i] = this.#view.getInt32(block + i * 4, true);
      mix(state, this.#words);
    }
    for (let i = 0; i < 16; i += 1) into[i] = (state[i >> 2] ?? 0) >>> ((i & 3) * 8);
  }
}

function mix(state: Int32Array, words: Int32Array): void {
  let a = state[0] ?? 0;
  let b = state[1] ?? 0;
  let c = state[2] ?? 0;
  let d = state[3] ?? 0;
  for (let i = 0; i < 64; i += 1) {
    const quarter = i >> 4;
    let mixed: number;
    let word: number;
    if (quarter === 0) {
      mixed = (b & c) | (~b & d);
      word = i;
    } else if (quarter === 1) {
      mixed = (d & b) | (~d & c);
      word = (5 * i + 1) & 15;
    } else if (quarter === 2) {
      mixed = b ^ c ^ d;
      word = (3 * i + 5) & 15;
    } else {
      mixed = c ^ (b | ~d);
      word = (7 * i) & 15;
    }
    const sum = (a + mixed + (SINES[i] ?? 0) + (words[word] ?? 0)) | 0;
    const shift = SHIFTS[quarter * 4 + (i & 3)] ?? 0;
    a = d;
    d = c;
    c = b;
    b = (b + ((sum << shift) | (sum >>> (32 - shift)))) | 0;
  }
  state[0] = ((state[0] ?? 0) + a) | 0;
  state[1] = ((state[1] ?? 0) + b) | 0;
  state[2] = ((state[2] ?? 0) + c) | 0;
  state[3] = ((state[3] ?? 0) + d) | 0;
}
