/** What the controller knows of its meters themselves. */
import type { Site } from '../../config/site.ts';
import { equationsOf } from '../../protocols/metering/balance.ts';
import type { BalanceMeter, Equation } from '../../protocols/metering/balance.ts';
import { makeCalibration } from '../../protocols/metering/calibration.ts';
import type { Calibration } from '../../protocols/metering/calibration.ts';
import { makeReconciler } from '../../protocols/metering/reconcile.ts';
import type { Reconciler } from '../../protocols/metering/reconcile.ts';
import type { Action } from '../../protocols/mqtt/status.ts';
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
  /** Of the same nodes: how much more their meters have shown than those below them. */
  readonly calibrations: ReadonlyMap<number, Calibration>;
  /** Nodes whose meter has fallen silent: what was unexplained when it did, W, is the least that is counted until it tells. */
  readonly floors: Map<number, number>;
  /** As `Site.meters`, with what each can carry. */
  readonly balance: readonly (BalanceMeter & { readonly capW: number })[];
  /** Machines by the node they hang on. */
  readonly machinesAt: ReadonlyMap<number, readonly number[]>;
  /** Nodes whose meter an agent has named as wrong. */
  readonly named: Set<number>;
  /** Those of them that are there for a doubt of the meter itself. */
  readonly doubted: Set<number>;
  wordsMonoMs: number;
  /** By meter: what the ledger has of it, as text. */
  readonly written: Map<string, string>;
  /** Meters that the site file says something else of than before: what was kept of them is dropped. */
  readonly dropped: Set<string>;
  /** What was found again after a restart is not said yet. */
  isUnsaid: boolean;
  /** People's words on meters that their agents have not answered, by id. */
  readonly words: Map<string, { readonly agent: string; readonly action: Action; saidMonoMs: number }>;
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
    calibrations: new Map(own.map(({ meter }) => [site.meters[meter]?.nodeIndex ?? -1, makeCalibration()])),
    floors: new Map(),
    balance: meters.map((meter) => ({ ...meter, capW: nodes[meter.node]?.capW ?? 0 })),
    machinesAt: machinesAt(site),
    named: new Set(),
    doubted: new Set(),
    wordsMonoMs: -Infinity,
    written: new Map(),
    dropped: new Set(),
    isUnsaid: false,
    words: new Map(),
  };
}

function machinesAt(site: Site): ReadonlyMap<number, readonly number[]> {
  const at = new Map<number, number[]>();
  for (const { index, nodeIndex } of site.machines) {
    const there = at.get(nodeIndex);
    if (there === undefined) at.set(nodeIndex, [index]);
    else there.push(index);
  }
  return at;
}

const agentsOf = (site: Site, { meter, parts, own }: Equation): ReadonlySet<string | undefined> =>
  new Set([
    ...[meter, ...parts.map((part) => part.meter)].map((each) => site.meters[each]?.agent),
    ...[...own.keys()].map((node) => site.nodes[node]?.agent),
  ]);
