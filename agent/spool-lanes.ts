import { STREAMS } from '../protocols/mqtt/backlog.ts';
import type { Stream } from '../protocols/mqtt/backlog.ts';
import type { FrameTable } from '../protocols/mqtt/frame.ts';
import { Chain } from './core/spool-thin.ts';
import type { SpoolRecord } from './core/spool-record.ts';
import type { Chunk } from './spool-files.ts';

/** One stream of one start of the agent: what of it is not stored yet, in order. */
export interface Lane {
  readonly boot: number;
  readonly stream: Stream;
  readonly chunks: Chunk[];
  /** Frames of the last moment, behind the last chunk: as tables, not yet encoded to be kept. */
  readonly young: { readonly table: FrameTable; readonly live: boolean; readonly atMs: number }[];
  /** Everything up to here is stored; -1: nothing. */
  acked: number;
  /** The highest number that went out. */
  sentTo: number;
  /** Number of the next record. */
  next: number;
  /** Monotonic ms when an acknowledgement last brought something, or something was sent after all was stored. */
  movedMs: number;
  /** Of the chunk that is written to. */
  chain: Chain;
}

/** An empty lane. */
export const makeLane = (boot: number, stream: Stream, nowMs: number): Lane => ({
  boot,
  stream,
  chunks: [],
  young: [],
  acked: -1,
  sentTo: -1,
  next: 0,
  movedMs: nowMs,
  chain: new Chain(),
});

const RECORD_HEAD_BYTES = 40;

/** All lanes of a spool, in the order in which they are sent: by importance, then the oldest start first. */
export class SpoolLanes {
  #lanes: readonly Lane[];
  readonly #own: readonly Lane[];

  constructor(own: readonly Lane[]) {
    this.#own = own;
    this.#lanes = sorted(own, own);
  }

  get all(): readonly Lane[] {
    return this.#lanes;
  }

  get spooled(): number {
    return this.#lanes.reduce(
      (sum, lane) => lane.chunks.reduce((chunks, chunk) => chunks + chunk.count, sum + lane.young.length),
      0,
    );
  }

  /** Pieces that were sent as backlog and are not stored yet. */
  get sent(): number {
    return this.#lanes.reduce(
      (sum, lane) => sum + lane.chunks.filter((chunk) => chunk.state === 'sent').length,
      0,
    );
  }

  find(boot: number, stream: Stream): Lane | undefined {
    return this.#lanes.find((lane) => lane.boot === boot && lane.stream === stream);
  }

  /** Takes in a chunk found on the disk; false when it is not of an earlier start. */
  found(chunk: Chunk, nowMs: number): boolean {
    let lane = this.find(chunk.boot, chunk.stream);
    if (lane !== undefined && this.#own.includes(lane)) return false;
    if (lane === undefined) {
      lane = { ...makeLane(chunk.boot, chunk.stream, nowMs), acked: chunk.first - 1 };
      this.#lanes = sorted([...this.#lanes, lane], this.#own);
    }
    lane.chunks.push(chunk);
    lane.next = chunk.to + 1;
    lane.sentTo = chunk.to;
    return true;
  }

  begin(lane: Lane, live: boolean, nowMs: number): Chunk {
    const { boot, stream } = lane;
    const chunk: Chunk = {
      boot,
      stream,
      first: -1,
      to: -1,
      count: 0,
      bytes: 0,
      level: 0,
      state: live ? 'live' : 'waiting',
      sealed: false,
      busy: false,
      gone: false,
      sinceMs: nowMs,
      records: [],
      written: 0,
      path: undefined,
    };
    lane.chunks.push(chunk);
    lane.chain = new Chain();
    return chunk;
  }

  add(chunk: Chunk, record: SpoolRecord): void {
    if (chunk.count === 0) chunk.first = record.seq;
    chunk.to = record.seq;
    chunk.count += 1;
    chunk.bytes += record.payload.length + RECORD_HEAD_BYTES;
    chunk.records?.push(record);
  }

  /** Everything of this lane up to `seq` is stored; gives the chunks that are not needed any more. */
  store(lane: Lane, seq: number, nowMs: number): readonly Chunk[] {
    // What never went out cannot be stored, whatever the number says.
    const acked = Math.min(seq, lane.sentTo);
    if (acked <= lane.acked) return [];
    lane.acked = acked;
    lane.movedMs = nowMs;
    while ((lane.young[0]?.table.seq ?? Infinity) <= acked) lane.young.shift();
    const stored = lane.chunks.filter((chunk) => chunk.to <= acked);
    lane.chunks.splice(0, stored.length);
    this.#forgetEmpty();
    return stored;
  }

  /** Takes out a chunk that is let go. */
  remove(chunk: Chunk): void {
    const lane = this.find(chunk.boot, chunk.stream);
    const at = lane?.chunks.indexOf(chunk) ?? -1;
    if (at >= 0) lane?.chunks.splice(at, 1);
    this.#forgetEmpty();
  }

  /** The first piece to be sent as backlog. */
  firstWaiting(): { readonly lane: Lane; readonly chunk: Chunk } | undefined {
    for (const lane of this.#lanes) {
      const chunk = lane.chunks.find((one) => one.state === 'waiting');
      if (chunk !== undefined) return { lane, chunk };
    }
    return undefined;
  }

  waits(stream: Stream): boolean {
    return this.#lanes.some(
      (lane) => lane.stream === stream && lane.chunks.some((chunk) => chunk.state === 'waiting'),
    );
  }

  /** No backlog is left: nothing waits, and what was sent as such is stored. */
  isThrough(): boolean {
    return this.#lanes.every((lane) => lane.chunks.every((chunk) => chunk.state === 'live'));
  }

  /** Whether something went out that is not stored yet. */
  isSent(lane: Lane): boolean {
    return lane.sentTo > lane.acked;
  }

  /** Numbers between the chunk before this one of its lane and its first. */
  gapBefore(chunk: Chunk): number {
    const chunks = this.find(chunk.boot, chunk.stream)?.chunks ?? [];
    const before = chunks[chunks.indexOf(chunk) - 1];
    return before === undefined ? 0 : chunk.first - before.to - 1;
  }

  keptFrom(lane: Lane): number {
    return lane.chunks[0]?.first ?? lane.young[0]?.table.seq ?? lane.next;
  }

  #forgetEmpty(): void {
    if (this.#lanes.some((lane) => lane.chunks.length === 0 && !this.#own.includes(lane)))
      this.#lanes = this.#lanes.filter((lane) => lane.chunks.length > 0 || this.#own.includes(lane));
  }
}

/** By importance; within a stream the earlier starts in the order in which they were found, then this one. */
function sorted(lanes: readonly Lane[], own: readonly Lane[]): readonly Lane[] {
  return STREAMS.flatMap((stream) => {
    const those = lanes.filter((lane) => lane.stream === stream);
    return [...those.filter((lane) => !own.includes(lane)), ...those.filter((lane) => own.includes(lane))];
  });
}
