import { ByteReader, ByteWriter } from '../../protocols/mqtt/bytes.ts';
import { crc32 } from '../../protocols/mqtt/crc32.ts';

const KINDS = ['frame', 'result', 'event', 'seal', 'energy'] as const;

/** What stands in a file of the spool: a frame, or a result, an event or intervals of energy as JSON. `seal`: `seq` was the last one. */
export interface SpoolRecord {
  readonly kind: (typeof KINDS)[number];
  readonly seq: number;
  /** Of a frame that is a difference: how far back the one is, in the same file, that it was made against; else 0. */
  readonly back: number;
  /** UTC ms of a frame's tick; 0 for the others. */
  readonly tickMs: number;
  /** Of a frame: rack id or `meters`. */
  readonly group: string;
  readonly payload: Uint8Array;
}

/** The file as it was found: its records in order, whether anything in front of the last good one was not readable. */
export interface ReadRecords {
  readonly records: readonly SpoolRecord[];
  /** Stretches of bytes in front of a good record that are none, and differences that nobody can read for it. */
  readonly damaged: number;
  /** Bytes behind the last good record: what a crash broke off. */
  readonly tornBytes: number;
}

const MAGIC = 0x4c50_5359;
const HEAD_BYTES = 12;
const MOST_BODY_BYTES = 4 * 1_024 * 1_024;
const MOST_GROUP_BYTES = 192;

/** One record: magic (u32), length of the body (u32), CRC-32 of length and body (u32), body. Little-endian. */
export function encodeSpoolRecord(record: SpoolRecord): Uint8Array {
  const body = new ByteWriter();
  body.u8(KINDS.indexOf(record.kind));
  body.varint(record.seq);
  body.varint(record.back);
  body.u48(record.tickMs);
  body.text(record.group);
  body.raw(record.payload);
  const bytes = new Uint8Array(HEAD_BYTES + body.size);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, MAGIC, true);
  view.setUint32(4, body.size, true);
  bytes.set(body.view(), HEAD_BYTES);
  view.setUint32(8, checkOf(view, bytes.subarray(HEAD_BYTES)), true);
  return bytes;
}

/** The CRC of the body, with the length mixed in: a body read at another length never fits. */
const checkOf = (view: DataView, body: Uint8Array): number => (crc32(body) ^ view.getUint32(4, true)) >>> 0;

/** Reads a file back. What is damaged is stepped over to the next good record and counted; never throws. */
export function readSpoolRecords(bytes: Uint8Array): ReadRecords {
  const records: SpoolRecord[] = [];
  let damaged = 0;
  let at = 0;
  let goodEnd = 0;
  while (at < bytes.length) {
    const found = recordAt(bytes, at);
    if (found === undefined) {
      at += 1;
      continue;
    }
    if (at > goodEnd) damaged += 1;
    if (found.record.kind !== 'seal') records.push(found.record);
    at += found.size;
    goodEnd = at;
  }
  const readable = whole(records);
  damaged += records.length - readable.length;
  return { records: readable, damaged, tornBytes: bytes.length - goodEnd };
}

function recordAt(bytes: Uint8Array, at: number): { record: SpoolRecord; size: number } | undefined {
  if (bytes.length - at < HEAD_BYTES || bytes[at] !== (MAGIC & 0xff)) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset + at, HEAD_BYTES);
  const length = view.getUint32(4, true);
  if (
    view.getUint32(0, true) !== MAGIC ||
    length > MOST_BODY_BYTES ||
    length > bytes.length - at - HEAD_BYTES
  )
    return undefined;
  const body = bytes.subarray(at + HEAD_BYTES, at + HEAD_BYTES + length);
  if (checkOf(view, body) !== view.getUint32(8, true)) return undefined;
  try {
    const reader = new ByteReader(body);
    const kind = KINDS[reader.u8()];
    if (kind === undefined) return undefined;
    const seq = reader.varint();
    const back = reader.varint();
    const tickMs = reader.u48();
    const group = reader.text(MOST_GROUP_BYTES);
    return { record: { kind, seq, back, tickMs, group, payload: reader.rest() }, size: HEAD_BYTES + length };
  } catch {
    return undefined;
  }
}

/** Leaves out every difference whose predecessor is not here: nobody could read it. */
function whole(records: readonly SpoolRecord[]): SpoolRecord[] {
  const last = new Map<string, number>();
  return records.filter(({ kind, seq, back, group }) => {
    if (back > 0 && last.get(group) !== seq - back) return false;
    if (kind === 'frame') last.set(group, seq);
    return true;
  });
}
