import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { Fault } from '../protocols/faults.ts';

/**
 * A log is records, one after the other: length of the payload (u32), CRC-32 of all that follows with the length
 * before it (u32), SHA-256 of the previous record's hash and the payload (32 bytes), payload. Little-endian. A record
 * of length 0 is a mark: it repeats the hash before it and says that everything before it was synced. So a bad
 * record in front of a mark is damage, and a bad end without one is a write that a crash broke off. Zeros at the end
 * are room that the file holds for what comes; no record is all zeros.
 */
export const HEADER_BYTES = 40;
export const MOST_PAYLOAD_BYTES = 16 * 1_024 * 1_024;
/** The hash before the first record. */
const GENESIS: Uint8Array = new Uint8Array(32);

export interface ReadLog {
  /** Payloads in order, views of the bytes given. */
  readonly records: readonly Uint8Array[];
  /** Where the next record goes. */
  readonly goodBytes: number;
  /** What stands behind it and is no zero yet: torn. */
  readonly tornBytes: number;
  readonly head: Uint8Array;
  /** Nothing stands behind the last mark. */
  readonly marked: boolean;
}

/** One record's bytes and its hash, which the next record needs. An empty payload makes a mark. */
export function encodeRecord(head: Uint8Array, payload: Uint8Array): { bytes: Uint8Array; hash: Uint8Array } {
  const hash = chained(head, payload);
  const bytes = new Uint8Array(HEADER_BYTES + payload.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, payload.length, true);
  bytes.set(hash, 8);
  bytes.set(payload, HEADER_BYTES);
  view.setUint32(4, checkOf(bytes), true);
  return { bytes, hash };
}

function chained(head: Uint8Array, payload: Uint8Array): Uint8Array {
  if (payload.length === 0) return head;
  return new Uint8Array(createHash('sha256').update(head).update(payload).digest());
}

const checkOf = (record: Uint8Array): number => crc32(record.subarray(8), crc32(record.subarray(0, 4)));

/** The record at `offset` if length and CRC are right, else undefined. */
function recordAt(bytes: Uint8Array, offset: number): Uint8Array | undefined {
  if (bytes.length - offset < HEADER_BYTES) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset + offset, HEADER_BYTES);
  const length = view.getUint32(0, true);
  if (length > MOST_PAYLOAD_BYTES || length > bytes.length - offset - HEADER_BYTES) return undefined;
  const record = bytes.subarray(offset, offset + HEADER_BYTES + length);
  return checkOf(record) === view.getUint32(4, true) ? record : undefined;
}

/** Checks and takes apart a log; throws Fault LEDGER_BROKEN naming the first bad record and where it is. */
export function readLog(bytes: Uint8Array): ReadLog {
  const records: Uint8Array[] = [];
  let head = GENESIS;
  let offset = 0;
  let marked = true;
  const end = contentBytes(bytes);
  while (offset < end) {
    const record = recordAt(bytes, offset);
    if (!record) {
      if (markBehind(bytes, offset, end)) throw broken(records.length, offset, 'it is damaged');
      break;
    }
    const payload = record.subarray(HEADER_BYTES);
    const hash = chained(head, payload);
    if (Buffer.compare(hash, record.subarray(8, HEADER_BYTES)) !== 0) {
      throw broken(records.length, offset, 'it does not follow from the record before it');
    }
    marked = payload.length === 0;
    if (!marked) records.push(payload);
    head = hash;
    offset += record.length;
  }
  return { records, goodBytes: offset, tornBytes: Math.max(0, end - offset), head, marked };
}

/** Length without the zeros at the end. */
function contentBytes(bytes: Uint8Array): number {
  let end = bytes.length;
  while (end > 0 && bytes[end - 1] === 0) end -= 1;
  return end;
}

function broken(record: number, offset: number, why: string): Fault {
  return new Fault('LEDGER_BROKEN', `record ${record} at byte ${offset}: ${why}`);
}

/**
 * Whether a mark lies somewhere behind a bad record. Only a mark proves that the bad one was once whole: of a write
 * that was broken off, the disk may have kept the later part alone.
 */
function markBehind(bytes: Uint8Array, offset: number, end: number): boolean {
  for (let at = offset + 1; at < end && at <= bytes.length - HEADER_BYTES; at += 1) {
    const empty = bytes[at] === 0 && bytes[at + 1] === 0 && bytes[at + 2] === 0 && bytes[at + 3] === 0;
    if (empty && recordAt(bytes, at)) return true;
  }
  return false;
}

export type LogVerdict =
  | { readonly ok: true; readonly records: number; readonly tornBytes: number; readonly head: string }
  | { readonly ok: false; readonly fault: Fault };

/** Whether a log is whole: its record count, hash of the last record and torn bytes at the end, or what is broken. */
export function verifyDiskLog(bytes: Uint8Array): LogVerdict {
  try {
    const { records, tornBytes, head } = readLog(bytes);
    return { ok: true, records: records.length, tornBytes, head: Buffer.from(head).toString('hex') };
  } catch (error) {
    if (error instanceof Fault) return { ok: false, fault: error };
    throw error;
  }
}
