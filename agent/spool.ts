/**
 * What the controller must get, kept until it says that it is stored: frames until their number is acknowledged,
 * results and events until a frame sent after them is. In memory only: an agent that dies loses what was not stored
 * yet (the spool on disk is a later release). After a loss of connection everything unacknowledged goes out again in
 * order, results and events before frames; while offline, frames are thinned so that the way back to live data
 * stays short. Frames go strictly by number: a receiver takes a number below its last for a duplicate.
 */
import type { Bus, Clock } from '../host/deps.ts';
import { encodeTable } from '../protocols/mqtt/frame.ts';
import type { FrameTable } from '../protocols/mqtt/frame.ts';

export interface SpoolOptions {
  readonly bus: Bus;
  readonly clock: Clock;
  readonly frameTopic: string;
  readonly mostFrames?: number;
  readonly mostBytes?: number;
  readonly mostMessages?: number;
}

export interface Spool {
  frame(table: FrameTable): void;
  message(topic: string, payload: Uint8Array): void;
  /** Everything up to this frame is stored. */
  ack(seq: number): void;
  /** A new connection or a new controller: say everything unacknowledged again, beginning with key frames. */
  rewind(): void;
  /** Tries again after a failure; called once a second. */
  tick(): void;
  readonly spooled: number;
  readonly dropped: number;
  /** Number of the oldest frame kept, or of the next one: what is missing below it will never come. */
  readonly keptFrom: number;
}

interface KeptFrame {
  readonly table: FrameTable;
  readonly bytes: number;
}

interface KeptMessage {
  readonly topic: string;
  readonly payload: Uint8Array;
  sent: boolean;
  /** Number of the newest frame when it went out. */
  sentAtSeq: number;
}

const WINDOW = 16;
/** A key frame at least this often per group, so that a receiver that missed one catches up. */
const KEY_EVERY = 15;
/** While offline and half full, one frame per group and this time is kept. */
const THIN_MS = 10_000;

class MemorySpool implements Spool {
  dropped = 0;
  readonly #options: Required<SpoolOptions>;
  #frames: KeptFrame[] = [];
  #bytes = 0;
  /** Place in `#frames` of the next to send. */
  #next = 0;
  #messages: KeptMessage[] = [];
  #inFlight = 0;
  /** Tells answers of an earlier connection. */
  #round = 0;
  #lastSeq = -1;
  #newestSeq = -1;
  readonly #chain = new Map<string, { last: FrameTable; since: number }>();
  readonly #keptAtMs = new Map<string, number>();

  constructor(options: SpoolOptions) {
    this.#options = { mostFrames: 20_000, mostBytes: 32 * 1024 * 1024, mostMessages: 4_000, ...options };
  }

  get spooled(): number {
    return this.#frames.length;
  }

  get keptFrom(): number {
    return this.#frames[0]?.table.seq ?? this.#newestSeq + 1;
  }

  frame(table: FrameTable): void {
    this.#newestSeq = table.seq;
    if (!this.#options.bus.connected && this.#isHalfFull() && this.#thin(table)) return;
    const bytes = bytesOf(table);
    this.#frames.push({ table, bytes });
    this.#bytes += bytes;
    this.#bound();
    this.#pump();
  }

  message(topic: string, payload: Uint8Array): void {
    this.#messages.push({ topic, payload, sent: false, sentAtSeq: 0 });
    if (this.#messages.length > this.#options.mostMessages) {
      this.#messages.shift();
      this.dropped += 1;
    }
    this.#pump();
  }

  ack(seq: number): void {
    let stored = 0;
    // What never went out cannot be stored, whatever the number says.
    while (stored < this.#next && (this.#frames[stored]?.table.seq ?? Infinity) <= seq) {
      this.#bytes -= this.#frames[stored]?.bytes ?? 0;
      stored += 1;
    }
    if (stored > 0) this.#frames.splice(0, stored);
    this.#next -= stored;
    this.#messages = this.#messages.filter((message) => !message.sent || message.sentAtSeq >= seq);
  }

  rewind(): void {
    this.#round += 1;
    this.#inFlight = 0;
    this.#next = 0;
    this.#chain.clear();
    this.#keptAtMs.clear();
    for (const message of this.#messages) message.sent = false;
    this.#pump();
  }

  tick(): void {
    this.#pump();
  }

  #isHalfFull(): boolean {
    const { mostFrames, mostBytes } = this.#options;
    return this.#frames.length * 2 > mostFrames || this.#bytes * 2 > mostBytes;
  }

  /** True when the frame is left out because one of its group was kept a moment ago. */
  #thin(table: FrameTable): boolean {
    const nowMs = this.#options.clock.monoMs();
    const keptMs = this.#keptAtMs.get(table.group);
    if (keptMs !== undefined && nowMs - keptMs < THIN_MS) {
      this.dropped += 1;
      return true;
    }
    this.#keptAtMs.set(table.group, nowMs);
    return false;
  }

  #bound(): void {
    const { mostFrames, mostBytes } = this.#options;
    let drop = 0;
    while (
      this.#frames.length - drop > mostFrames ||
      (this.#bytes > mostBytes && this.#frames.length - drop > 1)
    ) {
      this.#bytes -= this.#frames[drop]?.bytes ?? 0;
      drop += 1;
    }
    if (drop === 0) return;
    this.#frames.splice(0, drop);
    this.dropped += drop;
    this.#next = Math.max(0, this.#next - drop);
  }

  #pump(): void {
    const { bus } = this.#options;
    if (!bus.connected) return;
    for (const message of this.#messages) {
      if (this.#inFlight >= WINDOW) return;
      if (message.sent) continue;
      message.sent = true;
      message.sentAtSeq = this.#lastSeq;
      this.#send(message.topic, message.payload);
    }
    for (
      let kept = this.#frames[this.#next];
      kept !== undefined && this.#inFlight < WINDOW;
      kept = this.#frames[this.#next]
    ) {
      this.#next += 1;
      this.#lastSeq = Math.max(this.#lastSeq, kept.table.seq);
      this.#send(this.#options.frameTopic, this.#encode(kept.table));
    }
  }

  #encode(table: FrameTable): Uint8Array {
    const chain = this.#chain.get(table.group);
    const previous = chain !== undefined && chain.since < KEY_EVERY ? chain.last : undefined;
    this.#chain.set(table.group, {
      last: table,
      since: previous === undefined ? 0 : (chain?.since ?? 0) + 1,
    });
    return encodeTable(table, previous);
  }

  #send(topic: string, payload: Uint8Array): void {
    const round = this.#round;
    this.#inFlight += 1;
    this.#options.bus.publish(topic, payload, { qos: 1 }).then(
      () => {
        if (round !== this.#round) return;
        this.#inFlight -= 1;
        this.#pump();
      },
      () => {
        // Nothing is known of this one: the next round says it again, after a pause so that a failure does not spin.
        if (round !== this.#round) return;
        this.#round += 1;
        this.#inFlight = WINDOW;
        this.#options.clock.after(1_000, () => {
          if (this.#round === round + 1) this.rewind();
        });
      },
    );
  }
}

/** Bytes a frame takes in memory, roughly: typed arrays per column and their own heads. */
function bytesOf({ table }: FrameTable): number {
  return (
    300 + table.columns.length * (250 + table.rowCount * 9) + table.ages.length * (120 + table.rowCount * 8)
  );
}

/** A spool in memory, bounded in count and bytes. */
export const makeSpool = (options: SpoolOptions): Spool => new MemorySpool(options);
