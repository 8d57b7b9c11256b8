/** Modbus on a byte stream: MBAP (Modbus TCP) and RTU frames over TCP, the client's half. `serve.ts` holds the server's. */

/** `tcp`: MBAP header with transaction id. `rtu`: unit, PDU, CRC, with nothing that ties an answer to its question. */
export type Framing = 'tcp' | 'rtu';

/** Reads coils (1), discrete inputs (2), holding registers (3) or input registers (4). `address` is the wire's, 0-based. */
export interface ReadRequest {
  readonly kind: 'read';
  readonly unit: number;
  readonly fc: 1 | 2 | 3 | 4;
  readonly address: number;
  readonly count: number;
}

/** Writes one coil (5: 0 or 1), one register (6) or several (16). Values are raw 16-bit words. */
export interface WriteRequest {
  readonly kind: 'write';
  readonly unit: number;
  readonly fc: 5 | 6 | 16;
  readonly address: number;
  readonly values: readonly number[];
}

export type ModbusRequest = ReadRequest | WriteRequest;

/** One answer taken from the stream, the need for more bytes, or the reason why this connection cannot be trusted any more. */
export type DecodedAnswer =
  | { readonly kind: 'wait' }
  | { readonly kind: 'registers'; readonly registers: Uint16Array; readonly consumed: number }
  | { readonly kind: 'written'; readonly consumed: number }
  | { readonly kind: 'exception'; readonly code: number; readonly consumed: number }
  /** `frame`: not Modbus at all. `desync`: a frame that does not belong to this question. */
  | { readonly kind: 'drop'; readonly reason: 'frame' | 'desync'; readonly detail: string };

/** The most registers one read may ask for, by the standard. */
const READ_MAX_REGISTERS = 125;
const READ_MAX_COILS = 2000;
const WRITE_MAX_REGISTERS = 123;
/** The longest frame of either kind, bytes: what grows beyond it is no answer. */
export const FRAME_MAX_BYTES = 260;

export const MBAP_BYTES = 7;
const CRC_BYTES = 2;

const crcTable = Uint16Array.from({ length: 256 }, (_, index) => {
  let crc = index;
  for (let bit = 0; bit < 8; bit += 1) crc = crc & 1 ? (crc >>> 1) ^ 0xa001 : crc >>> 1;
  return crc;
});

/** CRC-16/MODBUS of `bytes` from `from` up to `to`. */
export function crc16(bytes: Uint8Array, from = 0, to = bytes.length): number {
  let crc = 0xffff;
  for (let at = from; at < to; at += 1) crc = (crc >>> 8) ^ (crcTable[(crc ^ byteAt(bytes, at)) & 0xff] ?? 0);
  return crc;
}

export function byteAt(bytes: Uint8Array, at: number): number {
  return bytes[at] ?? 0;
}

export function wordAt(bytes: Uint8Array, at: number): number {
  return (byteAt(bytes, at) << 8) | byteAt(bytes, at + 1);
}

/** What is wrong with a request before it is sent, else undefined. */
export function requestError(request: ModbusRequest): string | undefined {
  if (!isWithin(request.unit, 0, 255)) return `unit ${request.unit} is not 0 to 255`;
  if (!isWithin(request.address, 0, 0xffff)) return `address ${request.address} is not 0 to 65535`;
  const count = request.kind === 'read' ? request.count : request.values.length;
  const most = MOST[request.fc];
  if (!isWithin(count, 1, most)) return `${count} values: function ${request.fc} takes 1 to ${most}`;
  if (request.address + count > 0x1_0000) return `address ${request.address} + ${count} is beyond 65535`;
  if (request.kind === 'read') return undefined;
  const highest = request.fc === 5 ? 1 : 0xffff;
  const wrong = request.values.find((value) => !isWithin(value, 0, highest));
  return wrong === undefined ? undefined : `value ${wrong} is not 0 to ${highest}`;
}

const MOST: Readonly<Record<ModbusRequest['fc'], number>> = {
  1: READ_MAX_COILS,
  2: READ_MAX_COILS,
  3: READ_MAX_REGISTERS,
  4: READ_MAX_REGISTERS,
  5: 1,
  6: 1,
  16: WRITE_MAX_REGISTERS,
};

function isWithin(value: number, least: number, most: number): boolean {
  return Number.isInteger(value) && value >= least && value <= most;
}

/** Writes words big-endian from `at`. */
export function putWords(bytes: Uint8Array, at: number, words: ArrayLike<number>): void {
  for (let index = 0; index < words.length; index += 1) {
    const word = words[index] ?? 0;
    bytes[at + 2 * index] = word >>> 8;
    bytes[at + 2 * index + 1] = word & 0xff;
  }
}

/** Puts header or checksum around a PDU of `unit`. `transaction` matters to `tcp` alone. */
export function wrap(framing: Framing, transaction: number, unit: number, pdu: Uint8Array): Uint8Array {
  if (framing === 'tcp') {
    const frame = new Uint8Array(MBAP_BYTES + pdu.length);
    putWords(frame, 0, [transaction & 0xffff, 0, pdu.length + 1]);
    frame[6] = unit;
    frame.set(pdu, MBAP_BYTES);
    return frame;
  }
  const frame = new Uint8Array(1 + pdu.length + CRC_BYTES);
  frame[0] = unit;
  frame.set(pdu, 1);
  const crc = crc16(frame, 0, 1 + pdu.length);
  frame[1 + pdu.length] = crc & 0xff;
  frame[2 + pdu.length] = crc >>> 8;
  return frame;
}

/** The bytes of a request; it must have passed `requestError`. */
export function encodeRequest(framing: Framing, transaction: number, request: ModbusRequest): Uint8Array {
  return wrap(framing, transaction, request.unit, requestPdu(request));
}

function requestPdu(request: ModbusRequest): Uint8Array {
  if (request.kind === 'write' && request.fc === 16) {
    const pdu = new Uint8Array(6 + 2 * request.values.length);
    pdu[0] = 16;
    putWords(pdu, 1, [request.address, request.values.length]);
    pdu[5] = 2 * request.values.length;
    putWords(pdu, 6, request.values);
    return pdu;
  }
  const pdu = new Uint8Array(5);
  pdu[0] = request.fc;
  putWords(pdu, 1, [request.address, request.kind === 'read' ? request.count : singleWord(request)]);
  return pdu;
}

/** The value field of functions 5 and 6: a coil is 0xFF00 or 0. */
function singleWord(request: WriteRequest): number {
  const value = request.values[0] ?? 0;
  if (request.fc === 5) return value === 0 ? 0 : 0xff00;
  return value;
}

/**
 * Takes the answer to `request` from the start of `bytes`, which holds all that came since it was sent. Every field that
 * can be checked is checked: with one request in flight, anything else than its own answer means that the stream is out
 * of step, and the caller must drop the connection.
 */
export function decodeAnswer(
  framing: Framing,
  transaction: number,
  request: ModbusRequest,
  bytes: Uint8Array,
): DecodedAnswer {
  return framing === 'tcp' ? decodeTcp(transaction, request, bytes) : decodeRtu(request, bytes);
}

const WAIT: DecodedAnswer = { kind: 'wait' };

function drop(reason: 'frame' | 'desync', detail: string): DecodedAnswer {
  return { kind: 'drop', reason, detail };
}

function decodeTcp(transaction: number, request: ModbusRequest, bytes: Uint8Array): DecodedAnswer {
  // Each field is judged as soon as it is there, so that garbage is not waited for.
  if (bytes.length >= 4 && wordAt(bytes, 2) !== 0) return drop('frame', `protocol id ${wordAt(bytes, 2)}`);
  if (bytes.length < 6) return WAIT;
  const length = wordAt(bytes, 4);
  if (length < 3 || length > FRAME_MAX_BYTES - 6) return drop('frame', `length ${length}`);
  if (wordAt(bytes, 0) !== transaction) {
    return drop('desync', `transaction ${wordAt(bytes, 0)}, asked ${transaction}`);
  }
  if (bytes.length < 6 + length) return WAIT;
  const wrong = headError(request, byteAt(bytes, 6), byteAt(bytes, 7));
  if (wrong !== undefined) return drop('desync', wrong);
  const pduBytes = length - 1;
  const expected = answerPduBytes(request, byteAt(bytes, 7));
  if (pduBytes !== expected) return drop('frame', `answer of ${pduBytes} bytes, expected ${expected}`);
  return decodePdu(request, bytes, MBAP_BYTES, 6 + length);
}

function decodeRtu(request: ModbusRequest, bytes: Uint8Array): DecodedAnswer {
  if (bytes.length < 2) return WAIT;
  const wrong = headError(request, byteAt(bytes, 0), byteAt(bytes, 1));
  if (wrong !== undefined) return drop('desync', wrong);
  const length = 1 + answerPduBytes(request, byteAt(bytes, 1)) + CRC_BYTES;
  if (bytes.length < length) return WAIT;
  const crc = byteAt(bytes, length - 2) | (byteAt(bytes, length - 1) << 8);
  if (crc !== crc16(bytes, 0, length - CRC_BYTES)) return drop('frame', 'checksum');
  return decodePdu(request, bytes, 1, length);
}

function headError(request: ModbusRequest, unit: number, fc: number): string | undefined {
  if (unit !== request.unit) return `unit ${unit}, asked ${request.unit}`;
  if (fc !== request.fc && fc !== (request.fc | 0x80)) return `function ${fc}, asked ${request.fc}`;
  return undefined;
}

/** True where an answer has a bit per value, false where it has a word. */
export const readsBits = (request: ReadRequest): boolean => request.fc <= 2;

function dataBytes(request: ReadRequest): number {
  return readsBits(request) ? Math.ceil(request.count / 8) : 2 * request.count;
}

function answerPduBytes(request: ModbusRequest, fc: number): number {
  if (fc & 0x80) return 2;
  return request.kind === 'read' ? 2 + dataBytes(request) : 5;
}

function decodePdu(request: ModbusRequest, bytes: Uint8Array, at: number, consumed: number): DecodedAnswer {
  if (byteAt(bytes, at) & 0x80) return { kind: 'exception', code: byteAt(bytes, at + 1), consumed };
  if (request.kind === 'read') {
    const count = byteAt(bytes, at + 1);
    if (count !== dataBytes(request))
      return drop('frame', `byte count ${count}, expected ${dataBytes(request)}`);
    return { kind: 'registers', registers: dataWords(request, bytes, at + 2), consumed };
  }
  const echoed = request.fc === 16 ? request.values.length : singleWord(request);
  if (wordAt(bytes, at + 1) !== request.address || wordAt(bytes, at + 3) !== echoed) {
    return drop('desync', 'the echo of the write differs from what was written');
  }
  return { kind: 'written', consumed };
}

/** What answers are cut from, piece after piece, none twice: an array of its own takes longer to get than to fill. */
let slab = new Uint16Array(0);
let slabUsed = 0;
const SLAB_WORDS = 4_096;

function newWords(count: number): Uint16Array {
  if (slabUsed + count > slab.length) {
    slab = new Uint16Array(SLAB_WORDS);
    slabUsed = 0;
  }
  slabUsed += count;
  return slab.subarray(slabUsed - count, slabUsed);
}

function dataWords(request: ReadRequest, bytes: Uint8Array, at: number): Uint16Array {
  const { count } = request;
  const words = newWords(count);
  const isBits = readsBits(request);
  for (let index = 0; index < count; index += 1) {
    words[index] = isBits
      ? (byteAt(bytes, at + (index >>> 3)) >>> (index & 7)) & 1
      : wordAt(bytes, at + 2 * index);
  }
  return words;
}

const EXCEPTIONS: Readonly<Record<number, string>> = {
  1: 'function not supported',
  2: 'no such register',
  3: 'value or count not allowed',
  4: 'device failure',
  5: 'accepted, still working',
  6: 'device busy',
  8: 'memory parity',
  10: 'gateway has no path to the unit',
  11: 'unit behind the gateway does not answer',
};

/** A Modbus exception in words, with its number. */
export function exceptionText(code: number): string {
  return `exception ${code}: ${EXCEPTIONS[code] ?? 'not in the standard'}`;
}
