import { DatabaseSync } from 'node:sqlite';
import { asFault, Fault } from '../protocols/faults.ts';

const SQLITE_BUSY = 5;

/** Kept from the garbage collector: a lock whose holder is collected is given back. */
const held = new Set<DatabaseSync>();

/**
 * Takes a data directory for this process alone until the process ends, however it ends: two writers of one ledger
 * would write over each other's lines. The lock is the kernel's, by way of SQLite, since Node offers none itself: who
 * is killed gives it back, who is frozen keeps it. Throws DATA_IN_USE, or DISK_FAILED when the disk has no locks.
 */
export function lockFolder(folder: string): void {
  let file: DatabaseSync | undefined;
  try {
    file = new DatabaseSync(`${folder}/in-use.lock`);
    file.exec('BEGIN EXCLUSIVE');
    held.add(file);
  } catch (error) {
    file?.close();
    const busy = error instanceof Error && 'errcode' in error && error.errcode === SQLITE_BUSY;
    throw busy ? new Fault('DATA_IN_USE', folder) : new Fault('DISK_FAILED', asFault(error).detail);
  }
}
