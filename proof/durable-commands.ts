import type { LedgerRecord } from '../controller/core/events.ts';
import { HEADER_BYTES } from '../host/disklog-format.ts';
import type { MemoryDisk } from '../host/memory-disk.ts';

const decoder = new TextDecoder();

/** Which commands would be found in the ledger after a power cut at this very moment. Reads only what is new. */
export class DurableCommands {
  readonly #disk: MemoryDisk;
  readonly #path: string;
  readonly #known = new Set<string>();
  #offset = 0;

  constructor(disk: MemoryDisk, path: string) {
    this.#disk = disk;
    this.#path = path;
  }

  has(rack: string, epoch: number, generation: number): boolean {
    const key = `${rack}/${epoch}.${generation}`;
    if (!this.#known.has(key)) this.#read();
    return this.#known.has(key);
  }

  #read(): void {
    const bytes = this.#disk.durable(this.#path);
    if (this.#offset > bytes.length) this.#offset = 0;
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    while (bytes.length - this.#offset >= HEADER_BYTES) {
      const length = view.getUint32(this.#offset, true);
      const from = this.#offset + HEADER_BYTES;
      if (from + length > bytes.length) return;
      if (length > 0 && !this.#take(decoder.decode(bytes.subarray(from, from + length)))) return;
      this.#offset = from + length;
    }
  }

  /** False for what a crash has torn: it is cut off before anything follows it. */
  #take(text: string): boolean {
    try {
      const record = JSON.parse(text) as LedgerRecord;
      if (record.t === 'command') this.#known.add(`${record.rack}/${record.epoch}.${record.generation}`);
      return true;
    } catch {
      return false;
    }
  }
}
