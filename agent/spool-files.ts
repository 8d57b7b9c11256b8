import type { AppendFile, Clock, Disk } from '../host/deps.ts';
import type { DiskRoom } from '../host/disk-room.ts';
import { asFault, Fault } from '../protocols/faults.ts';
import { STREAMS } from '../protocols/mqtt/backlog.ts';
import type { Stream } from '../protocols/mqtt/backlog.ts';
import { encodeSpoolRecord, readSpoolRecords } from './core/spool-record.ts';
import type { SpoolRecord } from './core/spool-record.ts';

/** A run of records of one stream of one boot: a file, or records that still wait for one. */
export interface Chunk {
  readonly boot: number;
  readonly stream: Stream;
  first: number;
  to: number;
  count: number;
  /** On the disk in whole blocks, or in memory as encoded. */
  bytes: number;
  /** Steps of thinning taken. */
  level: number;
  /** `live`: all of it went out when it was new. `sent`: as a piece of backlog, not stored yet. */
  state: 'live' | 'waiting' | 'sent';
  /** Nothing is added any more. */
  sealed: boolean;
  /** It is being read, thinned or sent. */
  busy: boolean;
  /** Acknowledged or let go: nothing may be done with it any more. */
  gone: boolean;
  /** Monotonic ms of its first record, or of when it was found. */
  sinceMs: number;
  /** All its records, while they are needed in memory. */
  records: SpoolRecord[] | undefined;
  /** How many records are durable. */
  written: number;
  path: string | undefined;
}

export interface SpoolFilesOptions {
  readonly disk: Disk;
  readonly clock: Clock;
  /** Path and beginning of the names of all files. */
  readonly prefix: string;
  readonly diskRoom: () => DiskRoom;
  readonly onTrouble: (fault: Fault) => void;
  readonly onWell: () => void;
  /** So many records of a file cannot be read. */
  readonly onDamage: (path: string, count: number) => void;
}

const BLOCK_BYTES = 4_096;
const DIGITS = 12;

/** Bytes that a file of this size takes on the disk. */
const blocks = (bytes: number): number => Math.max(1, Math.ceil(bytes / BLOCK_BYTES)) * BLOCK_BYTES;

/** What an open file is known to hold. */
interface Written {
  readonly file: AppendFile;
  bytes: number;
  /** After a failed write nobody knows what stands behind `bytes`. */
  repair: boolean;
}

/**
 * The spool's files. Everything is done one after the other, and what was given meanwhile is written and synced
 * together. What the disk refuses stays in memory and is tried again with the next `flush`.
 */
export class SpoolFiles {
  readonly #options: SpoolFilesOptions;
  readonly #dirty = new Set<Chunk>();
  readonly #open = new Map<Chunk, Written>();
  #tail: Promise<unknown> = Promise.resolve();
  #flushing = false;
  /** Number of the next file; unknown until the files of earlier starts were listed. */
  #next: number | undefined;

  constructor(options: SpoolFilesOptions) {
    this.#options = options;
  }

  /** Finds what earlier starts left, oldest first; chunks come one by one through `take`. Rejects when there is no list. */
  async find(take: (chunk: Chunk) => void): Promise<void> {
    const { disk, prefix, clock } = this.#options;
    const found = (await disk.list(prefix)).flatMap((path) => {
      const [, number, boot, stream] =
        /^(\d+)-(\d+)-([a-z]+)$/u.exec(path.slice(path.indexOf(prefix) + prefix.length)) ?? [];
      const known = STREAMS.find((one) => one === stream);
      return known === undefined ? [] : [{ path, number: Number(number), boot: Number(boot), stream: known }];
    });
    this.#next = Math.max(-1, ...found.map((file) => file.number)) + 1;
    for (const { path, boot, stream } of found) {
      const bytes = (await this.#serial(() => disk.read(path))) ?? new Uint8Array();
      const { records, damaged } = readSpoolRecords(bytes);
      const [first, last] = [records[0], records.at(-1)];
      if (damaged > 0 || (first === undefined && bytes.length > 0))
        this.#options.onDamage(path, Math.max(1, damaged));
      if (first === undefined || last === undefined) await this.#serial(() => disk.remove(path));
      else
        take({
          boot,
          stream,
          first: first.seq,
          to: last.seq,
          count: records.length,
          bytes: blocks(bytes.length),
          level: 0,
          state: 'waiting',
          sealed: true,
          busy: false,
          gone: false,
          sinceMs: clock.monoMs(),
          records: undefined,
          written: records.length,
          path,
        });
    }
  }

  /** The chunk has new records, or was sealed; they are written with the next `flush`. */
  note(chunk: Chunk): void {
    if (!chunk.gone) this.#dirty.add(chunk);
  }

  /** Writes what waits. Resolves when the disk has it or has refused it; never rejects. */
  async flush(): Promise<void> {
    if (this.#next === undefined || this.#flushing || this.#dirty.size === 0) return this.settled();
    this.#flushing = true;
    return this.#serial(async () => {
      this.#flushing = false;
      // What matters least leaves the last of the room to the others: it waits in memory, within its bound.
      const isFull = this.#options.diskRoom() === 'full';
      const batch = [...this.#dirty].filter(({ stream }) => !(isFull && stream === 'machines'));
      for (const chunk of batch) this.#dirty.delete(chunk);
      const faults = await Promise.all(batch.map((chunk) => this.#tryWrite(chunk)));
      const fault = faults.find((one) => one !== undefined);
      if (fault !== undefined) this.#options.onTrouble(fault);
      else this.#options.onWell();
    });
  }

  /** Resolves when nothing is under way. */
  async settled(): Promise<void> {
    await this.#tail;
  }

  /** All records of a sealed chunk that can be read. Rejects with the disk's fault. */
  async load(chunk: Chunk): Promise<readonly SpoolRecord[]> {
    if (chunk.records !== undefined) return chunk.records;
    const { path } = chunk;
    if (path === undefined) throw new Fault('INTERNAL', 'a chunk without records and file');
    const bytes = await this.#serial(() => this.#options.disk.read(path));
    const { records } = readSpoolRecords(bytes ?? new Uint8Array());
    if (records.length < chunk.count) {
      this.#options.onDamage(path, chunk.count - records.length);
      chunk.count = records.length;
    }
    return records;
  }

  /** Puts these records in the place of a sealed chunk's own. Rejects with the disk's fault, and nothing has changed. */
  async rewrite(chunk: Chunk, records: readonly SpoolRecord[]): Promise<void> {
    const { path } = chunk;
    const bytes = encodeAll(records, chunk);
    if (path === undefined) {
      chunk.records = [...records];
      chunk.bytes = bytes.length;
    } else {
      await this.#serial(async () => {
        await this.#close(chunk);
        await this.#options.disk.replace(path, bytes);
      });
      this.#dirty.delete(chunk);
      chunk.records = undefined;
      chunk.written = records.length;
      chunk.bytes = blocks(bytes.length);
    }
    chunk.count = records.length;
  }

  /** Takes a chunk away for good. */
  remove(chunk: Chunk): void {
    if (chunk.gone) return;
    chunk.gone = true;
    chunk.records = undefined;
    this.#dirty.delete(chunk);
    void this.#serial(async () => {
      await this.#close(chunk);
      if (chunk.path !== undefined) await this.#options.disk.remove(chunk.path);
    }).catch((error: unknown) => this.#options.onTrouble(asFault(error, 'DISK_FAILED')));
  }

  async #tryWrite(chunk: Chunk): Promise<Fault | undefined> {
    try {
      await this.#write(chunk);
      return undefined;
    } catch (error) {
      const known = this.#open.get(chunk);
      if (known !== undefined) known.repair = true;
      this.note(chunk);
      return asFault(error, 'DISK_FAILED');
    }
  }

  async #write(chunk: Chunk): Promise<void> {
    const { records, sealed } = chunk;
    if (chunk.gone || records === undefined) return;
    const path = (chunk.path ??= this.#newPath(chunk));
    let known = this.#open.get(chunk);
    if (known === undefined) {
      known = { file: await this.#options.disk.append(path), bytes: 0, repair: true };
      this.#open.set(chunk, known);
    }
    if (known.repair && known.file.sizeBytes > known.bytes) await known.file.truncate(known.bytes);
    const upTo = records.length;
    const bytes = encodeAll(records.slice(chunk.written), sealed ? chunk : undefined);
    await known.file.append(bytes);
    await known.file.sync();
    known.bytes += bytes.length;
    known.repair = false;
    chunk.written = upTo;
    if (chunk.gone || !sealed) return;
    chunk.records = undefined;
    chunk.bytes = blocks(known.bytes);
    await this.#close(chunk);
  }

  #newPath({ boot, stream }: Chunk): string {
    const number = this.#next ?? 0;
    this.#next = number + 1;
    return `${this.#options.prefix}${String(number).padStart(DIGITS, '0')}-${boot}-${stream}`;
  }

  async #close(chunk: Chunk): Promise<void> {
    const known = this.#open.get(chunk);
    if (known === undefined) return;
    this.#open.delete(chunk);
    await known.file.close();
  }

  #serial<Result>(job: () => Promise<Result>): Promise<Result> {
    const done = this.#tail.then(job);
    this.#tail = done.catch(() => undefined);
    return done;
  }
}

/** The records' bytes, with the seal behind them when the chunk is given. */
function encodeAll(records: readonly SpoolRecord[], seal: Chunk | undefined): Uint8Array {
  const parts = records.map(encodeSpoolRecord);
  if (seal !== undefined)
    parts.push(
      encodeSpoolRecord({
        kind: 'seal',
        seq: seal.to,
        back: 0,
        tickMs: 0,
        group: '',
        payload: new Uint8Array(),
      }),
    );
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}
