/**
 * What the controller must get, kept until it says that it is stored. Everything has a number in its stream (results
 * and events, meters, machines) of this start of the agent. What is new goes out at once; what could not, or may not
 * have been heard, follows as backlog, at a bounded rate and in order: results and events, then meters, then machines,
 * of earlier starts before this one. What is not acknowledged within a moment stands on the disk; when room ends,
 * readings are thinned before any is let go, and it is said how many.
 */
import type { Bus, Clock, Disk } from '../host/deps.ts';
import type { DiskRoom } from '../host/disk-room.ts';
import { asFault } from '../protocols/faults.ts';
import type { Fault } from '../protocols/faults.ts';
import { encodeSegment, STREAMS, streamOf } from '../protocols/mqtt/backlog.ts';
import type { Stream } from '../protocols/mqtt/backlog.ts';
import type { FrameTable } from '../protocols/mqtt/frame.ts';
import type { Status, Stored } from '../protocols/mqtt/status.ts';
import { agentTopic } from '../protocols/mqtt/topics.ts';
import { Chain, rechain } from './core/spool-thin.ts';
import type { Limits } from './core/spool-thin.ts';
import type { SpoolRecord } from './core/spool-record.ts';
import { SpoolFiles } from './spool-files.ts';
import type { Chunk } from './spool-files.ts';
import { makeLane, SpoolLanes } from './spool-lanes.ts';
import type { Lane } from './spool-lanes.ts';
import { SpoolRoom } from './spool-room.ts';

/** What stands in the stream of messages. */
type MessageKind = 'result' | 'event' | 'energy';

export interface SpoolOptions {
  readonly bus: Bus;
  readonly clock: Clock;
  readonly disk: Disk;
  readonly site: string;
  readonly agent: string;
  readonly boot: number;
  /** Path and beginning of the names of its files. */
  readonly prefix: string;
  readonly limits: Limits;
  /** How much room the disk has; absent: enough. */
  readonly diskRoom?: () => DiskRoom;
  /** The backlog takes at most this much of the wire, bytes per second. */
  readonly backlogBytesPerS: number;
  /** Bytes of one piece of backlog; absent: 64 KiB. */
  readonly chunkBytes?: number;
  readonly alarms: SpoolAlarms;
}

/** Where the spool says what an operator should know. */
export interface SpoolAlarms {
  onDisk(fault: Fault | undefined): void;
  /** Readings were left out or let go for lack of room; `over`: the backlog is through. */
  onLoss(text: string, over: boolean): void;
  onDamage(text: string): void;
}

export interface Spool {
  /** Numbers a frame and takes it. */
  frame(table: Omit<FrameTable, 'seq' | 'boot'>): void;
  /** Numbers a result, an event or intervals of energy and takes them; `make` gives the bytes for the number. */
  message(kind: MessageKind, make: (seq: number) => Uint8Array): void;
  /** The controller has this much, of this start and of earlier ones. */
  ack(stored: readonly Stored[]): void;
  /** A new connection or a new controller: everything unacknowledged becomes backlog. */
  rewind(): void;
  /** Once a second: writes, sends, makes room. */
  tick(): void;
  /** Writes down what is not yet on the disk. */
  stop(): Promise<void>;
  status(): Pick<Status, 'spooled' | 'thinned' | 'dropped' | 'damaged' | 'keptFrom'>;
}

const CHUNK_BYTES = 64 * 1_024;
/** What is acknowledged within this time never touches the disk, ms. */
const YOUNG_MS = 2_000;
/** New ones under way to the broker at most: behind a slower wire they become backlog. */
const MOST_FLYING = 64;
/** Pieces of backlog sent and not yet acknowledged. */
const MOST_SENT = 8;
/** Something sent is said again when a controller that speaks has not acknowledged it for this long, ms. */
const STUCK_MS = 10_000;
const ACKS_EVERY_MS = 3_000;
/** A piece that the disk does not give is tried this often. */
const MOST_TRIES = 5;

/** A spool on disk. */
export function makeSpool(options: SpoolOptions): Spool {
  return new DiskSpool(options);
}

class DiskSpool implements Spool {
  readonly #options: SpoolOptions;
  readonly #files: SpoolFiles;
  readonly #lanes: SpoolLanes;
  readonly #room: SpoolRoom;
  readonly #own: Readonly<Record<Stream, Lane>>;
  readonly #tries = new Map<Chunk, number>();
  #live = new Chain();
  #flying = 0;
  /** Tells answers of an earlier connection. */
  #round = 0;
  #budgetBytes: number;
  #draining = false;
  #stopped = false;
  #ackMs = -Infinity;
  #damaged = 0;

  constructor(options: SpoolOptions) {
    this.#options = options;
    const { boot, clock, alarms, diskRoom = () => 'ample' } = options;
    this.#budgetBytes = options.backlogBytesPerS;
    this.#files = new SpoolFiles({
      ...options,
      diskRoom,
      onTrouble: (fault) => alarms.onDisk(fault),
      onWell: () => alarms.onDisk(undefined),
      onDamage: (path, count) => {
        this.#damaged += count;
        alarms.onDamage(`${count} records of ${path} cannot be read; they are left out`);
      },
    });
    const lane = (stream: Stream): Lane => makeLane(boot, stream, clock.monoMs());
    this.#own = { messages: lane('messages'), meters: lane('meters'), machines: lane('machines') };
    this.#lanes = new SpoolLanes(Object.values(this.#own));
    this.#room = new SpoolRoom({
      lanes: this.#lanes,
      files: this.#files,
      clock,
      limits: options.limits,
      diskRoom,
      onLoss: (text, over) => alarms.onLoss(text, over),
    });
    void this.#find();
  }

  frame(head: Omit<FrameTable, 'seq' | 'boot'>): void {
    const lane = this.#own[streamOf(head.group)];
    const table: FrameTable = { ...head, boot: this.#options.boot, seq: lane.next++ };
    const live = this.#canGo();
    if (live) {
      this.#sends(lane, table.seq);
      this.#publish('frame', this.#live.next(table).payload);
    } else this.#live = new Chain();
    lane.young.push({ table, live, atMs: this.#options.clock.monoMs() });
    if (!live) this.#keepYoung(lane, Infinity);
  }

  message(kind: MessageKind, make: (seq: number) => Uint8Array): void {
    const lane = this.#own.messages;
    const seq = lane.next++;
    const payload = make(seq);
    // In order: an alarm's end must not overtake its beginning.
    const live = this.#canGo() && !this.#lanes.waits('messages');
    if (live) {
      this.#sends(lane, seq);
      this.#publish(kind, payload);
    }
    this.#keep(lane, live, () => ({ kind, seq, back: 0, tickMs: 0, group: '', payload }));
    void this.#files.flush();
  }

  ack(stored: readonly Stored[]): void {
    const nowMs = this.#options.clock.monoMs();
    this.#ackMs = nowMs;
    for (const one of stored)
      for (const stream of STREAMS) {
        const lane = this.#lanes.find(one.boot, stream);
        if (lane !== undefined)
          for (const chunk of this.#lanes.store(lane, one[stream], nowMs)) this.#files.remove(chunk);
      }
    if (this.#lanes.isThrough()) this.#room.through();
    void this.#drain();
  }

  rewind(): void {
    this.#round += 1;
    this.#flying = 0;
    this.#live = new Chain();
    for (const lane of this.#lanes.all) this.#rewindLane(lane);
    void this.#files.flush();
    void this.#drain();
  }

  tick(): void {
    if (this.#stopped) return;
    const { clock, bus, backlogBytesPerS } = this.#options;
    const nowMs = clock.monoMs();
    this.#budgetBytes = Math.min(this.#budgetBytes + backlogBytesPerS, backlogBytesPerS);
    for (const lane of Object.values(this.#own))
      this.#keepYoung(lane, bus.connected ? nowMs - YOUNG_MS : Infinity);
    if (bus.connected && nowMs - this.#ackMs < ACKS_EVERY_MS)
      for (const lane of this.#lanes.all)
        if (
          lane.chunks[0]?.state !== 'waiting' &&
          this.#lanes.isSent(lane) &&
          nowMs - lane.movedMs > STUCK_MS
        ) {
          lane.movedMs = nowMs;
          this.#live = new Chain();
          this.#rewindLane(lane);
        }
    void this.#files.flush();
    void this.#drain();
    void this.#room.make();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#round += 1;
    for (const lane of Object.values(this.#own)) this.#keepYoung(lane, Infinity);
    await this.#files.flush();
  }

  status(): ReturnType<Spool['status']> {
    const { messages, meters, machines } = this.#own;
    return {
      spooled: this.#lanes.spooled,
      thinned: this.#room.thinned,
      dropped: this.#room.dropped,
      damaged: this.#damaged,
      keptFrom: {
        messages: this.#lanes.keptFrom(messages),
        meters: this.#lanes.keptFrom(meters),
        machines: this.#lanes.keptFrom(machines),
      },
    };
  }

  /** Finds what earlier starts left; until the disk gives its list nothing is written. */
  async #find(): Promise<void> {
    try {
      await this.#files.find((chunk) => {
        // No two starts share a number; if they do, what the earlier one said cannot be told from what this one says.
        if (this.#lanes.found(chunk, this.#options.clock.monoMs())) this.#room.found(chunk);
        else this.#room.drop(chunk);
      });
      void this.#drain();
    } catch (error) {
      this.#options.alarms.onDisk(asFault(error, 'DISK_FAILED'));
      this.#options.clock.after(2_000, () => {
        if (!this.#stopped) void this.#find();
      });
    }
  }

  #canGo(): boolean {
    return this.#options.bus.connected && this.#flying < MOST_FLYING && !this.#stopped;
  }

  #sends(lane: Lane, to: number): void {
    if (!this.#lanes.isSent(lane)) lane.movedMs = this.#options.clock.monoMs();
    lane.sentTo = Math.max(lane.sentTo, to);
  }

  /** Moves what was not acknowledged within its moment into chunks, which go to the disk. */
  #keepYoung(lane: Lane, beforeMs: number): void {
    for (let young = lane.young[0]; young !== undefined && young.atMs <= beforeMs; young = lane.young[0]) {
      const { table, live } = young;
      lane.young.shift();
      this.#keep(lane, live, (chain) => chain.next(table));
    }
  }

  #keep(lane: Lane, live: boolean, make: (chain: Chain) => SpoolRecord): void {
    let chunk = lane.chunks.at(-1);
    const most = this.#options.chunkBytes ?? CHUNK_BYTES;
    const fits = chunk !== undefined && (chunk.state === 'live') === live && chunk.bytes < most;
    if (chunk === undefined || chunk.sealed || !fits) {
      if (chunk !== undefined) this.#seal(chunk);
      chunk = this.#lanes.begin(lane, live, this.#options.clock.monoMs());
    }
    this.#lanes.add(chunk, make(lane.chain));
    this.#files.note(chunk);
  }

  #seal(chunk: Chunk): void {
    if (chunk.sealed) return;
    chunk.sealed = true;
    this.#files.note(chunk);
  }

  #rewindLane(lane: Lane): void {
    this.#keepYoung(lane, Infinity);
    for (const chunk of lane.chunks) {
      this.#seal(chunk);
      chunk.state = 'waiting';
    }
  }

  async #drain(): Promise<void> {
    if (this.#draining) return;
    this.#draining = true;
    for (let next = this.#nextWaiting(); next !== undefined; next = this.#nextWaiting())
      await this.#send(next.lane, next.chunk);
    this.#draining = false;
  }

  #nextWaiting(): { readonly lane: Lane; readonly chunk: Chunk } | undefined {
    if (!this.#canGo() || this.#budgetBytes <= 0 || this.#lanes.sent >= MOST_SENT) return undefined;
    const next = this.#lanes.firstWaiting();
    return next?.chunk.busy === true ? undefined : next;
  }

  async #send(lane: Lane, chunk: Chunk): Promise<void> {
    const round = this.#round;
    this.#seal(chunk);
    chunk.busy = true;
    let records: readonly SpoolRecord[];
    try {
      records = await this.#files.load(chunk);
    } catch (error) {
      this.#options.alarms.onDisk(asFault(error, 'DISK_FAILED'));
      const tries = (this.#tries.get(chunk) ?? 0) + 1;
      this.#tries.set(chunk, tries);
      // Not at once again, and not for ever: what stands behind it waits.
      this.#budgetBytes = 0;
      if (tries >= MOST_TRIES) this.#room.drop(chunk);
      return;
    } finally {
      chunk.busy = false;
    }
    if (round !== this.#round || chunk.gone || chunk.state !== 'waiting') return;
    this.#tries.delete(chunk);
    this.#budgetBytes -= chunk.bytes;
    chunk.state = 'sent';
    this.#sends(lane, chunk.to);
    this.#publish('backlog', this.#segmentOf(lane, chunk, records), lane);
  }

  #segmentOf(lane: Lane, chunk: Chunk, records: readonly SpoolRecord[]): Uint8Array {
    const { site, agent } = this.#options;
    const before = lane.chunks[lane.chunks.indexOf(chunk) - 1];
    const acked = (records[0]?.seq ?? Infinity) <= lane.acked;
    const wanted = acked ? rechain(records, ({ seq }) => seq > lane.acked) : records;
    const items = wanted.flatMap(({ kind, seq, payload }) =>
      kind === 'seal' ? [] : [{ kind, seq, bytes: payload }],
    );
    return encodeSegment({
      site,
      agent,
      boot: lane.boot,
      stream: lane.stream,
      from: Math.max(lane.acked, before?.to ?? -1) + 1,
      to: chunk.to,
      oldest: before === undefined,
      items,
    });
  }

  #publish(kind: 'frame' | MessageKind | 'backlog', payload: Uint8Array, lane?: Lane): void {
    const { bus, site, agent, clock } = this.#options;
    const round = this.#round;
    this.#flying += 1;
    bus.publish(agentTopic(site, agent, kind), payload, { qos: 1 }).then(
      () => {
        if (round !== this.#round) return;
        this.#flying -= 1;
        if (lane !== undefined) lane.movedMs = clock.monoMs();
        void this.#drain();
      },
      () => {
        // Nothing is known of this one: everything is said again, after a pause so that a failure does not spin.
        if (round !== this.#round) return;
        this.#round += 1;
        this.#flying = MOST_FLYING;
        clock.after(1_000, () => {
          if (this.#round === round + 1 && !this.#stopped) this.rewind();
        });
      },
    );
  }
}
