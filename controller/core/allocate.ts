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
  const worth = new Float64Array(increments.length);
  for (const [index, one] of increments.entries())
    worth[index] =
      one.addW > 0
        ? (one.usdPerHour / one.addW) * (one.held && one.usdPerHour > 0 ? HELD_BONUS : 1)
        : Infinity;
  const order = Uint32Array.from(increments.keys()).sort(
    (a, b) => (worth[b] ?? 0) - (worth[a] ?? 0) || a - b,
  );
  const room = Float64Array.from(roomW);
  const taken = new Uint8Array(increments.length);
  const blockedBy = new Int32Array(increments.length).fill(-1);
  const reached = new Map<number, number>();
  for (const index of order) {
    const one = increments[index];
    if (one === undefined || one.usdPerHour <= 0) continue;
    if (one.rung > 0 && reached.get(one.machine) !== one.rung - 1) continue;
    const full = one.path.find((node) => (room[node] ?? 0) - one.addW < (one.held ? 0 : (spareW[node] ?? 0)));
    if (full !== undefined) {
      blockedBy[index] = full;
      continue;
    }
    for (const node of one.path) room[node] = (room[node] ?? 0) - one.addW;
    taken[index] = 1;
    reached.set(one.machine, one.rung);
  }
  return { taken, blockedBy, roomW: room };
}

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
