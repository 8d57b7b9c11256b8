/**
 * What a node draws beside its machines: pumps, fans, dry coolers, chillers. One part is always there, the other
 * follows the machines' heat with a lag. A meter shows what it draws now; what it will draw by what is being started
 * is known from its declaration alone, and without a meter all of it is. Where in doubt the larger draw counts, and
 * that it falls after a shed is believed when a meter has shown it.
 */
export interface Auxiliary {
  readonly fixedKw: number;
  /** kW per kW of machines below. */
  readonly perItKw: number;
  /** Within this time it has followed a change of the machines, s. */
  readonly lagS: number;
}

/** One of them in a list of nodes; `node` and `above` are places in it, `above` the node's own and all above it. */
export interface Drawer {
  readonly node: number;
  readonly above: readonly number[];
  readonly fixedW: number;
  /** W per W of machines below. */
  readonly perItW: number;
  readonly lagMs: number;
}

/** Those of a list of nodes; `path` as places in that list. */
export const drawersOf = (
  nodes: readonly { readonly path: readonly number[]; readonly auxiliary?: Auxiliary | undefined }[],
): readonly Drawer[] =>
  nodes.flatMap(({ path, auxiliary }, node) => {
    if (auxiliary === undefined) return [];
    const { fixedKw, perItKw, lagS } = auxiliary;
    return [{ node, above: path, fixedW: fixedKw * 1_000, perItW: perItKw, lagMs: lagS * 1_000 }];
  });

/** What one more watt of a machine comes to at each node of its path, once everything has followed it. */
export const growthAlong = (drawers: readonly Drawer[], path: readonly number[]): readonly number[] =>
  path.map((node) =>
    drawers.reduce(
      (sum, drawer) =>
        path.includes(drawer.node) && drawer.above.includes(node) ? sum + drawer.perItW : sum,
      1,
    ),
  );

/** The machines' draw that each drawer has followed so far, W. */
export interface Heat {
  readonly itW: number[];
  /** Monotonic ms of the last look; undefined: the next one is taken as settled. */
  atMs: number | undefined;
}

export const makeHeat = (drawers: readonly Drawer[]): Heat => ({
  itW: drawers.map(() => 0),
  atMs: undefined,
});

/** Time constants in a lag: after so many, 95 % of a change have followed. */
const CONSTANTS = 3;

/** Time has passed; `flowW`: what the machines below each node draw through it. */
export function followHeat(
  heat: Heat,
  drawers: readonly Drawer[],
  flowW: ArrayLike<number>,
  nowMs: number,
): void {
  const passedMs = heat.atMs === undefined ? Infinity : nowMs - heat.atMs;
  for (const [place, { node, lagMs }] of drawers.entries()) {
    const beforeW = heat.itW[place] ?? 0;
    const part = passedMs >= lagMs * CONSTANTS ? 1 : 1 - Math.exp((-passedMs * CONSTANTS) / lagMs);
    heat.itW[place] = beforeW + part * ((flowW[node] ?? 0) - beforeW);
  }
  heat.atMs = nowMs;
}

/**
 * Of what each drawer draws, the share that flows through each of its `above`, as a meter there shows it. Without
 * shares what hangs on two feeds counts in full on both, for the day on which one is lost.
 */
export type DrawerShares = readonly (readonly number[])[];

/** What everything beside the machines draws at each of `count` nodes, W, when the machines below a drawer draw `itW`. */
export function auxiliaryW(
  drawers: readonly Drawer[],
  count: number,
  itW: (node: number, place: number) => number,
  shares?: DrawerShares,
): Float64Array {
  const watts = new Float64Array(count);
  for (const [place, { node, above, fixedW, perItW }] of drawers.entries()) {
    const own = fixedW + perItW * itW(node, place);
    for (const [step, one] of above.entries())
      watts[one] = (watts[one] ?? 0) + own * (shares?.[place]?.[step] ?? 1);
  }
  return watts;
}

/** The same for what it draws now. */
export const presentW = (
  drawers: readonly Drawer[],
  count: number,
  heat: Heat,
  shares?: DrawerShares,
): Float64Array => auxiliaryW(drawers, count, (_, place) => heat.itW[place] ?? 0, shares);

/**
 * What must be counted at a node beside its machines and beside what its meter showed of everything else, W.
 * `reachedW`: by what the machines are committed to; `nowW`: at present; `shownW`: the part the meter's word holds
 * already, undefined where there is none.
 */
export const dueW = (reachedW: number, nowW: number, shownW: number | undefined): number =>
  shownW === undefined ? Math.max(reachedW, nowW) : Math.max(0, reachedW - shownW);
