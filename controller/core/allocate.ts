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
  readonly usdPerHour: number;
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

/** How much better another machine must be before one that runs is stopped for it. */
const HELD_BONUS = 1.03;

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
  const reached = new Int32Array(1 + machinesOf(increments)).fill(-1);
  for (const index of byWorth(increments)) {
    const one = increments[index];
    if (one === undefined || (one.rung > 0 && reached[one.machine] !== one.rung - 1)) continue;
    const { path, addW, held } = one;
    const full = firstFull(path, addW, room, held ? undefined : spareW);
    if (full >= 0) {
      blockedBy[index] = full;
      continue;
    }
    for (let at = 0; at < path.length; at++) {
      const node = path[at] ?? 0;
      room[node] = (room[node] ?? 0) - addW;
    }
    taken[index] = 1;
    reached[one.machine] = one.rung;
  }
  return { taken, blockedBy, roomW: room };
}

function machinesOf(increments: readonly Increment[]): number {
  let last = -1;
  for (const { machine } of increments) if (machine > last) last = machine;
  return last;
}

/** The first node of a path without room for `addW`, -1 when all have it. */
function firstFull(
  path: readonly number[],
  addW: number,
  room: Float64Array,
  spareW: Float64Array | undefined,
): number {
  for (let at = 0; at < path.length; at++) {
    const node = path[at] ?? 0;
    if ((room[node] ?? 0) - addW < (spareW?.[node] ?? 0)) return node;
  }
  return -1;
}

const DIGITS = 8;
const BUCKETS = 256;

/**
 * Places of the increments that are worth something, the best per watt first, equal ones in their own order. Sorted
 * digit by digit: positive doubles stand in the order of their bits, and a comparison sort of 700,000 takes a second.
 */
function byWorth(increments: readonly Increment[]): Uint32Array {
  const worth = new Float64Array(increments.length);
  let order: Uint32Array = new Uint32Array(increments.length);
  let count = 0;
  for (let index = 0; index < increments.length; index++) {
    const one = increments[index];
    if (one === undefined || !(one.usdPerHour > 0)) continue;
    worth[index] = one.addW > 0 ? (one.usdPerHour / one.addW) * (one.held ? HELD_BONUS : 1) : Infinity;
    order[count++] = index;
  }
  order = order.subarray(0, count);
  const bytes = new Uint8Array(worth.buffer);
  let next: Uint32Array = new Uint32Array(count);
  const starts = new Uint32Array(BUCKETS);
  for (let digit = 0; digit < DIGITS; digit++) {
    starts.fill(0);
    for (let at = 0; at < count; at++) {
      const bucket = digitAt(bytes, order[at] ?? 0, digit);
      starts[bucket] = (starts[bucket] ?? 0) + 1;
    }
    let sum = 0;
    for (let bucket = 0; bucket < BUCKETS; bucket++) {
      const size = starts[bucket] ?? 0;
      starts[bucket] = sum;
      sum += size;
    }
    for (let at = 0; at < count; at++) {
      const index = order[at] ?? 0;
      const bucket = digitAt(bytes, index, digit);
      const place = starts[bucket] ?? 0;
      starts[bucket] = place + 1;
      next[place] = index;
    }
    [order, next] = [next, order];
  }
  return order;
}

/** Little-endian; turned around so that the largest comes first. */
const digitAt = (bytes: Uint8Array, index: number, digit: number): number =>
  BUCKETS - 1 - (bytes[index * DIGITS + digit] ?? 0);

/**
 * The rungs of a machine that lie on the upper concave hull of value over draw, ascending: only they can be optimal.
 * `rungs`: draw W and value USD per hour, ascending in draw, the first is the base.
 */
export function hull<R extends { readonly drawW: number; readonly usdPerHour: number }>(
  rungs: readonly R[],
): R[] {
  const kept: R[] = [];
  for (const rung of rungs) {
    for (;;) {
      const last = kept.at(-1);
      const before = kept.at(-2);
      if (last === undefined) break;
      if (rung.drawW <= last.drawW) {
        if (rung.usdPerHour <= last.usdPerHour) break;
        kept.pop();
        continue;
      }
      if (before === undefined) break;
      const slopeLast = (last.usdPerHour - before.usdPerHour) / (last.drawW - before.drawW);
      const slopeNew = (rung.usdPerHour - last.usdPerHour) / (rung.drawW - last.drawW);
      if (slopeNew <= slopeLast) break;
      kept.pop();
    }
    const last = kept.at(-1);
    if (last === undefined || rung.drawW > last.drawW) kept.push(rung);
  }
  return kept;
}
