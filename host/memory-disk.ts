import { Fault } from '../protocols/faults.ts';
import type { FaultCode } from '../protocols/faults.ts';
import type { AppendFile, Clock, Disk, DiskSpace, Random } from './deps.ts';

export type DiskOperation = 'read' | 'replace' | 'append' | 'sync' | 'truncate' | 'remove';

export interface MemoryDiskOptions {
  readonly clock: Clock;
  /** How long a sync or a replacement takes, ms. */
  readonly syncMs?: () => number;
  /** Bytes that fit on it, all files together. */
  readonly capacityBytes?: number;
  /** Called whenever an append finds no room. */
  readonly onFull?: () => void;
}

/** States of a file that grew stand one inside the other in the same memory, and none of them is ever written to. */
interface File {
  /** What survives a power cut. */
  durable: Uint8Array;
  /** What a reader sees. */
  bytes: Uint8Array;
  /** The memory that `bytes` grows in. */
  room: Uint8Array;
  /** Zeros held behind `bytes`, and how long the whole file is for certain. */
  reserved: number;
  firmBytes: number;
  /** States between the two, oldest first: a power cut leaves one of them, the last perhaps torn. */
  unsynced: Uint8Array[];
}

/**
 * A disk in memory under a virtual clock. After `crash` every handle and promise of before is dead, as their process
 * is: they never settle.
 */
export class MemoryDisk implements Disk {
  capacityBytes: number;
  readonly #clock: Clock;
  readonly #syncMs: () => number;
  readonly #onFull: () => void;
  readonly #files = new Map<string, File>();
  readonly #replacing = new Map<string, Uint8Array>();
  readonly #removing = new Set<string>();
  readonly #failures: { operation: DiskOperation; code: FaultCode; times: number }[] = [];
  #life = 0;

  constructor(options: MemoryDiskOptions) {
    this.#clock = options.clock;
    this.#syncMs = options.syncMs ?? (() => 0);
    this.#onFull = options.onFull ?? (() => undefined);
    this.capacityBytes = options.capacityBytes ?? Infinity;
  }

  get paths(): readonly string[] {
    return [...this.#files.keys()].sort();
  }

  /** Bytes in the files whose path begins so. */
  usedBytes(prefix = ''): number {
    let sum = 0;
    for (const [path, file] of this.#files)
      if (path.startsWith(prefix)) sum += file.bytes.length + file.reserved;
    return sum;
  }

  /** What a power cut would leave for certain of a file. */
  durable(path: string): Uint8Array {
    return this.#files.get(path)?.durable ?? new Uint8Array();
  }

  /** Makes the next operations of a kind fail. */
  fail(operation: DiskOperation, code: FaultCode = 'DISK_FAILED', times = 1): void {
    this.#failures.push({ operation, code, times });
  }

  /** Takes back every failure that was asked for and has not come. */
  heal(): void {
    this.#failures.length = 0;
  }

  /** Changes bits of one stored byte, as a worn disk does. */
  flip(path: string, offset: number, mask = 1): void {
    const file = this.#files.get(path);
    if (!file || offset >= file.bytes.length) return;
    const flipped = (state: Uint8Array): Uint8Array => {
      const copy = state.slice();
      if (offset < copy.length) copy[offset] = (copy[offset] ?? 0) ^ mask;
      return copy;
    };
    file.durable = flipped(file.durable);
    file.bytes = flipped(file.bytes);
    file.room = file.bytes;
  }

  /** Sets a file's contents, durable, for tests. */
  put(path: string, bytes: Uint8Array): void {
    const copy = bytes.slice();
    this.#files.set(path, fileOf(copy));
  }

  /**
   * `power`: what was not synced is lost from a random point on, the last write perhaps in part or with garbage.
   * `process`: the operating system lives on and keeps what was written.
   */
  crash(kind: 'power' | 'process', random: Random): void {
    this.#life += 1;
    for (const [path, bytes] of this.#replacing) {
      if (random.next() < 0.5) this.put(path, bytes);
    }
    this.#replacing.clear();
    for (const path of this.#removing) if (random.next() < 0.5) this.#files.delete(path);
    this.#removing.clear();
    for (const file of this.#files.values()) {
      const heldBytes = kind === 'power' ? file.firmBytes : file.bytes.length + file.reserved;
      if (kind === 'power') file.bytes = survivor(file, random);
      file.reserved = Math.max(0, heldBytes - file.bytes.length);
      file.firmBytes = file.bytes.length + file.reserved;
      file.durable = file.bytes;
      file.room = file.bytes;
      file.unsynced = [];
    }
  }

  async read(path: string): Promise<Uint8Array | undefined> {
    await this.#step('read', 0);
    const file = this.#files.get(path);
    if (file === undefined) return undefined;
    const whole = new Uint8Array(file.bytes.length + file.reserved);
    whole.set(file.bytes);
    return whole;
  }

  async replace(path: string, bytes: Uint8Array): Promise<void> {
    const copy = bytes.slice();
    const file = this.#files.get(path);
    const old = file === undefined ? 0 : file.bytes.length + file.reserved;
    if (this.usedBytes() - old + copy.length > this.capacityBytes) throw new Fault('DISK_FULL', path);
    this.#replacing.set(path, copy);
    try {
      await this.#step('replace', this.#syncMs());
    } finally {
      this.#replacing.delete(path);
    }
    this.put(path, copy);
  }

  async append(path: string): Promise<AppendFile> {
    const file = this.#files.get(path) ?? fileOf(new Uint8Array());
    this.#files.set(path, file);
    await this.#step('read', 0);
    return this.#handle(path, file);
  }

  async list(prefix: string): Promise<readonly string[]> {
    await this.#step('read', 0);
    return this.paths.filter((path) => path.startsWith(prefix));
  }

  async remove(path: string): Promise<void> {
    this.#removing.add(path);
    try {
      await this.#step('remove', this.#syncMs());
    } finally {
      this.#removing.delete(path);
    }
    this.#files.delete(path);
  }

  async space(): Promise<DiskSpace | undefined> {
    await this.#step('read', 0);
    const { capacityBytes } = this;
    if (capacityBytes === Infinity) return undefined;
    return { totalBytes: capacityBytes, freeBytes: Math.max(0, capacityBytes - this.usedBytes()) };
  }

  /** Work on one file, one after the other as on the real disk, and none after a crash. */
  #queue(): (work: () => Promise<void>) => Promise<void> {
    const life = this.#life;
    let tail: Promise<unknown> = Promise.resolve();
    return (work) => {
      const done = tail.then(() => (life === this.#life ? work() : NEVER));
      tail = done.catch(() => undefined);
      return done;
    };
  }

  #handle(path: string, file: File): AppendFile {
    const life = this.#life;
    const queued = this.#queue();
    const change = (bytes: Uint8Array, reserved?: number): void => {
      if (life === this.#life) write(file, bytes, reserved);
    };
    return {
      get sizeBytes() {
        return file.bytes.length;
      },
      get reservedBytes() {
        return file.reserved;
      },
      append: (bytes) => {
        const copy = bytes.slice();
        return queued(async () => {
          const room = file.reserved + Math.max(0, this.capacityBytes - this.usedBytes());
          if (copy.length > room) {
            change(grown(file, copy.subarray(0, room)));
            this.#onFull();
            throw new Fault('DISK_FULL', path);
          }
          await this.#step('append', 0);
          change(grown(file, copy));
        });
      },
      sync: () =>
        queued(async () => {
          const { bytes } = file;
          await this.#step('sync', this.#syncMs());
          file.durable = bytes;
          file.firmBytes = bytes.length + file.reserved;
          file.unsynced = file.unsynced.slice(file.unsynced.indexOf(bytes) + 1);
        }),
      truncate: (sizeBytes) =>
        queued(async () => {
          await this.#step('truncate', 0);
          // What stood behind belongs to earlier states: what comes next goes elsewhere.
          file.room = file.bytes.slice(0, sizeBytes);
          change(file.room, 0);
        }),
      reserve: (bytes) =>
        queued(async () => {
          await this.#step('append', 0);
          const more = Math.max(0, bytes - file.reserved);
          const given = Math.min(more, Math.max(0, this.capacityBytes - this.usedBytes()));
          change(file.bytes, file.reserved + given);
          if (given < more) throw new Fault('DISK_FULL', path);
        }),
      rewind: (sizeBytes) =>
        queued(async () => {
          await this.#step('truncate', 0);
          // It may end within the zeros that are held: a record's last bytes can be zeros themselves.
          const heldBytes = file.bytes.length + file.reserved;
          file.room = new Uint8Array(Math.min(sizeBytes, heldBytes));
          file.room.set(file.bytes.subarray(0, sizeBytes));
          change(file.room, heldBytes - file.room.length);
        }),
      close: () => queued(() => Promise.resolve()),
    };
  }

  /** Takes its time, then fails when a failure was asked for; never comes back from a crash. */
  async #step(operation: DiskOperation, delayMs: number): Promise<void> {
    const life = this.#life;
    if (delayMs > 0) await new Promise<void>((resolve) => this.#clock.after(delayMs, resolve));
    if (life !== this.#life) await NEVER;
    const failure = this.#failures.find((candidate) => candidate.operation === operation);
    if (!failure) return;
    failure.times -= 1;
    if (failure.times <= 0) this.#failures.splice(this.#failures.indexOf(failure), 1);
    throw new Fault(failure.code, `${operation} was made to fail`);
  }
}

const fileOf = (bytes: Uint8Array): File => ({
  durable: bytes,
  bytes,
  room: bytes,
  reserved: 0,
  firmBytes: bytes.length,
  unsynced: [],
});

const NEVER = new Promise<never>(() => undefined);

/** The file comes to hold these bytes; what was reserved behind them becomes theirs where they grow into it. */
function write(
  file: File,
  bytes: Uint8Array,
  reserved = Math.max(0, file.reserved - bytes.length + file.bytes.length),
): void {
  file.reserved = reserved;
  file.bytes = bytes;
  file.unsynced.push(bytes);
}

/** The file's bytes with `more` behind them. A copy of the whole at each append would make a long run quadratic. */
function grown(file: File, more: Uint8Array): Uint8Array {
  const size = file.bytes.length + more.length;
  if (size > file.room.length) {
    file.room = new Uint8Array(2 * size);
    file.room.set(file.bytes);
  }
  file.room.set(more, file.bytes.length);
  return file.room.subarray(0, size);
}

/** One of the states since the last sync, or the start of it; parts that were never synced may hold garbage. */
function survivor(file: File, random: Random): Uint8Array {
  const pick = (below: number): number => Math.floor(random.next() * below);
  const states = [file.durable, ...file.unsynced];
  const index = pick(states.length);
  const state = states[index] ?? file.durable;
  const firm = Math.min(...states.slice(0, index + 1).map((bytes) => bytes.length));
  const kept = state.slice(0, firm + pick(state.length - firm + 1));
  if (random.next() < 0.3) {
    const holeAt = firm + pick(kept.length - firm + 1);
    kept.fill(random.next() < 0.5 ? 0 : 0xa5, holeAt, holeAt + pick(kept.length - holeAt + 1));
  }
  return kept;
}
