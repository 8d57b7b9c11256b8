import type * as z from 'zod';
import type { Clock, Disk } from '../host/deps.ts';
import { asFault, Fault } from '../protocols/faults.ts';
import type { FaultCode } from '../protocols/faults.ts';
import { crc32 } from '../protocols/mqtt/crc32.ts';
import type { Alarms } from './alarms.ts';

const RETRY_MS = 2_000;
/** Checksum in hexadecimal, and a space. */
const HEAD_BYTES = 9;

/** One small document of the agent's own, on its disk: what must outlive it. */
export interface Kept<T> {
  /**
   * Writes the newest value until it is durable, a later one in place of one that waits. Resolves when this one or a
   * later one is; rejects (DISK_FAILED, DISK_FULL) at the first attempt that fails, while the attempts go on.
   */
  keep(value: T): Promise<void>;
  stop(): void;
}

interface KeptOptions<T> {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly path: string;
  readonly schema: z.ZodType<T>;
  /** What was found at start, undefined when there was no file. A damaged file is trouble, never found. */
  readonly onFound: (value: T | undefined) => void;
  readonly onTrouble: (fault: Fault) => void;
  readonly onWell: () => void;
}

interface Waiter {
  readonly resolve: () => void;
  readonly reject: (fault: Fault) => void;
}

const TROUBLES: readonly FaultCode[] = ['DISK_FAILED', 'DISK_FULL', 'KEPT_DAMAGED'];

/** Opens the documents an agent keeps, `agent-<id>.<name>.json` in its data directory; alarms while one cannot be kept. */
export interface Keeper {
  open<T>(name: string, schema: z.ZodType<T>, onFound: (value: T | undefined) => void): Kept<T>;
}

export function makeKeeper(
  options: Pick<KeptOptions<never>, 'disk' | 'clock'> & {
    readonly alarms: Alarms;
    readonly agent: string;
    readonly dataDir: string;
  },
): Keeper {
  const { disk, clock, alarms, agent, dataDir } = options;
  const troubled = new Set<string>();
  return {
    open: (name, schema, onFound) =>
      openKept({
        disk,
        clock,
        schema,
        onFound,
        path: `${dataDir}/agent-${agent}.${name}.json`,
        onTrouble: (fault) => {
          troubled.add(name);
          alarms.raise(fault.code, agent, `agent-${agent}.${name}.json: ${fault.detail}`);
        },
        onWell: () => {
          if (!troubled.delete(name) || troubled.size > 0) return;
          for (const code of TROUBLES) alarms.clear(code, agent, 'everything is kept again');
        },
      }),
  };
}

/** Opens a kept document: reads it until that succeeds, then writes what it is given. */
function openKept<T>(options: KeptOptions<T>): Kept<T> {
  const { disk, clock, path } = options;
  let stopped = false;
  let writing = false;
  let again = false;
  let wanted: { readonly value: T } | undefined;
  let waiters: Waiter[] = [];

  const find = async (): Promise<void> => {
    try {
      const value = decode(options.schema, await disk.read(path));
      if (stopped) return;
      options.onWell();
      options.onFound(value);
    } catch (error) {
      if (stopped) return;
      options.onTrouble(asFault(error, 'DISK_FAILED'));
      clock.after(RETRY_MS, () => void find());
    }
  };
  const write = async (): Promise<void> => {
    if (writing || stopped || wanted === undefined) return;
    const job = wanted;
    const waiting = waiters;
    waiters = [];
    writing = true;
    try {
      await disk.replace(path, encode(job.value));
      writing = false;
      if (stopped) return;
      options.onWell();
      if (wanted === job) wanted = undefined;
      for (const { resolve } of waiting) resolve();
      void write();
    } catch (error) {
      writing = false;
      if (stopped) return;
      const fault = asFault(error, 'DISK_FAILED');
      options.onTrouble(fault);
      for (const { reject } of waiting) reject(fault);
      if (again) return;
      again = true;
      clock.after(RETRY_MS, () => {
        again = false;
        void write();
      });
    }
  };
  void find();
  return {
    keep: (value) =>
      new Promise((resolve, reject) => {
        wanted = { value };
        waiters.push({ resolve, reject });
        void write();
      }),
    stop: () => {
      stopped = true;
    },
  };
}

function encode(value: unknown): Uint8Array {
  const text = JSON.stringify(value);
  const sum = crc32(new TextEncoder().encode(text)).toString(16).padStart(8, '0');
  return new TextEncoder().encode(`${sum} ${text}\n`);
}

/** The value of a file. A damaged one is an error and not nothing: what it kept would be forgotten. */
function decode<T>(schema: z.ZodType<T>, bytes: Uint8Array | undefined): T | undefined {
  if (bytes === undefined) return undefined;
  const damaged = new Fault('KEPT_DAMAGED', 'checksum and content do not agree');
  const body = bytes.subarray(HEAD_BYTES, bytes.length - 1);
  const sum = Number.parseInt(new TextDecoder().decode(bytes.subarray(0, HEAD_BYTES - 1)), 16);
  if (sum !== crc32(body)) throw damaged;
  try {
    return schema.parse(JSON.parse(new TextDecoder().decode(body)));
  } catch {
    throw damaged;
  }
}
