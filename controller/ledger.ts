import { openDiskLog } from '../host/disklog.ts';
import type { Disk } from '../host/deps.ts';
import type { LedgerRecord } from './core/events.ts';

export interface Ledger {
  /** Resolves once the lines are durable. Rejects with DISK_FULL, DISK_FAILED or QUEUE_FULL. */
  append(records: readonly LedgerRecord[]): Promise<void>;
  close(): Promise<void>;
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** Where a site's ledger stands below its data directory. */
export const ledgerPath = (dataDir: string): string => `${dataDir}/ledger.log`;

/** Opens the ledger and reads it back: what was decided, commanded and proven since the first start. */
export async function openLedger(
  disk: Disk,
  path: string,
): Promise<{ ledger: Ledger; records: LedgerRecord[] }> {
  const opened = await openDiskLog(disk, path);
  const records = opened.records.map((payload) => JSON.parse(decoder.decode(payload)) as LedgerRecord);
  const ledger: Ledger = {
    append: async (lines) => {
      await Promise.all(lines.map((line) => opened.log.append(encoder.encode(JSON.stringify(line)))));
    },
    close: () => opened.log.close(),
  };
  return { ledger, records };
}
