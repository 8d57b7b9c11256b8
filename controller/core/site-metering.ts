/** What the controller knows of its meters themselves. */
import type { Site } from '../../config/site.ts';
import { equationsOf } from '../../protocols/metering/balance.ts';
import type { Equation } from '../../protocols/metering/balance.ts';
import { makeReconciler } from '../../protocols/metering/reconcile.ts';
import type { Reconciler } from '../../protocols/metering/reconcile.ts';
import { balanceOfSite } from '../../protocols/metering/site-balance.ts';

/** How often machines' words are taken, ms. */
export const WORDS_MS = 5_000;
/** How much later than at their agent they are here, ms. */
const FRAME_MS = 10_000;

export interface SiteMetering {
  /** Judges what no agent can: equations with parts of several of them. */
  readonly reconciler: Reconciler;
  /** What each metered node must agree with, by node: to stand in for its meter. */
  readonly sums: ReadonlyMap<number, Equation>;
  /** Nodes whose meter an agent has named as wrong. */
  readonly named: Set<number>;
  wordsMonoMs: number;
}

export function siteMetering(site: Site): SiteMetering {
  const { nodes, meters } = balanceOfSite(site);
  const all = equationsOf(nodes, meters);
  // Where there are meters below they are better than machines' words: the later one of a key stands.
  const own = ['machines', 'meters'].flatMap((kind) => all.filter(({ against }) => against === kind));
  return {
    reconciler: makeReconciler(nodes, meters, {
      ownLagMs: Math.max(0, ...site.machines.map(({ periodMs }) => periodMs)) + WORDS_MS + FRAME_MS,
      judged: (equation) => agentsOf(site, equation).size > 1,
    }),
    sums: new Map(own.map((equation) => [site.meters[equation.meter]?.nodeIndex ?? -1, equation])),
    named: new Set(),
    wordsMonoMs: -Infinity,
  };
}

const agentsOf = (site: Site, { meter, parts, own }: Equation): ReadonlySet<string | undefined> =>
  new Set([
    ...[meter, ...parts.map((part) => part.meter)].map((each) => site.meters[each]?.agent),
    ...[...own.keys()].map((node) => site.nodes[node]?.agent),
  ]);
