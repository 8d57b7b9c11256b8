/**
 * Nodes that hang on two feeds, as a rack with two cords does. Both carry it, in declared shares, and either must
 * carry all of it when the other one is lost: so its whole draw is counted against the caps of both, all the time, and
 * only where a figure is compared with what a meter shows does each count with its share.
 */
export interface FedNode {
  readonly index: number;
  /** What it hangs on, as indexes; none: the root. Shares add up to 1. */
  readonly feeds: readonly { readonly node: number; readonly share: number }[];
  /** Itself and all above it, each once, by whatever feed; the root last. */
  readonly path: readonly number[];
}

/** All above a node of these feeds, itself included. Parents have lower indexes than what hangs on them. */
export const pathOf = (index: number, above: readonly FedNode[]): readonly number[] =>
  [...new Set([index, ...above.flatMap(({ path }) => path)])].sort((a, b) => b - a);

/** True when nothing from the root reaches a node any more: on every way up something is in `open`. */
export function isCutOff(nodes: readonly FedNode[], index: number, open: ReadonlySet<number>): boolean {
  if (open.has(index)) return true;
  const feeds = nodes[index]?.feeds ?? [];
  return feeds.length > 0 && feeds.every(({ node }) => isCutOff(nodes, node, open));
}

/**
 * Of what a node draws, the share that flows through each node of its path: for every node, in the order of its path.
 * `lost`: nodes without voltage; what hangs on them and on something else draws all of it from there.
 */
export function flowShares(
  nodes: readonly FedNode[],
  lost: ReadonlySet<number>,
): readonly (readonly number[])[] {
  const through: ReadonlyMap<number, number>[] = [];
  const dead = new Set<number>();
  for (const { index, feeds } of nodes) {
    if (lost.has(index) || (feeds.length > 0 && feeds.every(({ node }) => dead.has(node)))) dead.add(index);
    const live = feeds.filter(({ node }) => !dead.has(node));
    // Without any voltage nothing flows: the declared shares say where it would.
    const carrying = live.length > 0 ? live : feeds;
    const whole = carrying.reduce((sum, { share }) => sum + share, 0);
    const shares = new Map([[index, 1]]);
    for (const { node, share } of carrying)
      for (const [above, part] of through[node] ?? [])
        shares.set(
          above,
          (shares.get(above) ?? 0) + (whole > 0 ? share / whole : 1 / carrying.length) * part,
        );
    through[index] = shares;
  }
  return nodes.map(({ index, path }) => path.map((above) => through[index]?.get(above) ?? 0));
}

/** A feed counts as dead below this share of what should flow through it; the other one as carrying above this share. */
const DEAD_SHARE = 0.05;
const CARRYING_SHARE = 0.8;
/** Less than this says nothing, W. */
const TELLING_W = 500;

/**
 * Feeds that are lost, by two witnesses: the meter of one shows next to nothing though what hangs on both goes on
 * drawing, and the meter of the other shows all of it. `meterW`: good and fresh, else undefined, and then nothing is
 * known. `drawW`: of what hangs below a node, by the machines' own word.
 */
export function lostFeeds(
  nodes: readonly FedNode[],
  meterW: (node: number) => number | undefined,
  drawW: (node: number) => number,
): ReadonlySet<number> {
  const lost = new Set<number>();
  for (const { index, feeds } of nodes) {
    if (feeds.length < 2) continue;
    const watts = drawW(index);
    for (const { node, share } of feeds) {
      const here = meterW(node);
      const others = feeds.filter((other) => other.node !== node);
      if (here === undefined || watts * share < TELLING_W || Math.abs(here) > watts * share * DEAD_SHARE)
        continue;
      if (others.some((other) => (meterW(other.node) ?? 0) >= watts * CARRYING_SHARE)) lost.add(node);
    }
  }
  return lost;
}
