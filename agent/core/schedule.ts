/**
 * When each device is asked: at a fixed phase of its own so that polls never bunch, with a bound on how many are
 * asked at once, and silent devices in a lane of their own that backs off so that they never slow the rest.
 */
export interface ScheduleOptions {
  readonly parallel: number;
  /** Bound of the lane of silent devices. */
  readonly parallelSilent: number;
  /** This many failures in a row put a device into the lane of silent ones. */
  readonly lostAfterPolls: number;
  readonly backoffMs: number;
  readonly longestBackoffMs: number;
  /** Every n-th poll reads everything. */
  readonly fullEvery: number;
  /** After a failure a device not yet lost is asked again this soon. */
  readonly againMs: number;
  /**
   * Instead of the back-off: silent devices are asked this often, whatever their period. For those whose line itself
   * sees to it that a dead one takes nobody's time.
   */
  readonly silentMs?: number;
  /** Due times fall on multiples of this, so that one timer serves all that are due together. */
  readonly gridMs: number;
}

export const MACHINE_SCHEDULE: ScheduleOptions = {
  parallel: 512,
  parallelSilent: 64,
  lostAfterPolls: 3,
  backoffMs: 5_000,
  longestBackoffMs: 30_000,
  fullEvery: 6,
  againMs: 2_000,
  // A poll alone costs two or three times one of many at once: code and data have left the processor's caches.
  gridMs: 100,
};

export const METER_SCHEDULE: ScheduleOptions = {
  // Lines ask one question at a time each: they are the bound.
  parallel: 2_048,
  parallelSilent: 2_048,
  lostAfterPolls: 3,
  backoffMs: 2_000,
  longestBackoffMs: 10_000,
  fullEvery: 10,
  againMs: 250,
  silentMs: 750,
  // What is asked together is one wake-up of the system: of hundreds of meters a third of the CPU.
  gridMs: 20,
};

export interface Slot {
  readonly index: number;
  readonly periodMs: number;
  readonly phaseMs: number;
  dueMs: number;
  /** Tells a heap entry that is no longer meant. */
  version: number;
  inFlight: boolean;
  startedMs: number;
  polls: number;
  failures: number;
  silent: boolean;
  /** Asked every `hurryMs` until then. */
  hurryMs: number;
  hurryUntilMs: number;
}

interface Entry {
  readonly dueMs: number;
  readonly index: number;
  readonly version: number;
}

export interface Schedule {
  readonly options: ScheduleOptions;
  readonly slots: readonly Slot[];
  readonly live: Entry[];
  readonly silent: Entry[];
  liveInFlight: number;
  silentInFlight: number;
}

export interface Poll {
  readonly index: number;
  readonly scope: 'fast' | 'full';
}

// The golden ratio spreads any number of devices evenly without knowing how many there are.
const spread = (index: number): number => (index * 0.618_033_988_749_895) % 1;
const grid = (ms: number, { gridMs }: ScheduleOptions): number => Math.ceil(ms / gridMs) * gridMs;

/** A window has this much room for each line, up to half a period. */
const WINDOW_PER_LINE_MS = 0.5;

/**
 * When each device is asked first, for devices whose samples are to be of one moment: those of one period together,
 * beginning at a whole multiple of it by the UTC clock, which agents of one site share. Lines are spread over a window
 * as wide as so many need; the devices of a line, which are asked one after the other, begin together. `lines`: what
 * each device shares its line by; undefined: it has one of its own.
 */
export function alignedPhases(
  periodsMs: readonly number[],
  lines: readonly (string | undefined)[],
  { monoMs, wallMs }: { readonly monoMs: number; readonly wallMs: number },
): number[] {
  const places = new Map<unknown, number>();
  for (const [index, line] of lines.entries()) {
    const key = line ?? index;
    if (!places.has(key)) places.set(key, places.size);
  }
  return periodsMs.map((periodMs, index) => {
    const windowMs = Math.min(periodMs / 2, WINDOW_PER_LINE_MS * places.size);
    const toWholeMs = periodMs - (wallMs % periodMs);
    return monoMs + toWholeMs + spread(places.get(lines[index] ?? index) ?? 0) * windowMs;
  });
}

/** A schedule in which every device is asked first at its phase, by default within its own period from `nowMs`. */
export function makeSchedule(
  periodsMs: readonly number[],
  options: ScheduleOptions,
  nowMs: number,
  phasesMs: readonly number[] = periodsMs.map((periodMs, index) => nowMs + spread(index) * periodMs),
): Schedule {
  const slots = periodsMs.map((periodMs, index): Slot => {
    const phaseMs = grid(phasesMs[index] ?? nowMs, options);
    return {
      index,
      periodMs,
      phaseMs,
      dueMs: phaseMs,
      version: 0,
      inFlight: false,
      startedMs: 0,
      polls: index,
      failures: 0,
      silent: false,
      hurryMs: 0,
      hurryUntilMs: 0,
    };
  });
  const schedule: Schedule = { options, slots, live: [], silent: [], liveInFlight: 0, silentInFlight: 0 };
  for (const slot of slots) push(schedule.live, { dueMs: slot.dueMs, index: slot.index, version: 0 });
  return schedule;
}

/** The devices to ask now, each marked as asked; the rest wait for a free place. */
export function takeDue(schedule: Schedule, nowMs: number): Poll[] {
  const polls: Poll[] = [];
  const { parallel, parallelSilent } = schedule.options;
  while (schedule.liveInFlight < parallel) {
    const slot = popDue(schedule, schedule.live, nowMs);
    if (slot === undefined) break;
    schedule.liveInFlight += 1;
    polls.push(begin(schedule, slot, nowMs));
  }
  while (schedule.silentInFlight < parallelSilent) {
    const slot = popDue(schedule, schedule.silent, nowMs);
    if (slot === undefined) break;
    schedule.silentInFlight += 1;
    polls.push(begin(schedule, slot, nowMs));
  }
  return polls;
}

function begin(schedule: Schedule, slot: Slot, nowMs: number): Poll {
  slot.inFlight = true;
  slot.startedMs = nowMs;
  slot.version += 1;
  const full = slot.polls % schedule.options.fullEvery === 0;
  slot.polls += 1;
  return { index: slot.index, scope: full ? 'full' : 'fast' };
}

/**
 * Notes how a poll ended and when the device is asked next. `chance`: uniform in [0, 1), for the jitter of the
 * back-off. Says when the device was lost or came back by this.
 */
export function pollDone(
  schedule: Schedule,
  index: number,
  ok: boolean,
  nowMs: number,
  chance: number,
): 'lost' | 'returned' | undefined {
  const slot = schedule.slots[index];
  if (slot === undefined || !slot.inFlight) return undefined;
  slot.inFlight = false;
  if (slot.silent) schedule.silentInFlight -= 1;
  else schedule.liveInFlight -= 1;
  const wasSilent = slot.silent;
  slot.failures = ok ? 0 : slot.failures + 1;
  slot.silent = slot.failures >= schedule.options.lostAfterPolls;
  arm(schedule, slot, nextMs(schedule.options, slot, nowMs, chance));
  if (slot.silent === wasSilent) return undefined;
  return slot.silent ? 'lost' : 'returned';
}

function nextMs(options: ScheduleOptions, slot: Slot, nowMs: number, chance: number): number {
  if (slot.silent && options.silentMs !== undefined) return nowMs + options.silentMs * (0.75 + chance / 2);
  if (slot.silent) {
    const doubled = options.backoffMs * 2 ** Math.min(slot.failures - options.lostAfterPolls, 16);
    const backoffMs = Math.min(
      Math.max(doubled, slot.periodMs),
      Math.max(options.longestBackoffMs, slot.periodMs),
    );
    return nowMs + backoffMs * (0.75 + chance / 2);
  }
  const missed = Math.floor((nowMs - slot.phaseMs) / slot.periodMs) + 1;
  const regularMs = slot.phaseMs + Math.max(0, missed) * slot.periodMs;
  if (slot.failures > 0) return Math.min(regularMs, nowMs + options.againMs);
  return nowMs < slot.hurryUntilMs ? Math.min(regularMs, nowMs + slot.hurryMs) : regularMs;
}

function arm(schedule: Schedule, slot: Slot, dueMs: number): void {
  slot.dueMs = grid(dueMs, schedule.options);
  slot.version += 1;
  const entry = { dueMs: slot.dueMs, index: slot.index, version: slot.version };
  push(slot.silent ? schedule.silent : schedule.live, entry);
}

/** Asks a device more often until `untilMs`: it is under a command. A silent device keeps its back-off. */
export function hurry(
  schedule: Schedule,
  index: number,
  everyMs: number,
  untilMs: number,
  nowMs: number,
): void {
  const slot = schedule.slots[index];
  if (slot === undefined) return;
  slot.hurryMs = everyMs;
  slot.hurryUntilMs = untilMs;
  if (!slot.inFlight && !slot.silent && slot.dueMs > nowMs + everyMs) arm(schedule, slot, nowMs + everyMs);
}

/** A silent device gives a sign of life: it is asked now, and when that is no answer yet its back-off begins anew. */
export function callBack(schedule: Schedule, index: number, nowMs: number): void {
  const slot = schedule.slots[index];
  if (slot === undefined || !slot.silent || slot.inFlight) return;
  slot.failures = schedule.options.lostAfterPolls - 1;
  arm(schedule, slot, nowMs);
}

/** Back to the device's own period: its command was seen. */
export function relax(schedule: Schedule, index: number): void {
  const slot = schedule.slots[index];
  if (slot !== undefined) slot.hurryUntilMs = 0;
}

/** When the next device is due for which there is a place, monotonic ms; undefined when only an end of a poll helps. */
export function nextDueMs(schedule: Schedule): number | undefined {
  const live = schedule.liveInFlight < schedule.options.parallel ? peek(schedule, schedule.live) : undefined;
  const silent =
    schedule.silentInFlight < schedule.options.parallelSilent ? peek(schedule, schedule.silent) : undefined;
  if (live === undefined) return silent;
  return silent === undefined ? live : Math.min(live, silent);
}

function peek(schedule: Schedule, heap: Entry[]): number | undefined {
  for (let top = heap[0]; top !== undefined; top = heap[0]) {
    if (schedule.slots[top.index]?.version === top.version) return top.dueMs;
    pop(heap);
  }
  return undefined;
}

function popDue(schedule: Schedule, heap: Entry[], nowMs: number): Slot | undefined {
  const dueMs = peek(schedule, heap);
  if (dueMs === undefined || dueMs > nowMs) return undefined;
  const top = heap[0];
  pop(heap);
  return top === undefined ? undefined : schedule.slots[top.index];
}

const before = (a: Entry, b: Entry): boolean =>
  a.dueMs < b.dueMs || (a.dueMs === b.dueMs && a.index < b.index);

function push(heap: Entry[], entry: Entry): void {
  let at = heap.length;
  heap.push(entry);
  while (at > 0) {
    const up = (at - 1) >> 1;
    const parent = heap[up];
    if (parent === undefined || !before(entry, parent)) break;
    heap[at] = parent;
    at = up;
  }
  heap[at] = entry;
}

function pop(heap: Entry[]): void {
  const last = heap.pop();
  if (last === undefined || heap.length === 0) return;
  let at = 0;
  for (;;) {
    let child = 2 * at + 1;
    const left = heap[child];
    if (left === undefined) break;
    const right = heap[child + 1];
    if (right !== undefined && before(right, left)) child += 1;
    const least = heap[child];
    if (least === undefined || !before(least, last)) break;
    heap[at] = least;
    at = child;
  }
  heap[at] = last;
}
