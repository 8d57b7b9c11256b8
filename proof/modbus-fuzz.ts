/** Bytes of every kind into everything that takes Modbus bytes apart, and a judge of its own of what was taken. */
import type { Clock, Connection, Random } from '../host/deps.ts';
import { openSerial } from '../host/line-serial.ts';
import { streamPort } from '../host/line-stream.ts';
import type { Port } from '../host/line-stream.ts';
import { seededRandom } from '../host/random.ts';
import { Fault } from '../protocols/faults.ts';
import { decodeAnswer, encodeRequest, FRAME_MAX_BYTES, wordAt } from '../protocols/modbus/frame.ts';
import type { DecodedAnswer, Framing, ModbusRequest, ReadRequest } from '../protocols/modbus/frame.ts';
import { decodeRequest, encodeException, encodeRead, encodeWritten } from '../protocols/modbus/serve.ts';
import { memorySerial } from './memory-serial.ts';
import type { MemorySerialPort } from './memory-serial.ts';
import { VirtualClock } from './virtual-clock.ts';

export interface FuzzResult {
  readonly target: string;
  readonly bytes: number;
  readonly streams: number;
  /** Frames that were taken; all of them passed the judge, else they are `untrue`. */
  readonly taken: number;
  readonly untrue: number;
  readonly thrown: number;
  /** Streams in which more was kept than a frame can have, or that had no end. */
  readonly unbounded: number;
  readonly examples: readonly string[];
}

const EXAMPLES_MAX = 3;
const REQUEST: ReadRequest = { kind: 'read', unit: 3, fc: 3, address: 40, count: 6 };
const TRANSACTION = 0x1234;

const below = (random: Random, limit: number): number => Math.floor(random.next() * limit);
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

class Tally {
  bytes = 0;
  streams = 0;
  taken = 0;
  untrue = 0;
  thrown = 0;
  unbounded = 0;
  readonly examples: string[] = [];
  readonly target: string;

  constructor(target: string) {
    this.target = target;
  }

  show(what: string, bytes: Uint8Array): void {
    if (this.examples.length < EXAMPLES_MAX) this.examples.push(`${what}: ${hex(bytes)}`);
  }

  result(): FuzzResult {
    const { target, bytes, streams, taken, untrue, thrown, unbounded, examples } = this;
    return { target, bytes, streams, taken, untrue, thrown, unbounded, examples };
  }

  judge(isTrue: boolean, bytes: Uint8Array): void {
    this.taken += 1;
    if (isTrue) return;
    this.untrue += 1;
    this.show('untrue', bytes);
  }
}

/** At least so many bytes into each of: the client's and the server's framer and the stream's port, of both framings; a tenth of them into the serial port. */
export async function fuzzAll(bytes: number, seed: number): Promise<readonly FuzzResult[]> {
  const results: FuzzResult[] = [];
  for (const framing of ['tcp', 'rtu'] as const) {
    results.push(fuzzAnswers(framing, bytes, seededRandom(seed)));
    results.push(fuzzRequests(framing, bytes, seededRandom(seed + 1)));
    results.push(await fuzzStream(framing, bytes, seededRandom(seed + 2)));
  }
  results.push(await fuzzSerial(Math.ceil(bytes / 10), seededRandom(seed + 3)));
  return results;
}

function drawRequest(random: Random): ModbusRequest {
  const unit = below(random, 248);
  const address = below(random, 0xff00);
  const kind = below(random, 3);
  if (kind < 2) {
    const fc = ([1, 2, 3, 4] as const)[below(random, 4)] ?? 3;
    return { kind: 'read', unit, fc, address, count: 1 + below(random, 125) };
  }
  const values = Array.from({ length: 1 + below(random, 20) }, () => below(random, 0x1_0000));
  return random.next() < 0.5
    ? { kind: 'write', unit, fc: 16, address, values }
    : { kind: 'write', unit, fc: 6, address, values: values.slice(0, 1) };
}

/** A frame that a device or a client could have sent, half of the time one that fits the question. */
function realFrame(random: Random, framing: Framing, request: ModbusRequest): Uint8Array {
  const fits = random.next() < 0.5;
  const asked = fits ? request : drawRequest(random);
  const transaction = random.next() < 0.7 ? TRANSACTION : below(random, 0x1_0000);
  const kind = random.next();
  if (kind < 0.25) return encodeRequest(framing, transaction, asked);
  if (kind < 0.4)
    return encodeException(framing, transaction, {
      unit: asked.unit,
      fc: asked.fc,
      exception: below(random, 256),
    });
  if (asked.kind === 'write') return encodeWritten(framing, transaction, asked);
  const words = Array.from({ length: asked.count }, () => below(random, 0x1_0000));
  return encodeRead(framing, transaction, asked, words);
}

function mutated(random: Random, frame: Uint8Array): Uint8Array {
  const bytes = [...frame];
  for (let count = 1 + below(random, 4); count > 0; count -= 1) {
    const at = below(random, bytes.length + 1);
    const way = below(random, 4);
    if (way === 0) bytes.splice(at, 1);
    else if (way === 1) bytes.splice(at, 0, below(random, 256));
    else if (way === 2) bytes[Math.min(at, bytes.length - 1)] = below(random, 256);
    // The lengths and counts are what a framer believes first.
    else bytes[below(random, Math.min(9, bytes.length))] = below(random, 2) === 0 ? 0 : 255;
  }
  return Uint8Array.from(bytes);
}

/** One stream of bytes: noise, or frames that are whole, changed, cut off or run together. */
function drawStream(random: Random, framing: Framing, request: ModbusRequest): Uint8Array {
  const kind = random.next();
  if (kind < 0.15) return Uint8Array.from({ length: 1 + below(random, 400) }, () => below(random, 256));
  const parts = Array.from({ length: kind < 0.75 ? 1 : 2 + below(random, 3) }, () => {
    const frame = realFrame(random, framing, request);
    const way = random.next();
    if (way < 0.25) return frame;
    return way < 0.75 ? mutated(random, frame) : frame.subarray(0, below(random, frame.length));
  });
  return Uint8Array.from(parts.flatMap((part) => [...part]));
}

function chunksOf(random: Random, bytes: Uint8Array): Uint8Array[] {
  const chunks: Uint8Array[] = [];
  for (let at = 0; at < bytes.length;) {
    const size = 1 + below(random, random.next() < 0.3 ? 3 : 120);
    chunks.push(bytes.subarray(at, at + size));
    at += size;
  }
  return chunks;
}

/** The standard's checksum, bit by bit: not the product's table. */
function checksum(bytes: Uint8Array): number {
  let crc = 0xffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit += 1) crc = crc & 1 ? (crc >> 1) ^ 0xa001 : crc >> 1;
  }
  return crc;
}

/** The unit and the PDU of a whole frame whose header or checksum holds, else undefined. */
function opened(framing: Framing, frame: Uint8Array, transaction?: number): Uint8Array | undefined {
  if (framing === 'rtu') {
    const crc = (frame.at(-2) ?? 0) | ((frame.at(-1) ?? 0) << 8);
    return checksum(frame.subarray(0, -2)) === crc ? frame.subarray(0, -2) : undefined;
  }
  const isOurs = transaction === undefined || wordAt(frame, 0) === transaction;
  return isOurs && wordAt(frame, 2) === 0 && wordAt(frame, 4) === frame.length - 6
    ? frame.subarray(6)
    : undefined;
}

/** Whether what was taken stands in these bytes, by rules written down here again. */
function isTrueAnswer(
  framing: Framing,
  request: ReadRequest,
  answer: DecodedAnswer,
  bytes: Uint8Array,
): boolean {
  if (!('consumed' in answer) || answer.kind === 'written') return false;
  const body =
    answer.consumed <= bytes.length
      ? opened(framing, bytes.subarray(0, answer.consumed), TRANSACTION)
      : undefined;
  if (body?.[0] !== request.unit) return false;
  if (answer.kind === 'exception')
    return body.length === 3 && body[1] === request.fc + 128 && body[2] === answer.code;
  const isBits = request.fc <= 2;
  const dataBytes = isBits ? Math.ceil(request.count / 8) : 2 * request.count;
  if (body.length !== 3 + dataBytes || body[1] !== request.fc || body[2] !== dataBytes) return false;
  const valueAt = (at: number): number =>
    isBits ? ((body[3 + (at >> 3)] ?? 0) >> (at & 7)) & 1 : wordAt(body, 3 + 2 * at);
  return (
    answer.registers.length === request.count && answer.registers.every((value, at) => value === valueAt(at))
  );
}

/** `decode`: the framer that is judged. */
export function fuzzAnswers(
  framing: Framing,
  bytes: number,
  random: Random,
  decode = decodeAnswer,
): FuzzResult {
  const tally = new Tally(`decodeAnswer ${framing}`);
  while (tally.bytes < bytes) {
    const drawn = drawRequest(random);
    const request = drawn.kind === 'read' ? drawn : REQUEST;
    const stream = drawStream(random, framing, request);
    tally.streams += 1;
    tally.bytes += stream.length;
    for (let end = 1; end <= stream.length; end += 1 + below(random, 40)) {
      const seen = stream.subarray(0, end);
      try {
        const answer = decode(framing, TRANSACTION, request, seen);
        if ('consumed' in answer) tally.judge(isTrueAnswer(framing, request, answer, seen), seen);
        if (answer.kind === 'wait' && end >= FRAME_MAX_BYTES) tally.unbounded += 1;
        if (answer.kind !== 'wait') break;
      } catch {
        tally.thrown += 1;
        tally.show('thrown', seen);
        break;
      }
    }
  }
  return tally.result();
}

function fuzzRequests(framing: Framing, bytes: number, random: Random): FuzzResult {
  const tally = new Tally(`decodeRequest ${framing}`);
  while (tally.bytes < bytes) {
    const stream = drawStream(random, framing, drawRequest(random));
    tally.streams += 1;
    tally.bytes += stream.length;
    try {
      let at = 0;
      while (at < stream.length) {
        const rest = stream.subarray(at);
        const asked = decodeRequest(framing, rest);
        if (asked.kind === 'wait' && rest.length >= FRAME_MAX_BYTES + 4) tally.unbounded += 1;
        if (asked.kind === 'wait' || asked.kind === 'drop') break;
        const frame = rest.subarray(0, asked.consumed);
        const same =
          asked.kind === 'refused' ||
          hex(encodeRequest(framing, asked.transaction, asked.request)) === hex(frame);
        tally.judge(same && asked.consumed <= rest.length && opened(framing, frame) !== undefined, rest);
        at += Math.max(1, asked.consumed);
      }
    } catch {
      tally.thrown += 1;
      tally.show('thrown', stream);
    }
  }
  return tally.result();
}

/** How long a port waits for its answer. */
const LIMIT_MS = 50;

/** What a port says of one stream: an answer, a fault, or nothing for longer than any frame. */
async function intoPort(
  tally: Tally,
  framing: Framing,
  {
    port,
    give,
    expire,
  }: {
    readonly port: Port;
    readonly give: (bytes: Uint8Array) => void;
    readonly expire: () => Promise<void>;
  },
  chunks: readonly Uint8Array[],
): Promise<void> {
  const stream = Uint8Array.from(chunks.flatMap((chunk) => [...chunk]));
  const ended: (DecodedAnswer | 'fault')[] = [];
  const exchange = port.exchange(REQUEST, TRANSACTION, LIMIT_MS).then(
    (answer) => ended.push(answer),
    (error: unknown) => {
      ended.push('fault');
      if (!(error instanceof Fault) || error.code === 'INTERNAL') tally.thrown += 1;
    },
  );
  try {
    for (const chunk of chunks) give(chunk);
  } catch {
    tally.thrown += 1;
    tally.show('thrown', stream);
  }
  await expire();
  if (ended.length === 0) tally.unbounded += 1;
  else await exchange;
  const [end] = ended;
  if (end === undefined || end === 'fault') return;
  tally.judge(isTrueAnswer(framing, REQUEST, end, stream), stream);
}

async function fuzzStream(framing: Framing, bytes: number, random: Random): Promise<FuzzResult> {
  const tally = new Tally(`streamPort ${framing}`);
  while (tally.bytes < bytes) {
    let timers: (() => void)[] = [];
    let nowMs = 0;
    const clock: Clock = {
      wallMs: () => 0,
      monoMs: () => nowMs,
      after: (_ms, fn) => {
        timers.push(fn);
        return () => {
          timers = timers.filter((one) => one !== fn);
        };
      },
    };
    let isOpen = true;
    const connection: Connection = {
      onData: () => undefined,
      onClose: () => undefined,
      write: () => undefined,
      destroy: () => {
        isOpen = false;
      },
    };
    const port = streamPort(connection, framing, 'fuzz', clock);
    const stream = drawStream(random, framing, REQUEST);
    tally.streams += 1;
    tally.bytes += stream.length;
    let kept = 0;
    const give = (chunk: Uint8Array): void => {
      if (!isOpen) return;
      // Still open: it waits for more, so that all of what came is kept.
      kept += chunk.length;
      connection.onData(chunk);
      if (isOpen && timers.length > 0 && kept > FRAME_MAX_BYTES) tally.unbounded += 1;
    };
    const expire = async (): Promise<void> => {
      nowMs += LIMIT_MS;
      for (let turn = 0; turn < 3; turn += 1) for (const fn of timers.splice(0)) fn();
      await Promise.resolve();
      await Promise.resolve();
    };
    const chunks = chunksOf(random, stream);
    await intoPort(tally, framing, { port, give, expire }, chunks);
  }
  return tally.result();
}

async function fuzzSerial(bytes: number, random: Random): Promise<FuzzResult> {
  const tally = new Tally('openSerial');
  const clock = new VirtualClock({ startWallMs: 0 });
  const target = { framing: 'serial', path: 'fuzz', baud: 9_600, parity: 'none', stopBits: 1 } as const;
  let cable: MemorySerialPort | undefined;
  const binding = memorySerial({
    opened: (port) => {
      cable = port;
    },
    written: () => undefined,
    closed: () => undefined,
  });
  // Loaded before virtual time begins, which does not wait for a disk.
  await import('modbus-serial');
  let port: Port | undefined;
  while (tally.bytes < bytes) {
    if (port?.state !== 'open') {
      await port?.close();
      const opening = openSerial(target, 1_000, clock, binding);
      await clock.advance(100);
      port = await opening;
    }
    const chunks = chunksOf(random, drawStream(random, 'rtu', REQUEST));
    tally.streams += 1;
    for (const chunk of chunks) tally.bytes += chunk.length;
    const give = (chunk: Uint8Array): void => cable?.give(chunk);
    const expire = async (): Promise<void> => {
      await clock.advance(100);
    };
    await intoPort(tally, 'rtu', { port, give, expire }, chunks);
  }
  return tally.result();
}
