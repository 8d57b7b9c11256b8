import type { Clock } from '../host/deps.ts';
import type { DiskRoom } from '../host/disk-room.ts';
import { relieve, thinned } from './core/spool-thin.ts';
import type { Limits, Piece } from './core/spool-thin.ts';
import type { Chunk, SpoolFiles } from './spool-files.ts';
import type { SpoolLanes } from './spool-lanes.ts';

export interface SpoolRoomOptions {
  readonly lanes: SpoolLanes;
  readonly files: SpoolFiles;
  readonly clock: Clock;
  readonly limits: Limits;
  readonly diskRoom: () => DiskRoom;
  readonly onLoss: (text: string, over: boolean) => void;
}

/** Pieces thinned or let go between two ticks at most: thinning one takes tens of milliseconds. */
const MOST_STEPS = 2;
const MOST_DROPS = 64;

const isShort = (room: DiskRoom): boolean => room === 'short' || room === 'full';

/** Keeps the spool within its limits, and counts what that costs. */
export class SpoolRoom {
  thinned = 0;
  dropped = 0;
  readonly #options: SpoolRoomOptions;
  #working = false;
  #saidThinned = 0;
  #saidDropped = 0;

  constructor(options: SpoolRoomOptions) {
    this.#options = options;
  }

  /** Thins or lets go until everything fits, a few pieces at a time. Never rejects. */
  async make(): Promise<void> {
    if (this.#working) return;
    this.#working = true;
    let steps = 0;
    for (let drops = 0; drops < MOST_DROPS && steps < MOST_STEPS;) {
      const { limits, diskRoom } = this.#options;
      const relief = relieve(this.#pieces(), { ...limits, isPressed: isShort(diskRoom()) });
      if (relief === undefined) break;
      if (relief.kind === 'drop') {
        drops += 1;
        this.drop(relief.piece.chunk);
      } else {
        steps += 1;
        await this.#thin(relief.piece.chunk, relief.everyMs);
      }
    }
    this.#working = false;
    if (this.dropped + this.thinned > this.#saidDropped + this.#saidThinned)
      this.#options.onLoss(this.#text(), false);
  }

  /** An earlier start has thinned and let go as well, and perhaps could not say so: what is missing tells. */
  found(chunk: Chunk): void {
    this.thinned += chunk.to - chunk.first + 1 - chunk.count;
    this.dropped += this.#options.lanes.gapBefore(chunk);
  }

  drop(chunk: Chunk): void {
    this.dropped += chunk.count;
    this.#options.lanes.remove(chunk);
    this.#options.files.remove(chunk);
  }

  /** The backlog is through: whatever was lost on the way is said with its sum. */
  through(): void {
    if (this.dropped + this.thinned === this.#saidDropped + this.#saidThinned) return;
    this.#options.onLoss(this.#text(), true);
    this.#saidThinned = this.thinned;
    this.#saidDropped = this.dropped;
  }

  #text(): string {
    return `${this.thinned - this.#saidThinned} readings thinned out, ${this.dropped - this.#saidDropped} records let go`;
  }

  #pieces(): (Piece & { readonly chunk: Chunk })[] {
    const nowMs = this.#options.clock.monoMs();
    return this.#options.lanes.all
      .flatMap((lane) => lane.chunks)
      .map((chunk) => ({
        chunk,
        stream: chunk.stream,
        onDisk: chunk.records === undefined,
        bytes: chunk.bytes,
        level: chunk.level,
        // One that is half on the disk and half in memory can only be let go.
        busy:
          chunk.busy ||
          !chunk.sealed ||
          chunk.state === 'sent' ||
          (chunk.records !== undefined && chunk.path !== undefined),
        ageMs: nowMs - chunk.sinceMs,
      }));
  }

  async #thin(chunk: Chunk, everyMs: number): Promise<void> {
    const { files } = this.#options;
    chunk.busy = true;
    try {
      const records = await files.load(chunk);
      const kept = thinned(records, everyMs);
      if (!chunk.gone) {
        await files.rewrite(chunk, kept);
        this.thinned += records.length - kept.length;
      }
    } catch {
      // A disk that is full or fails: the step counts as taken, so that the next piece gets its turn.
    } finally {
      chunk.busy = false;
      chunk.level += 1;
    }
  }
}
