import type { Site } from '../config/site.ts';
import { openDiskLog } from '../host/disklog.ts';
import type { Reserve } from '../host/disklog.ts';
import type { Disk } from '../host/deps.ts';
import type { LedgerRecord } from './core/events.ts';

export interface Ledger {
  /** Resolves once the lines are durable. Rejects with DISK_FULL, DISK_FAILED or QUEUE_FULL. */
  append(records: readonly LedgerRecord[]): Promise<void>;
  /** Room on the disk that is the ledger's own: commands go on in it when the disk is full. */
  readonly reserve: Reserve;
  /** Tries to have the whole reserve again. */
  refill(): Promise<void>;
  close(): Promise<void>;
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** Where a site's ledger stands below its data directory. */
export const ledgerPath = (dataDir: string): string => `${dataDir}/ledger.log`;

const MIB = 1_024 * 1_024;
/** A limit that moves everything writes down about a tenth of this, per machine. */
const BYTES_PER_MACHINE = 2_048;

/** How much of the disk a site's ledger holds for itself beyond its end. */
export const reserveBytesOf = ({ config, machines }: Site): number =>
  config.ledger.reserveMiB === undefined
    ? MIB + BYTES_PER_MACHINE * machines.length
    : Math.round(config.ledger.reserveMiB * MIB);

/** Opens the ledger and reads it back: what was decided, commanded and proven since the first start. */
export async function openLedger(
  disk: Disk,
  path: string,
  reserveBytes = 0,
): Promise<{ ledger: Ledger; records: LedgerRecord[] }> {
  const opened = await openDiskLog(disk, path, { reserveBytes });
  const records = opened.records.map((payload) => JSON.parse(decoder.decode(payload)) as LedgerRecord);
  const ledger: Ledger = {
    append: async (lines) => {
      await Promise.all(lines.map((line) => opened.log.append(encoder.encode(JSON.stringify(line)))));
    },
    get reserve() {
      return opened.log.reserve;
    },
    refill: () => opened.log.refill(),
    close: () => opened.log.close(),
  };
  return { ledger, records };
}
