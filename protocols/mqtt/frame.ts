import { asFault } from '../faults.ts';
import type { Fault } from '../faults.ts';
import type { Readings } from '../reading.ts';
import { badMessage, ByteReader, ByteWriter } from './bytes.ts';
import { MOST_ROWS, readTable, writeTable } from './columns.ts';
import type { Table } from './columns.ts';
import { crc32 } from './crc32.ts';
import { readingsOf, tableOf } from './rows.ts';

/** Where a frame comes from and which one it is. */
export interface FrameHead {
  readonly site: string;
  readonly agent: string;
  /** Number of the agent's start, unsigned 32 bits: sequence numbers begin anew with it. */
  readonly boot: number;
  readonly seq: number;
  /** Rack id, or `meters`. */
  readonly group: string;
  /** UTC ms of the tick. */
  readonly tickMs: number;
  /** Ids of machines or meters. */
  readonly rows: readonly string[];
}

/** What one group's machines (or an agent's meters) said at one tick. */
export interface Frame extends FrameHead {
  /** One per row. */
  readonly cells: readonly Readings[];
}

/** A frame as columns, for whoever keeps columns. */
export interface FrameTable extends FrameHead {
  readonly table: Table;
}

/** What became of a message: `need-key` asks the agent for a key frame, `duplicate` is to be ignored. */
export type Decoded<Content> =
  | { readonly kind: 'frame'; readonly frame: Content }
  | {
      readonly kind: 'need-key' | 'duplicate';
      readonly site: string;
      readonly agent: string;
      readonly group: string;
    }
  | { readonly kind: 'fault'; readonly fault: Fault };

const MAGIC = 0x53;
const VERSION = 1;
const DELTA = 1;
const MOST_ID_BYTES = 192;
/** Longest frame that is looked at. */
const MOST_FRAME_BYTES = 4 * 1_024 * 1_024;
const MOST_SEQ = 2 ** 48;
/** Groups whose last frame a decoder keeps; the longest unheard one makes room. */
const MOST_GROUPS = 8_192;

/** The bytes of a frame: a key frame, or the difference to `previous`, which must be the frame sent last of this group. */
export function encodeFrame(frame: Frame, previous?: Frame): Uint8Array {
  const base = previous && { ...previous, table: tableOf(previous.cells, previous.tickMs) };
  return encodeTable({ ...frame, table: tableOf(frame.cells, frame.tickMs) }, base);
}

/** Every frame is written here and then copied: what most need is there already. */
const scratch = new ByteWriter();

/** As encodeFrame, from columns. A difference is made when boot and rows are the same, else a key frame. */
export function encodeTable(frame: FrameTable, previous?: FrameTable): Uint8Array {
  checkHead(frame);
  const base = previous && follows(frame, previous) ? previous : undefined;
  const writer = scratch;
  writer.clear();
  writer.u8(MAGIC);
  writer.u8(VERSION);
  writer.u8(base ? DELTA : 0);
  writer.text(frame.site);
  writer.text(frame.agent);
  writer.text(frame.group);
  writer.u32(frame.boot);
  writer.varint(frame.seq);
  writer.u48(frame.tickMs);
  if (base) writer.varint(frame.seq - base.seq);
  else {
    writer.varint(frame.rows.length);
    for (const row of frame.rows) writer.text(row);
  }
  writeTable(writer, frame.table, base?.table);
  writer.u32(crc32(writer.view()));
  return writer.done();
}

function checkHead(frame: FrameTable): void {
  const { rows, table, boot, seq, tickMs } = frame;
  if (rows.length !== table.rowCount || rows.length > MOST_ROWS) {
    throw badMessage(`${rows.length} rows of ${table.rowCount}, at most ${MOST_ROWS}`);
  }
  const whole = (value: number, below: number): boolean =>
    Number.isInteger(value) && value >= 0 && value < below;
  if (!whole(boot, 2 ** 32) || !whole(seq, MOST_SEQ) || !whole(tickMs, 2 ** 48)) {
    throw badMessage(`boot ${boot}, seq ${seq} or tick ${tickMs} is out of range`);
  }
  for (const id of [frame.site, frame.agent, frame.group, ...rows]) {
    // UTF-8 takes at most 3 bytes per UTF-16 unit.
    if (id.length * 3 > MOST_ID_BYTES) throw badMessage(`the id ${id.slice(0, 20)}… is too long`);
  }
}

function follows(frame: FrameHead, previous: FrameHead): boolean {
  return (
    frame.boot === previous.boot &&
    frame.seq > previous.seq &&
    frame.group === previous.group &&
    frame.agent === previous.agent &&
    frame.rows.length === previous.rows.length &&
    frame.rows.every((row, index) => row === previous.rows[index])
  );
}

/** Decodes the frames of many agents; keeps the last of each group, which differences refer to. Never throws. */
export class FrameDecoder {
  readonly #last = new Map<string, FrameTable>();

  /** The frame with its readings, or of them only the quantities in `wanted`. */
  decode(bytes: Uint8Array, wanted?: ReadonlySet<string>): Decoded<Frame> {
    const decoded = this.decodeTable(bytes);
    if (decoded.kind !== 'frame') return decoded;
    const { table, ...head } = decoded.frame;
    return { kind: 'frame', frame: { ...head, cells: readingsOf(table, wanted) } };
  }

  /** The frame as columns: no object per cell is made. */
  decodeTable(bytes: Uint8Array): Decoded<FrameTable> {
    try {
      return this.#read(bytes);
    } catch (error) {
      return { kind: 'fault', fault: asFault(error, 'BUS_MESSAGE') };
    }
  }

  /** Forgets an agent's frames, so that only key frames of it are understood next. */
  forget(site: string, agent: string): void {
    for (const [name, frame] of this.#last) {
      if (frame.site === site && frame.agent === agent) this.#last.delete(name);
    }
  }

  #read(bytes: Uint8Array): Decoded<FrameTable> {
    const reader = openFrame(bytes);
    const isDelta = readMarks(reader);
    const site = reader.text(MOST_ID_BYTES);
    const agent = reader.text(MOST_ID_BYTES);
    const group = reader.text(MOST_ID_BYTES);
    const boot = reader.u32();
    const seq = reader.varint(MOST_SEQ);
    const tickMs = reader.u48();
    const name = `${site.length} ${agent.length} ${site}${agent}${group}`;
    const last = this.#last.get(name);
    if (last && last.boot === boot && seq <= last.seq) return { kind: 'duplicate', site, agent, group };
    let rows: readonly string[];
    let base: FrameTable | undefined;
    if (isDelta) {
      const baseSeq = seq - reader.varint(MOST_SEQ);
      if (!last || last.boot !== boot || last.seq !== baseSeq)
        return { kind: 'need-key', site, agent, group };
      base = last;
      rows = last.rows;
    } else rows = readRows(reader);
    const table = readTable(reader, { rowCount: rows.length, tickMs }, base?.table);
    if (reader.left !== 0) throw badMessage('bytes are left over');
    const frame: FrameTable = { site, agent, boot, seq, group, tickMs, rows, table };
    this.#keep(name, frame);
    return { kind: 'frame', frame };
  }

  #keep(name: string, frame: FrameTable): void {
    this.#last.delete(name);
    this.#last.set(name, frame);
    const [oldest] = this.#last.keys();
    if (this.#last.size > MOST_GROUPS && oldest !== undefined) this.#last.delete(oldest);
  }
}

/** Checks length and CRC and opens what is before it. */
function openFrame(bytes: Uint8Array): ByteReader {
  if (bytes.length > MOST_FRAME_BYTES) throw badMessage(`${bytes.length} bytes are more than any frame has`);
  if (bytes.length < 8) throw badMessage('it ends early');
  const body = bytes.subarray(0, bytes.length - 4);
  if (new ByteReader(bytes.subarray(bytes.length - 4)).u32() !== crc32(body))
    throw badMessage('its CRC is wrong');
  return new ByteReader(body);
}

/** Magic, version and flags: whether it is a difference. */
function readMarks(reader: ByteReader): boolean {
  if (reader.u8() !== MAGIC) throw badMessage('it is no frame');
  const version = reader.u8();
  if (version !== VERSION) throw badMessage(`frame version ${version}, not ${VERSION}`);
  const flags = reader.u8();
  if (flags > DELTA) throw badMessage('unknown flags');
  return flags === DELTA;
}

function readRows(reader: ByteReader): readonly string[] {
  const count = reader.varint(MOST_ROWS);
  const rows: string[] = [];
  for (let index = 0; index < count; index += 1) rows.push(reader.text(MOST_ID_BYTES));
  return rows;
}
