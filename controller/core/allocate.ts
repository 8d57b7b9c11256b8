/**
 * Greedy allocation of power under nested caps. Each machine rests at a base draw; an increment lifts it one rung
 * for a value. Increments are taken by value per watt as long as every node above has room. On the concave hull of
 * each machine's rungs this is optimal up to one increment per cap.
 */
export interface Increment {
  readonly machine: number;
  /** Place in the machine's ladder: rung 1 needs rung 0 taken. */
  readonly rung: number;
  /** Nodes from the machine's own up to the root. */
  readonly path: readonly number[];
  readonly addW: number;
  /** Of it, what the machine neither draws nor is asked for yet; what follows the rest is counted already. */
  readonly newW?: number;
  /** As `path`: what each watt of `newW` comes to there with all that follows it; absent: itself. */
  readonly growth?: readonly number[];
  readonly usdPerHour: number;
  /** The same before its energy is paid; absent: as `usdPerHour`. */
  readonly grossUsdPerHour?: number;
  /** In force already: it is kept before an equal one is started, and needs no spare room. */
  readonly held: boolean;
}

export interface Allocation {
  /** As `increments`: 1 where taken. */
  readonly taken: Uint8Array;
  /** As `increments`: the node that had no room, -1 when taken or not worth it. */
  readonly blockedBy: Int32Array;
  /** Room left per node, W. */
  readonly roomW: Float64Array;
}

/**
 * How much better another machine must be before one that runs is stopped for it, as a share of what it earns before
 * energy: near its breakeven, what is left is so little that the error of a reading would swap machines.
 */
const HELD_SHARE = 0.03;

/**
 * `roomW`: per node, what may still be added above all base draws, W; may be negative (then nothing fits below it).
 * `spareW`: per node, room that an increment not yet in force must leave free, so that noise does not toggle it.
 */
export function allocate(
  increments: readonly Increment[],
  roomW: Float64Array,
  spareW: Float64Array,
): Allocation {
  const room = Float64Array.from(roomW);
  const taken = new Uint8Array(increments.length);
  const blockedBy = new Int32Array(increments.length).fill(-1);
  const columns = columnsOf(increments);
  const { machine, rung, addW, newW, held, path, paths, growths } = columns;
  const reached = new Int32Array(columns.machines).fill(-1);
  const takesW: number[] = [];
  for (const index of byWorth(increments)) {
    const below = (rung[index] ?? 0) - 1;
    const owner = machine[index] ?? 0;
    if (below >= 0 && reached[owner] !== below) continue;
    const nodes = paths[path[index] ?? 0] ?? [];
    const watts = addW[index] ?? 0;
    const growth = growths[path[index] ?? 0];
    const more = growth === undefined ? 0 : (newW[index] ?? 0);
    // What nothing follows takes the same everywhere: nearly all, and there are 700,000.
    const takes = more === 0 ? undefined : takesW;
    if (takes !== undefined)
      for (let at = 0; at < nodes.length; at++) takes[at] = watts + more * ((growth?.[at] ?? 1) - 1);
    const full = firstFull(nodes, watts, takes, room, held[index] === 1 ? undefined : spareW);
    if (full >= 0) {
      blockedBy[index] = full;
      continue;
    }
    for (let at = 0; at < nodes.length; at++) {
      const node = nodes[at] ?? 0;
      room[node] = (room[node] ?? 0) - (takes?.[at] ?? watts);
    }
    taken[index] = 1;
    reached[owner] = below + 1;
  }
  return { taken, blockedBy, roomW: room };
}

/** The increments as columns: the order of their worth jumps about, which is slow over objects. */
function columnsOf(increments: readonly Increment[]) {
  const machine = new Int32Array(increments.length);
  const rung = new Int32Array(increments.length);
  const path = new Int32Array(increments.length);
  const addW = new Float64Array(increments.length);
  const newW = new Float64Array(increments.length);
  const held = new Uint8Array(increments.length);
  const paths: (readonly number[])[] = [];
  const growths: (readonly number[] | undefined)[] = [];
  let machines = 0;
  for (let index = 0; index < increments.length; index++) {
    const one = increments[index];
    if (one === undefined) continue;
    machine[index] = one.machine;
    rung[index] = one.rung;
    addW[index] = one.addW;
    newW[index] = one.newW ?? 0;
    held[index] = one.held ? 1 : 0;
    // Neighbours mostly hang on the same node.
    if (paths.at(-1) !== one.path) {
      paths.push(one.path);
      growths.push(one.growth?.some((growth) => growth !== 1) === true ? one.growth : undefined);
    }
    path[index] = paths.length - 1;
    machines = Math.max(machines, one.machine + 1);
  }
  return { machine, rung, addW, newW, held, path, paths, growths, machines };
}

/** The first node of a path without room for `addW`, or for what is taken there, -1 when all have it. */
function firstFull(
  path: readonly number[],
  addW: number,
  takesW: readonly number[] | undefined,
  room: Float64Array,
  spareW: Float64Array | undefined,
): number {
  for (let at = 0; at < path.length; at++) {
    const node = path[at] ?? 0;
    if ((room[node] ?? 0) - (takesW?.[at] ?? addW) < (spareW === undefined ? 0 : (spareW[node] ?? 0)))
      return node;
  }
  return -1;
}

/** Bits sorted by at a time: from the last of the low word to the first of the high word. */
const DIGITS = [
  { high: false, shift: 0 },
  { high: false, shift: 11 },
  { high: false, shift: 22 },
  { high: true, shift: 0 },
  { high: true, shift: 11 },
  { high: true, shift: 22 },
] as const;
const BUCKETS = 2_048;

/** Places of increments with the two words of their worth. */
interface Keyed {
  readonly places: Uint32Array;
  readonly low: Uint32Array;
  readonly high: Uint32Array;
}

const keyed = (count: number): Keyed => ({
  places: new Uint32Array(count),
  low: new Uint32Array(count),
  high: new Uint32Array(count),
});

/** Below this many, comparing them costs less than a pass over the buckets for each digit. */
const FEW = 1_000;

/** Places of the increments that are worth something, the best per watt first, equal ones in their own order. */
function byWorth(increments: readonly Increment[]): Uint32Array {
  const places = new Uint32Array(increments.length);
  const worth = new Float64Array(increments.length);
  let count = 0;
  for (let index = 0; index < increments.length; index++) {
    const one = increments[index];
    if (one === undefined || !(one.usdPerHour > 0)) continue;
    const bonus = one.held ? HELD_SHARE * (one.grossUsdPerHour ?? one.usdPerHour) : 0;
    worth[index] = one.addW > 0 ? (one.usdPerHour + bonus) / one.addW : Infinity;
    places[count++] = index;
  }
  const worthy = places.subarray(0, count);
  if (count >= FEW) return byDigits(worthy, worth);
  // Of two that are infinite the difference is no number.
  return worthy.sort((a, b) => (worth[b] ?? 0) - (worth[a] ?? 0) || a - b);
}

/** Sorted digit by digit: positive doubles stand in the order of their bits, and comparing 700,000 takes a second. */
function byDigits(places: Uint32Array, worth: Float64Array): Uint32Array {
  const count = places.length;
  const words = new Uint32Array(worth.buffer);
  let from = keyed(count);
  from.places.set(places);
  for (let at = 0; at < count; at++) {
    const index = places[at] ?? 0;
    // Turned around, so that the largest comes first. The low word stands first in memory.
    from.low[at] = ~(words[2 * index] ?? 0);
    from.high[at] = ~(words[2 * index + 1] ?? 0);
  }
  let into = keyed(count);
  const starts = new Uint32Array(BUCKETS);
  for (const { high, shift } of DIGITS) {
    sortDigit(from, into, { count, digits: high ? from.high : from.low, shift, starts });
    [from, into] = [into, from];
  }
  return from.places;
}

function sortDigit(
  from: Keyed,
  into: Keyed,
  by: {
    readonly count: number;
    readonly digits: Uint32Array;
    readonly shift: number;
    readonly starts: Uint32Array;
  },
): void {
  const { count, digits, shift, starts } = by;
  starts.fill(0);
  for (let at = 0; at < count; at++) {
    const bucket = ((digits[at] ?? 0) >>> shift) & (BUCKETS - 1);
    starts[bucket] = (starts[bucket] ?? 0) + 1;
  }
  let sum = 0;
  for (let bucket = 0; bucket < BUCKETS; bucket++) {
    const size = starts[bucket] ?? 0;
    starts[bucket] = sum;
    sum += size;
  }
  for (let at = 0; at < count; at++) {
    const bucket = ((digits[at] ?? 0) >>> shift) & (BUCKETS - 1);
    const place = starts[bucket] ?? 0;
    starts[bucket] = place + 1;
    into.places[place] = from.places[at] ?? 0;
    into.low[place] = from.low[at] ?? 0;
    into.high[place] = from.high[at] ?? 0;
  }
}
