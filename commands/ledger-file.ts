import { readFile } from 'node:fs/promises';
import { Fault } from '../protocols/faults.ts';

/** The file of a ledger that a person names. Rejects with USAGE when it cannot be read. */
export async function ledgerFile(path: string): Promise<Uint8Array> {
  try {
    return await readFile(path);
  } catch (error) {
    throw new Fault(
      'USAGE',
      `${path} cannot be read: ${error instanceof Error && 'code' in error ? String(error.code) : String(error)}`,
    );
  }
}

/** Throws LEDGER_BROKEN for some other file: a ledger whose end is torn has a beginning. */
export function mustBeLedger(records: number, tornBytes: number): void {
  if (records === 0 && tornBytes > 0)
    throw new Fault('LEDGER_BROKEN', 'nothing in this file is a whole record: it is no ledger');
}
