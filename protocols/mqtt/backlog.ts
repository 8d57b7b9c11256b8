import { badMessage, ByteReader, ByteWriter } from './bytes.ts';
import { crc32 } from './crc32.ts';

/** What an agent numbers by itself within a boot, the most important first: results and events, meters, racks. */
export const STREAMS = ['messages', 'meters', 'machines'] as const;
export type Stream = (typeof STREAMS)[number];

/** The stream of a frame of this group. */
export const streamOf = (group: string): Stream => (group === 'meters' ? 'meters' : 'machines');

const ITEM_KINDS = ['frame', 'result', 'event', 'energy'] as const;

/** A frame's bytes, or the JSON of a result, an event or intervals of energy, as they would have gone out at once. */
export interface BacklogItem {
  readonly kind: (typeof ITEM_KINDS)[number];
  readonly seq: number;
  readonly bytes: Uint8Array;
}

/** A piece of what could not be said, or was not heard, when it was new. */
export interface Segment {
  readonly site: string;
  readonly agent: string;
  /** The start of the agent that numbered what is inside; not always its present one. */
  readonly boot: number;
  readonly stream: Stream;
  /** Every number from here to `to` is inside, or was thinned out or lost and never comes. */
  readonly from: number;
  readonly to: number;
  /** Nothing below `from` is kept any more. */
  readonly oldest: boolean;
  /** By ascending number; differences among frames refer to frames before them in here. */
  readonly items: readonly BacklogItem[];
}

const MAGIC = 0x42;
const VERSION = 1;
const OLDEST = 1;
const MOST_ID_BYTES = 192;
const MOST_SEQ = 2 ** 48;
const MOST_ITEMS = 65_536;
/** Longest segment that is made or looked at. */
const MOST_SEGMENT_BYTES = 4 * 1_024 * 1_024;

/** The bytes of a segment. */
export function encodeSegment(segment: Segment): Uint8Array {
  const writer = new ByteWriter();
  writer.u8(MAGIC);
  writer.u8(VERSION);
  writer.u8(segment.oldest ? OLDEST : 0);
  writer.text(segment.site);
  writer.text(segment.agent);
  writer.u32(segment.boot);
  writer.u8(STREAMS.indexOf(segment.stream));
  writer.varint(segment.from);
  writer.varint(segment.to);
  writer.varint(segment.items.length);
  let seq = segment.from;
  for (const item of segment.items) {
    writer.u8(ITEM_KINDS.indexOf(item.kind));
    writer.varint(item.seq - seq);
    seq = item.seq + 1;
    writer.varint(item.bytes.length);
    writer.raw(item.bytes);
  }
  writer.u32(crc32(writer.view()));
  return writer.done();
}

/** Reads what encodeSegment wrote; throws Fault BUS_MESSAGE. Items are views of the bytes given. */
export function decodeSegment(bytes: Uint8Array): Segment {
  if (bytes.length > MOST_SEGMENT_BYTES)
    throw badMessage(`${bytes.length} bytes are more than any segment has`);
  if (bytes.length < 8) throw badMessage('it ends early');
  const body = bytes.subarray(0, bytes.length - 4);
  if (new ByteReader(bytes.subarray(bytes.length - 4)).u32() !== crc32(body))
    throw badMessage('its CRC is wrong');
  const reader = new ByteReader(body);
  if (reader.u8() !== MAGIC) throw badMessage('it is no segment');
  const version = reader.u8();
  if (version !== VERSION) throw badMessage(`segment version ${version}, not ${VERSION}`);
  const flags = reader.u8();
  if (flags > OLDEST) throw badMessage('unknown flags');
  const site = reader.text(MOST_ID_BYTES);
  const agent = reader.text(MOST_ID_BYTES);
  const boot = reader.u32();
  const stream = STREAMS[reader.u8()];
  if (stream === undefined) throw badMessage('unknown stream');
  const from = reader.varint(MOST_SEQ);
  const to = reader.varint(MOST_SEQ);
  const items = readItems(reader, from, to);
  if (reader.left !== 0) throw badMessage('bytes are left over');
  return { site, agent, boot, stream, from, to, oldest: flags === OLDEST, items };
}

function readItems(reader: ByteReader, from: number, to: number): readonly BacklogItem[] {
  const count = reader.varint(MOST_ITEMS);
  const items: BacklogItem[] = [];
  let next = from;
  for (let index = 0; index < count; index += 1) {
    const kind = ITEM_KINDS[reader.u8()];
    if (kind === undefined) throw badMessage('an item of unknown kind');
    const seq = next + reader.varint(MOST_SEQ);
    if (seq > to) throw badMessage(`number ${seq} is beyond ${to}`);
    next = seq + 1;
    items.push({ kind, seq, bytes: reader.raw(reader.varint(MOST_SEGMENT_BYTES)) });
  }
  return items;
}
