/** What can go wrong between a meter and its reader and can be seen by the reader, drawn at random per answer. */
import type { Random } from '../host/deps.ts';
import { MBAP_BYTES, wrap } from '../protocols/modbus/frame.ts';
import type { Framing, ReadRequest } from '../protocols/modbus/frame.ts';
import { encodeException, encodeRead } from '../protocols/modbus/serve.ts';
import type { Truth } from './modbus-truth.ts';

/** `rtu`: RTU frames on a TCP connection. `serial`: on a serial port. */
export type Wire = 'tcp' | 'rtu' | 'serial';

/** What is said is wrong. */
const CONTENTS = {
  'wrong unit': ['tcp', 'rtu', 'serial'],
  'wrong transaction': ['tcp'],
  'wrong protocol': ['tcp'],
  'wrong function': ['tcp', 'rtu', 'serial'],
  'wrong count': ['tcp', 'rtu', 'serial'],
  'bad CRC': ['rtu', 'serial'],
  truncated: ['tcp', 'rtu', 'serial'],
  garbage: ['tcp', 'rtu', 'serial'],
  'stray bytes': ['tcp', 'rtu', 'serial'],
  exception: ['tcp', 'rtu', 'serial'],
} as const;

/** How it is delivered is wrong. `late`: within the quarantine. `late, in order`: seconds, and all that is asked meanwhile too. `late by 256`: with the 256th question after it. */
const DELIVERIES = {
  late: ['tcp', 'rtu', 'serial'],
  'late, in order': ['rtu', 'serial'],
  'late by 256': ['tcp'],
  duplicated: ['tcp', 'rtu', 'serial'],
  split: ['tcp', 'rtu', 'serial'],
  RST: ['tcp', 'rtu', 'serial'],
  FIN: ['tcp', 'rtu', 'serial'],
  stall: ['tcp', 'rtu', 'serial'],
} as const;

type Content = keyof typeof CONTENTS;
type Delivery = keyof typeof DELIVERIES;
export type FaultClass = Content | Delivery;

const of = <Name extends string>(table: Readonly<Record<Name, readonly Wire[]>>, wire: Wire): Name[] =>
  (Object.keys(table) as Name[]).filter((name) => table[name].includes(wire));

/** The classes that this wire can have. */
export const classesOf = (wire: Wire): readonly FaultClass[] => [
  ...of<Content>(CONTENTS, wire),
  ...of<Delivery>(DELIVERIES, wire),
];

/** What is done about one question. */
export interface Reply {
  readonly faults: readonly FaultClass[];
  readonly parts: readonly Part[];
  /** How the connection ends; on a serial port the adapter is pulled out, or ends without a word. */
  readonly end?: { readonly afterMs: number; readonly how: 'RST' | 'FIN' };
  /** Sent so long after the reader has given up, to whoever is there by then. */
  readonly late?: Part;
  /** Everything from now on is answered in order and not before this is over, ms. */
  readonly busyMs?: number;
  /** Sent with the 256th question from now. */
  readonly after256?: Uint8Array;
}

interface Part {
  readonly afterMs: number;
  readonly bytes: Uint8Array;
}

export interface Drawing {
  readonly wire: Wire;
  readonly random: Random;
  readonly truth: Truth;
  /** Of the answers, how many are faulty. */
  readonly share: number;
  /** Only these; all of the wire when absent. */
  readonly classes?: readonly FaultClass[];
}

interface Asked {
  readonly request: ReadRequest;
  readonly transaction: number;
  readonly n: number;
  /** Nobody waits behind this question: what comes after its answer comes before the next question. */
  readonly alone: boolean;
}

const MEAN_ANSWER_MS = 2;
/** Shorter than any quarantine. */
const LATE_MAX_MS = 290;
const BUSY_MAX_MS = 6_000;
/** It costs the reader many questions: of those drawn one in so many is done. */
const BUSY_ONE_IN = 6;
const SPLIT_MAX_MS = 40;
/** Above the shortest silence that the reader keeps, of a doubled answer nothing is promised. */
export const DOUBLED_MAX_MS = 15;

const pick = <Item>(random: Random, items: readonly Item[]): Item | undefined =>
  items[Math.floor(random.next() * items.length)];
const below = (random: Random, limit: number): number => Math.floor(random.next() * limit);
const framingOf = (wire: Wire): Framing => (wire === 'tcp' ? 'tcp' : 'rtu');

/** Draws what becomes of the answer to one question. */
export function drawReply(drawing: Drawing, asked: Asked): Reply {
  const { wire, random, truth, share, classes } = drawing;
  const allowed = (name: FaultClass): boolean => classes === undefined || classes.includes(name);
  const contents = of<Content>(CONTENTS, wire).filter(allowed);
  const deliveries = of<Delivery>(DELIVERIES, wire).filter(allowed);
  const frame = encodeRead(
    framingOf(wire),
    asked.transaction,
    asked.request,
    truth.words(asked.request, asked.n),
  );
  if (random.next() >= share) return plain(random, [], frame);
  const kind = random.next();
  const content = kind < 0.65 || deliveries.length === 0 ? pick(random, contents) : undefined;
  // Half an answer twice is, where nothing is summed up, one whole answer with another content.
  const fits = (name: Delivery): boolean =>
    !(wire === 'tcp' && content === 'truncated' && name === 'duplicated') &&
    (name !== 'late, in order' || deliveries.length === 1 || random.next() * BUSY_ONE_IN < 1);
  const delivery = kind > 0.45 || contents.length === 0 ? pick(random, deliveries.filter(fits)) : undefined;
  const said = content === undefined ? [frame] : spoiled(content, drawing, asked, frame);
  const faults = [content, delivery].filter((name) => name !== undefined);
  return delivery === undefined
    ? plain(random, faults, ...said)
    : delivered(delivery, faults, said, drawing, asked);
}

const joined = (pieces: readonly Uint8Array[]): Uint8Array =>
  Uint8Array.from(pieces.flatMap((one) => [...one]));
const noise = (random: Random, length: number): Uint8Array =>
  Uint8Array.from({ length }, () => below(random, 256));

function plain(random: Random, faults: readonly FaultClass[], ...said: readonly Uint8Array[]): Reply {
  const afterMs = MEAN_ANSWER_MS * (0.5 + random.next());
  // Pieces that were not meant to be one come with a moment between them half of the time.
  const apart = random.next() < 0.5 ? 0.5 : 0;
  const parts = apart === 0 ? [joined(said)] : said;
  return { faults, parts: parts.map((bytes, at) => ({ afterMs: afterMs + at * apart, bytes })) };
}

/** The pieces that are sent in place of `frame`. */
function spoiled(
  fault: Content,
  { wire, random, truth }: Drawing,
  { request, transaction, n }: Asked,
  frame: Uint8Array,
): readonly Uint8Array[] {
  const framing = framingOf(wire);
  const copy = Uint8Array.from(frame);
  switch (fault) {
    case 'wrong unit': {
      const other = { ...request, unit: (request.unit + 1 + below(random, 8)) % 248 };
      if (random.next() < 0.2)
        return [encodeException(framing, transaction, { ...other, exception: 1 + below(random, 11) })];
      return [encodeRead(framing, transaction, other, truth.words(other, n))];
    }
    case 'wrong transaction': {
      const by = pick(random, [-1, 1, -2, 256, -256, 1 + below(random, 0xfffe)]) ?? 1;
      const old = truth.words(request, Math.max(0, n - 1));
      return [encodeRead(framing, (transaction + by) & 0xffff, request, old)];
    }
    case 'wrong protocol':
      copy[2 + below(random, 2)] = 1 + below(random, 255);
      return [copy];
    case 'wrong function':
      return [otherFunction(random, framing, transaction, request, frame)];
    case 'wrong count':
      return [otherCount({ random, truth, framing, transaction, request, n }, copy)];
    case 'bad CRC':
      return [flipped(random, copy)];
    case 'truncated':
      return [copy.subarray(0, below(random, copy.length))];
    case 'garbage':
      return [noise(random, 1 + below(random, random.next() < 0.1 ? 400 : 40))];
    case 'stray bytes': {
      const stray = noise(random, pick(random, [1, 5, 64, 1 + below(random, 12)]) ?? 1);
      const place = random.next();
      return place < 0.4 ? [stray, copy] : place < 0.8 ? [copy, stray] : [stray, copy, stray];
    }
    case 'exception':
      return [
        encodeException(framing, transaction, {
          ...request,
          exception: pick(random, [1, 2, 3, 4, 6, 10, 11, 55]) ?? 4,
        }),
      ];
  }
}

const pduOf = (framing: Framing, frame: Uint8Array): Uint8Array =>
  framing === 'tcp' ? frame.slice(MBAP_BYTES) : frame.slice(1, -2);

function otherFunction(
  random: Random,
  framing: Framing,
  transaction: number,
  request: ReadRequest,
  frame: Uint8Array,
): Uint8Array {
  const fc =
    pick(
      random,
      [1, 2, 3, 4, 5, 6, 16, 17, 43].filter((one) => one !== request.fc),
    ) ?? 5;
  if (random.next() < 0.2)
    return encodeException(framing, transaction, {
      unit: request.unit,
      fc,
      exception: 1 + below(random, 11),
    });
  const pdu = pduOf(framing, frame);
  pdu[0] = fc;
  return wrap(framing, transaction, request.unit, pdu);
}

/** More or fewer registers than asked, or a byte count or a length that is not true. */
function otherCount(
  asked: Pick<Drawing, 'random' | 'truth'> & Omit<Asked, 'alone'> & { readonly framing: Framing },
  frame: Uint8Array,
): Uint8Array {
  const { random, truth, framing, transaction, request, n } = asked;
  const way = below(random, framing === 'tcp' ? 3 : 2);
  if (way === 0) {
    // Of coils only another number of bytes is another count.
    const step = request.fc <= 2 ? 8 : 1;
    const count = request.count > step && random.next() < 0.7 ? request.count - step : request.count + step;
    const other = { ...request, count };
    return encodeRead(framing, transaction, other, truth.words(other, n));
  }
  if (way === 2) {
    const length = (frame[5] ?? 0) + (1 + below(random, 12)) * (random.next() < 0.5 ? 1 : -1);
    frame[5] = Math.max(0, Math.min(255, length));
    return frame[5] === pduOf(framing, frame).length + 1 ? frame.subarray(0, 6) : frame;
  }
  const pdu = pduOf(framing, frame);
  pdu[1] = ((pdu[1] ?? 0) + 1 + below(random, 254)) & 0xff;
  return wrap(framing, transaction, request.unit, pdu);
}

/** Damage that a CRC-16 is sure to show: up to three bits, or a burst of up to sixteen. */
function flipped(random: Random, frame: Uint8Array): Uint8Array {
  const bits = frame.length * 8;
  const flip = (bit: number): void => {
    frame[bit >>> 3] = (frame[bit >>> 3] ?? 0) ^ (1 << (bit & 7));
  };
  if (random.next() < 0.5) {
    const places = new Set(Array.from({ length: 1 + below(random, 3) }, () => below(random, bits)));
    for (const bit of places) flip(bit);
    return frame;
  }
  const from = below(random, bits - 16);
  flip(from);
  for (let bit = 1; bit < 16; bit += 1) if (random.next() < 0.5) flip(from + bit);
  return frame;
}

function delivered(
  fault: Delivery,
  faults: readonly FaultClass[],
  said: readonly Uint8Array[],
  { random }: Drawing,
  { alone }: Asked,
): Reply {
  const bytes = joined(said);
  const afterMs = MEAN_ANSWER_MS * (0.5 + random.next());
  switch (fault) {
    case 'late':
      return { faults, parts: [], late: { afterMs: random.next() * LATE_MAX_MS, bytes } };
    case 'late, in order':
      return { faults, parts: [{ afterMs: 0, bytes }], busyMs: random.next() * BUSY_MAX_MS };
    case 'late by 256':
      return { faults, parts: [], after256: bytes };
    case 'duplicated': {
      // Without transaction ids a second answer that comes after the next question is that question's answer; with
      // them it can still fill up what is missing of the next one.
      const apart = alone ? random.next() * DOUBLED_MAX_MS : 0;
      if (apart === 0 || random.next() < 0.5)
        return { faults, parts: [{ afterMs, bytes: joined([bytes, bytes]) }] };
      return {
        faults,
        parts: [
          { afterMs, bytes },
          { afterMs: afterMs + apart, bytes },
        ],
      };
    }
    case 'split':
      return { faults, parts: pieces(random, bytes, afterMs) };
    case 'RST':
    case 'FIN': {
      const kept = pick(random, [0, below(random, bytes.length + 1), bytes.length]) ?? 0;
      return {
        faults,
        parts: kept === 0 ? [] : [{ afterMs, bytes: bytes.subarray(0, kept) }],
        end: { afterMs: afterMs + random.next(), how: fault },
      };
    }
    case 'stall':
      return { faults, parts: [] };
  }
}

function pieces(random: Random, bytes: Uint8Array, afterMs: number): Part[] {
  const every = random.next() < 0.25 ? 1 : 1 + below(random, Math.max(1, bytes.length - 1));
  const parts: Part[] = [];
  // Byte by byte for the first thirty, the rest at once: what matters is the header.
  for (let at = 0; at < bytes.length;) {
    const next = every === 1 && at >= 30 ? bytes.length : at + every;
    parts.push({ afterMs: 0, bytes: bytes.subarray(at, next) });
    at = next;
  }
  const step = (random.next() * SPLIT_MAX_MS) / Math.max(1, parts.length);
  return parts.map((part, place) => ({ ...part, afterMs: afterMs + place * step }));
}
