import type * as z from 'zod';
import type { Clock, Disk } from '../host/deps.ts';
import { asFault, Fault } from '../protocols/faults.ts';
import type { FaultCode } from '../protocols/faults.ts';
import { crc32 } from '../protocols/mqtt/crc32.ts';
import type { Alarms } from './alarms.ts';

const RETRY_MS = 2_000;
/** Checksum in hexadecimal, and a space. */
const HEAD_BYTES = 9;
/** The end of the line. */
const END = 0x0a;

/** One small document of the agent's own, on its disk: what must outlive it. */
export interface Kept<T> {
  /**
   * Writes the newest value until it is durable, a later one in place of one that waits. Resolves when this one or a
   * later one is; rejects (DISK_FAILED, DISK_FULL; INTERNAL: its schema does not take it) at the first attempt that fails, while the attempts go on.
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
  /** The disk is full: true when there is room for it now. */
  readonly release: () => Promise<boolean>;
  /** One of the two copies is damaged; the other one is used. */
  readonly onMended: (path: string) => void;
  readonly onTrouble: (fault: Fault) => void;
  /** Both copies are damaged: the agent goes on without. Absent: it waits for what a person does about it. */
  readonly onLost?: (path: string) => void;
  readonly onWell: () => void;
}

interface Waiter {
  readonly resolve: () => void;
  readonly reject: (fault: Fault) => void;
}

const TROUBLES: readonly FaultCode[] = ['DISK_FAILED', 'DISK_FULL', 'KEPT_DAMAGED', 'INTERNAL'];

/** Opens the documents an agent keeps, `agent-<id>.<name>.json` in its data directory; alarms while one cannot be kept. */
export interface Keeper {
  open<T>(name: string, schema: z.ZodType<T>, onFound: (value: T | undefined) => void): Kept<T>;
  /** The same for what can be found out anew: damaged in both copies it is lost, and nothing waits for it. */
  openSpare<T>(name: string, schema: z.ZodType<T>, onFound: (value: T | undefined) => void): Kept<T>;
  /** No file is to be written any more. */
  stop(): void;
}

/** Held on the disk for all kept files together: to write one anew takes its size once more for a moment. */
const RESERVE_BYTES = 256 * 1_024;
/** What was given up, or could not be had, is tried again after this. */
const REFILL_MS = 60_000;

/** Room for the kept files on a disk that is full for everybody else. */
interface Reserve {
  /** Gives the room back to the disk, where they find it; false when there is none to give. */
  release(): Promise<boolean>;
  stop(): void;
}

function holdReserve({ disk, clock }: Pick<KeptOptions<never>, 'disk' | 'clock'>, path: string): Reserve {
  let stopped = false;
  let cancel: (() => void) | undefined;
  let isHeld = false;
  let releasing: Promise<boolean> | undefined;
  const hold = async (): Promise<void> => {
    releasing = undefined;
    try {
      const file = await disk.append(path);
      // Of an earlier start: it is the same room, not more.
      await file.rewind(0);
      // On a disk with less it is what there is.
      const isWhole = await file.reserve(RESERVE_BYTES).then(
        () => true,
        () => false,
      );
      isHeld = file.reservedBytes > 0;
      await file.sync();
      await file.close();
      if (!isWhole) again();
    } catch {
      again();
    }
  };
  const again = (): void => {
    if (!stopped) cancel = clock.after(REFILL_MS, () => void hold());
  };
  void hold();
  return {
    release: () => {
      if (isHeld) {
        isHeld = false;
        again();
        releasing = disk.remove(path).then(
          () => true,
          () => false,
        );
      }
      return releasing ?? Promise.resolve(false);
    },
    stop: () => {
      stopped = true;
      cancel?.();
    },
  };
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
  const reserve = holdReserve(options, `${dataDir}/agent-${agent}.reserve`);
  const optionsOf = <T>(
    name: string,
    schema: z.ZodType<T>,
    onFound: KeptOptions<T>['onFound'],
  ): KeptOptions<T> => ({
    disk,
    clock,
    schema,
    onFound,
    path: `${dataDir}/agent-${agent}.${name}.json`,
    release: () => reserve.release(),
    onMended: (path) =>
      alarms.tell('KEPT_DAMAGED', agent, `${path} was damaged; its copy is used, and it is written anew`),
    onTrouble: (fault) => {
      troubled.add(name);
      alarms.raise(fault.code, agent, `agent-${agent}.${name}.json: ${fault.detail}`);
    },
    onWell: () => {
      if (!troubled.delete(name) || troubled.size > 0) return;
      for (const code of TROUBLES) alarms.clear(code, agent, 'everything is kept again');
    },
  });
  return {
    stop: () => reserve.stop(),
    open: (name, schema, onFound) => openKept(optionsOf(name, schema, onFound)),
    openSpare: (name, schema, onFound) =>
      openKept({
        ...optionsOf(name, schema, onFound),
        onLost: (path) =>
          alarms.tell('KEPT_DAMAGED', agent, `${path} and its copy are damaged: what they held is lost`),
      }),
  };
}

/**
 * Opens a kept document: reads it until that succeeds, then writes what it is given. It stands twice on the disk: what
 * was acknowledged is in both, so that one that is whole serves when the other is damaged.
 */
function openKept<T>(options: KeptOptions<T>): Kept<T> {
  const { clock, path } = options;
  const places = [path, `${path}.copy`];
  let stopped = false;
  let writing = false;
  let again = false;
  let wanted: { readonly value: T } | undefined;
  let waiters: Waiter[] = [];

  const find = async (): Promise<void> => {
    try {
      const { whole, damaged, alike } = await findCopies(options, places);
      if (stopped) return;
      options.onWell();
      for (const place of damaged) options.onMended(place.slice(place.lastIndexOf('/') + 1));
      options.onFound(whole?.value);
      // A copy that is missing, damaged or another is made anew: a crash may have come between the two.
      if (alike || wanted !== undefined) return;
      wanted = whole;
      void write();
    } catch (error) {
      if (stopped) return;
      if (!isGivenUp(options, asFault(error, 'DISK_FAILED'))) clock.after(RETRY_MS, () => void find());
    }
  };
  const write = async (): Promise<void> => {
    if (writing || stopped || wanted === undefined) return;
    const job = wanted;
    const waiting = waiters;
    waiters = [];
    writing = true;
    try {
      const bytes = encode(job.value);
      await store(options, places, bytes);
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

/** True when a file is damaged that can be done without; else it is trouble, and read again. */
function isGivenUp<T>({ path, onLost, onFound, onTrouble }: KeptOptions<T>, fault: Fault): boolean {
  if (fault.code !== 'KEPT_DAMAGED' || onLost === undefined) {
    onTrouble(fault);
    return false;
  }
  onLost(path.slice(path.lastIndexOf('/') + 1));
  onFound(undefined);
  return true;
}

/** Puts the same bytes in all places, if the schema takes them; on a full disk with the room that is held for that. */
async function store<T>(
  { disk, schema, release }: Pick<KeptOptions<T>, 'disk' | 'schema' | 'release'>,
  places: readonly string[],
  bytes: Uint8Array,
): Promise<void> {
  // The next start would find it damaged, and know nothing: better what was kept before.
  if (!isReadable(schema, bytes))
    throw new Fault('INTERNAL', 'its newest value is none that could be read again; the one before stands');
  const all = (): Promise<unknown> => Promise.all(places.map((place) => disk.replace(place, bytes)));
  try {
    await all();
  } catch (error) {
    if (asFault(error, 'DISK_FAILED').code !== 'DISK_FULL' || !(await release())) throw error;
    await all();
  }
}

/** What stands in these places. Throws KEPT_DAMAGED when something does and nothing of it is whole. */
async function findCopies<T>(
  { disk, schema }: Pick<KeptOptions<T>, 'disk' | 'schema'>,
  places: readonly string[],
): Promise<{ whole: { readonly value: T } | undefined; damaged: readonly string[]; alike: boolean }> {
  const found = await Promise.all(
    places.map(async (place) => {
      const bytes = await disk.read(place);
      return { place, bytes, copy: decode(schema, bytes) };
    }),
  );
  const damaged = found.flatMap(({ place, copy }) => (copy === 'damaged' ? [place] : []));
  const whole = found.flatMap(({ copy }) => (copy === 'damaged' || copy === undefined ? [] : [copy]));
  if (damaged.length > 0 && whole.length === 0)
    throw new Fault('KEPT_DAMAGED', 'checksum and content do not agree, nor in its copy');
  const [first] = found;
  const alike =
    whole.length === places.length &&
    found.every(({ bytes }) => standingHead(bytes) === standingHead(first?.bytes));
  return { whole: whole[0], damaged, alike };
}

function encode(value: unknown): Uint8Array {
  const text = JSON.stringify(value);
  return new TextEncoder().encode(`${headOf(new TextEncoder().encode(text))}${text}\n`);
}

/** The checksum that stands at the beginning of a file. */
const standingHead = (bytes: Uint8Array | undefined): string =>
  new TextDecoder().decode(bytes?.subarray(0, HEAD_BYTES));

const headOf = (body: Uint8Array): string => `${crc32(body).toString(16).padStart(8, '0')} `;

/** The value of a file. A damaged one is not nothing: what it kept would be forgotten. */
function decode<T>(
  schema: z.ZodType<T>,
  bytes: Uint8Array | undefined,
): { readonly value: T } | 'damaged' | undefined {
  if (bytes === undefined) return undefined;
  if (standingHead(bytes) !== headOf(bodyOf(bytes)) || bytes.at(-1) !== END) return 'damaged';
  try {
    return { value: parse(schema, bytes) };
  } catch {
    return 'damaged';
  }
}

const bodyOf = (bytes: Uint8Array): Uint8Array => bytes.subarray(HEAD_BYTES, bytes.length - 1);

const parse = <T>(schema: z.ZodType<T>, bytes: Uint8Array): T =>
  schema.parse(JSON.parse(new TextDecoder().decode(bodyOf(bytes))));

function isReadable<T>(schema: z.ZodType<T>, bytes: Uint8Array): boolean {
  try {
    parse(schema, bytes);
    return true;
  } catch {
    return false;
  }
}
