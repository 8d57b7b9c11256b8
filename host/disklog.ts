import { asFault, Fault } from '../protocols/faults.ts';
import type { AppendFile, Disk } from './deps.ts';
import { encodeRecord, HEADER_BYTES, MOST_PAYLOAD_BYTES, readLog } from './disklog-format.ts';

export { verifyDiskLog } from './disklog-format.ts';
export type { LogVerdict } from './disklog-format.ts';

export interface DiskLogOptions {
  /** Records that may wait for the disk. Default 10,000. */
  readonly mostWaiting?: number;
  /** Bytes that may wait for the disk. Default 16 MiB. */
  readonly mostWaitingBytes?: number;
  /** Held on the disk for what comes, so that a full disk does not stop the log at once. Default 0. */
  readonly reserveBytes?: number;
}

export interface OpenedDiskLog {
  readonly log: DiskLog;
  /** What was in it, in order; the record at index i has seq i + 1. */
  readonly records: readonly Uint8Array[];
  /** What a crash had left half-written at the end, and was cut off. */
  readonly truncatedBytes: number;
}

/** The reserve is filled up once this much of it was written to, or a sixteenth: not at every record. */
const REFILL_BYTES = 4_096;

/** What a log holds on the disk for records to come, and what it wants to hold; `short`: the disk has no room for it. */
export interface Reserve {
  readonly heldBytes: number;
  readonly wantedBytes: number;
  readonly short: boolean;
}

interface Waiting {
  readonly payload: Uint8Array;
  readonly resolve: (result: { readonly seq: number }) => void;
  readonly reject: (fault: Fault) => void;
}

/**
 * Opens an append-only, hash-chained log. A broken end is cut off; Fault LEDGER_BROKEN for damage in front of it (the
 * file is left as it is), DISK_FULL or DISK_FAILED when the disk refuses.
 */
export async function openDiskLog(
  disk: Disk,
  path: string,
  options: DiskLogOptions = {},
): Promise<OpenedDiskLog> {
  const bytes = (await disk.read(path)) ?? new Uint8Array();
  const { records, goodBytes, tornBytes, head, marked } = readLog(bytes);
  const file = await disk.append(path);
  await file.rewind(goodBytes);
  // Also when nothing was cut: what a dead process wrote and did not sync is about to be relied on.
  await file.sync();
  const log = new DiskLog(file, { records: records.length, head, goodBytes }, options);
  await log.refill();
  if (!marked) await log.mark();
  return { log, records, truncatedBytes: tornBytes };
}

/** An open log. One sync serves every record that was appended while the one before it ran. */
export class DiskLog {
  readonly #file: AppendFile;
  readonly #mostWaiting: number;
  readonly #mostWaitingBytes: number;
  readonly #reserveBytes: number;
  #waiting: Waiting[] = [];
  #waitingBytes = 0;
  #seq: number;
  #head: Uint8Array;
  #durableBytes: number;
  #repair = false;
  #short = false;
  #fault: Fault | undefined;
  #running: Promise<void> | undefined;
  #closed = false;

  constructor(
    file: AppendFile,
    start: { readonly records: number; readonly head: Uint8Array; readonly goodBytes: number },
    options: DiskLogOptions,
  ) {
    this.#file = file;
    this.#seq = start.records;
    this.#head = start.head.slice();
    this.#durableBytes = start.goodBytes;
    this.#mostWaiting = options.mostWaiting ?? 10_000;
    this.#mostWaitingBytes = options.mostWaitingBytes ?? 16 * 1_024 * 1_024;
    this.#reserveBytes = options.reserveBytes ?? 0;
  }

  /** Number of the last durable record; the first is 1. */
  get seq(): number {
    return this.#seq;
  }

  /** Why the last write failed, until one succeeds again. */
  get fault(): Fault | undefined {
    return this.#fault;
  }

  get reserve(): Reserve {
    return { heldBytes: this.#file.reservedBytes, wantedBytes: this.#reserveBytes, short: this.#short };
  }

  /** Takes what the reserve lacks, as far as the disk has it; when it does not, the log goes on with what it holds. */
  async refill(): Promise<void> {
    const lackBytes = this.#reserveBytes - this.#file.reservedBytes;
    if (this.#closed || (!this.#short && lackBytes <= Math.min(REFILL_BYTES, this.#reserveBytes / 16)))
      return;
    try {
      await this.#file.reserve(this.#reserveBytes);
      await this.#file.sync();
      this.#short = false;
    } catch (error) {
      this.#short = true;
      const fault = asFault(error, 'DISK_FAILED');
      if (fault.code === 'DISK_FULL') return;
      // A failed sync may have cost the mark before it: what comes next must not stand behind a hole.
      this.#fault = fault;
      this.#repair = true;
    }
  }

  /**
   * Resolves when the record is durable. Rejects with DISK_FULL or DISK_FAILED (the log mends itself with the next
   * append that the disk takes), QUEUE_FULL, or INTERNAL for an empty or oversized payload. A rejected record may
   * still be found after a crash.
   */
  append(payload: Uint8Array): Promise<{ readonly seq: number }> {
    if (this.#closed) return Promise.reject(new Fault('DISK_FAILED', 'the log is closed'));
    if (payload.length === 0 || payload.length > MOST_PAYLOAD_BYTES) {
      return Promise.reject(new Fault('INTERNAL', `a record of ${payload.length} bytes`));
    }
    const bytes = this.#waitingBytes + payload.length + HEADER_BYTES;
    if (this.#waiting.length >= this.#mostWaiting || bytes > this.#mostWaitingBytes) {
      return Promise.reject(new Fault('QUEUE_FULL', `${this.#waiting.length} records wait for the disk`));
    }
    return new Promise((resolve, reject) => {
      // Copied: the caller may use its buffer again.
      this.#waiting.push({ payload: payload.slice(), resolve, reject });
      this.#waitingBytes = bytes;
      this.#running ??= this.#run();
    });
  }

  /** Writes what waits and closes the file; later appends reject. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#running;
    await this.#file.close();
  }

  async #run(): Promise<void> {
    while (this.#waiting.length > 0) {
      const batch = this.#waiting;
      this.#waiting = [];
      this.#waitingBytes = 0;
      try {
        await this.#write(batch);
      } catch (error) {
        this.#fault = asFault(error, 'DISK_FAILED');
        this.#repair = true;
        for (const one of batch) one.reject(this.#fault);
      }
    }
    this.#running = undefined;
  }

  async #write(batch: readonly Waiting[]): Promise<void> {
    if (this.#repair) await this.#mend();
    let head = this.#head;
    const parts = batch.map(({ payload }) => {
      const record = encodeRecord(head, payload);
      head = record.hash;
      return record.bytes;
    });
    const bytes = Buffer.concat(parts);
    await this.#file.append(bytes);
    await this.#file.sync();
    this.#head = head;
    this.#durableBytes += bytes.length;
    this.#fault = undefined;
    for (const one of batch) {
      this.#seq += 1;
      one.resolve({ seq: this.#seq });
    }
    await this.mark();
    await this.refill();
  }

  /** Notes that everything so far was synced. Not synced itself: if it is lost, no record is. */
  async mark(): Promise<void> {
    const { bytes } = encodeRecord(this.#head, new Uint8Array());
    try {
      await this.#file.append(bytes);
      this.#durableBytes += bytes.length;
    } catch {
      this.#repair = true;
    }
  }

  /** After a failed write or sync nobody knows what is in the file behind the last durable record. */
  async #mend(): Promise<void> {
    await this.#file.rewind(this.#durableBytes);
    await this.#file.sync();
    this.#repair = false;
  }
}
