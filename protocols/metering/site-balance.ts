import type { BalanceMeter, BalanceNode } from './balance.ts';
import { isVirtual } from './virtual.ts';
import type { Mounting } from './wiring.ts';

/** What of a resolved site file says how its meters must add up; nodes and meters in their order. */
export interface MeteredSite {
  readonly nodes: readonly {
    readonly index: number;
    readonly feeds: BalanceNode['feeds'];
    readonly path: readonly number[];
    readonly capKw: number;
    readonly kind: keyof typeof LOSS_PCT;
    readonly lossPct?: number | undefined;
  }[];
  readonly meters: readonly MeterOfSite[];
}

interface MeterOfSite {
  readonly id: string;
  readonly nodeIndex: number;
  readonly role: 'node' | 'generation';
  readonly target: string;
  readonly periodMs: number;
  readonly accuracyClassPct: number;
  readonly ctClassPct: number;
}

/** What is lost in a node or drawn there undeclared, % of what flows in, at most: transformers, cables, and at the root a site's own house. */
const LOSS_PCT = { site: 5, transformer: 3, feeder: 3, pdu: 2, rack: 1 } as const;
/** A phase is loaded from this share of what its node carries on. */
const LOADED_SHARE = 0.03;
/** Of a source nobody says how large it is: much smaller than its node, perhaps. */
const SOURCE_SHARE = 0.003;
const LEAST_VA = 100;

/** The site's meters and nodes as they must add up, in the order of `Site.meters` and `Site.nodes`. */
export const balanceOfSite = (
  site: MeteredSite,
): { nodes: readonly BalanceNode[]; meters: readonly BalanceMeter[] } => ({
  nodes: site.nodes.map(({ index, feeds, capKw, kind, lossPct }) => ({
    feeds,
    capW: capKw * 1_000,
    lossShare: (lossPct ?? LOSS_PCT[kind]) / 100,
    mayExport: feedsBack(site, index),
  })),
  meters: site.meters.map(({ id, nodeIndex, role, target, periodMs, accuracyClassPct, ctClassPct }) => ({
    id,
    node: nodeIndex,
    role: isVirtual(target) ? 'virtual' : role,
    errorShare: Math.hypot(accuracyClassPct, ctClassPct) / 100,
    periodMs,
  })),
});

/** There is generation at this node or below it. */
const feedsBack = (site: MeteredSite, node: number): boolean =>
  site.meters.some(
    ({ role, nodeIndex }) => role === 'generation' && site.nodes[nodeIndex]?.path.includes(node) === true,
  );

/** What a meter's phases are looked at with. */
export function mountingOf(site: MeteredSite, { nodeIndex, role }: MeterOfSite): Mounting {
  const capVa = (site.nodes[nodeIndex]?.capKw ?? 0) * 1_000;
  const isSource = role === 'generation';
  const leastVa = Math.max(LEAST_VA, (capVa / 3) * (isSource ? SOURCE_SHARE : LOADED_SHARE));
  return { leastVa, mayExport: !isSource && feedsBack(site, nodeIndex) };
}
