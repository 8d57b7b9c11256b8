import type { Clock, Disk } from '../host/deps.ts';
import { asFault } from '../protocols/faults.ts';
import type { Fault } from '../protocols/faults.ts';

const RETRY_MS = 2_000;
const MOST_BYTES = 200;

export interface EpochStore {
  /** Makes the epoch durable, then calls `done`; tries again until it succeeds. A later call takes the place of one that waits. */
  keep(epoch: number, done: () => void): void;
  stop(): void;
}

export interface EpochStoreOptions {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly path: string;
  /** The epoch found at start, 0 when there was no file. */
  readonly onFound: (epoch: number) => void;
  readonly onTrouble: (fault: Fault) => void;
  readonly onWell: () => void;
}

/** The highest epoch an agent has seen, on its disk: an older controller stays refused after a restart. */
export function openEpochStore(options: EpochStoreOptions): EpochStore {
  const { disk, clock, path } = options;
  let stopped = false;
  let writing = false;
  let wanted: { readonly epoch: number; readonly done: () => void } | undefined;

  const find = async (): Promise<void> => {
    try {
      const epoch = parse(await disk.read(path));
      if (stopped) return;
      options.onWell();
      options.onFound(epoch);
    } catch (error) {
      if (stopped) return;
      options.onTrouble(asFault(error, 'DISK_FAILED'));
      clock.after(RETRY_MS, () => void find());
    }
  };
  const write = async (): Promise<void> => {
    if (writing || stopped || wanted === undefined) return;
    const job = wanted;
    writing = true;
    try {
      await disk.replace(path, new TextEncoder().encode(`${JSON.stringify({ epoch: job.epoch })}\n`));
      writing = false;
      if (stopped) return;
      options.onWell();
      if (wanted === job) wanted = undefined;
      job.done();
      void write();
    } catch (error) {
      writing = false;
      if (stopped) return;
      options.onTrouble(asFault(error, 'DISK_FAILED'));
      clock.after(RETRY_MS, () => void write());
    }
  };
  void find();
  return {
    keep: (epoch, done) => {
      wanted = { epoch, done };
      void write();
    },
    stop: () => {
      stopped = true;
    },
  };
}

/** The epoch of a file; a file that is no epoch is an error, not zero: an old controller could come back through it. */
function parse(bytes: Uint8Array | undefined): number {
  if (bytes === undefined) return 0;
  const value: unknown = JSON.parse(new TextDecoder().decode(bytes.subarray(0, MOST_BYTES)));
  const epoch = typeof value === 'object' && value !== null && 'epoch' in value ? value.epoch : undefined;
  if (typeof epoch !== 'number' || !Number.isSafeInteger(epoch) || epoch < 0)
    throw new Error('the file of the highest epoch is damaged');
  return epoch;
}
