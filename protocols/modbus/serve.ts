/** Modbus on a byte stream, the server's half: requests in, answers out. */
import {
  byteAt,
  crc16,
  FRAME_MAX_BYTES,
  MBAP_BYTES,
  putWords,
  readsBits,
  requestError,
  wordAt,
  wrap,
} from './frame.ts';
import type { Framing, ModbusRequest, ReadRequest, WriteRequest } from './frame.ts';

/** One request taken from the stream. `refused`: a whole frame that asks for what we do not do, with the exception it deserves. */
export type DecodedRequest =
  | { readonly kind: 'wait' }
  | {
      readonly kind: 'request';
      readonly transaction: number;
      readonly request: ModbusRequest;
      readonly consumed: number;
    }
  | {
      readonly kind: 'refused';
      readonly transaction: number;
      readonly unit: number;
      readonly fc: number;
      readonly exception: number;
      readonly consumed: number;
    }
  | { readonly kind: 'drop'; readonly detail: string };

/** Takes one request from the start of `bytes`. */
export function decodeRequest(framing: Framing, bytes: Uint8Array): DecodedRequest {
  return framing === 'tcp' ? decodeTcp(bytes) : decodeRtu(bytes);
}

function decodeTcp(bytes: Uint8Array): DecodedRequest {
  if (bytes.length >= 4 && wordAt(bytes, 2) !== 0) return { kind: 'drop', detail: 'protocol id' };
  if (bytes.length < 6) return { kind: 'wait' };
  const length = wordAt(bytes, 4);
  if (length < 2 || length > FRAME_MAX_BYTES - 6) return { kind: 'drop', detail: `length ${length}` };
  if (bytes.length < 6 + length) return { kind: 'wait' };
  return decodePdu(wordAt(bytes, 0), byteAt(bytes, 6), bytes.subarray(MBAP_BYTES, 6 + length), 6 + length);
}

function decodeRtu(bytes: Uint8Array): DecodedRequest {
  if (bytes.length < 2) return { kind: 'wait' };
  const fc = byteAt(bytes, 1);
  // Without a length field the end of an unknown function cannot be known.
  if (fc === 0 || (fc > 6 && fc !== 16)) return { kind: 'drop', detail: `function ${fc}` };
  if (fc === 16 && bytes.length < 7) return { kind: 'wait' };
  const length = fc === 16 ? 9 + byteAt(bytes, 6) : 8;
  if (bytes.length < length) return { kind: 'wait' };
  const crc = byteAt(bytes, length - 2) | (byteAt(bytes, length - 1) << 8);
  if (crc !== crc16(bytes, 0, length - 2)) return { kind: 'drop', detail: 'checksum' };
  return decodePdu(0, byteAt(bytes, 0), bytes.subarray(1, length - 2), length);
}

function decodePdu(transaction: number, unit: number, pdu: Uint8Array, consumed: number): DecodedRequest {
  const fc = byteAt(pdu, 0);
  const refuse = (exception: number): DecodedRequest => ({
    kind: 'refused',
    transaction,
    unit,
    fc,
    exception,
    consumed,
  });
  const request = requestOf(unit, fc, pdu);
  if (request === 'unsupported') return refuse(1);
  if (request === 'malformed' || requestError(request) !== undefined) return refuse(3);
  return { kind: 'request', transaction, request, consumed };
}

function requestOf(unit: number, fc: number, pdu: Uint8Array): ModbusRequest | 'unsupported' | 'malformed' {
  const address = wordAt(pdu, 1);
  const word = wordAt(pdu, 3);
  switch (fc) {
    case 1:
    case 2:
    case 3:
    case 4:
      return pdu.length === 5 ? { kind: 'read', unit, fc, address, count: word } : 'malformed';
    case 5:
      if (pdu.length !== 5 || (word !== 0 && word !== 0xff00)) return 'malformed';
      return { kind: 'write', unit, fc, address, values: [word === 0 ? 0 : 1] };
    case 6:
      return pdu.length === 5 ? { kind: 'write', unit, fc, address, values: [word] } : 'malformed';
    case 16: {
      if (pdu.length !== 6 + 2 * word || byteAt(pdu, 5) !== 2 * word) return 'malformed';
      const values = Array.from({ length: word }, (_, index) => wordAt(pdu, 6 + 2 * index));
      return { kind: 'write', unit, fc, address, values };
    }
    default:
      return 'unsupported';
  }
}

/** The answer to a read: as many words as it asked for (coils and discrete inputs as 0 or 1). */
export function encodeRead(
  framing: Framing,
  transaction: number,
  request: ReadRequest,
  words: ArrayLike<number>,
): Uint8Array {
  const count = readsBits(request) ? Math.ceil(request.count / 8) : 2 * request.count;
  const pdu = new Uint8Array(2 + count);
  pdu[0] = request.fc;
  pdu[1] = count;
  if (readsBits(request)) {
    for (let index = 0; index < request.count; index += 1) {
      if (words[index]) pdu[2 + (index >>> 3)] = byteAt(pdu, 2 + (index >>> 3)) | (1 << (index & 7));
    }
  } else putWords(pdu, 2, words);
  return wrap(framing, transaction, request.unit, pdu);
}

/** The answer to a write that was done. */
export function encodeWritten(framing: Framing, transaction: number, request: WriteRequest): Uint8Array {
  const pdu = new Uint8Array(5);
  pdu[0] = request.fc;
  const value = request.values[0] ?? 0;
  const single = request.fc === 5 && value !== 0 ? 0xff00 : value;
  putWords(pdu, 1, [request.address, request.fc === 16 ? request.values.length : single]);
  return wrap(framing, transaction, request.unit, pdu);
}

/** A refusal with one of the standard's exception codes. */
export function encodeException(
  framing: Framing,
  transaction: number,
  refused: { readonly unit: number; readonly fc: number; readonly exception: number },
): Uint8Array {
  return wrap(framing, transaction, refused.unit, Uint8Array.of(refused.fc | 0x80, refused.exception));
}
