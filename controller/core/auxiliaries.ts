/** What draws beside the machines, as the controller counts it: see protocols/auxiliary.ts. */
import type { Site } from '../../config/site.ts';
import {
  auxiliaryW,
  drawersOf,
  dueW,
  followHeat,
  growthAlong,
  makeHeat,
  presentW,
} from '../../protocols/auxiliary.ts';
import type { Drawer, Heat } from '../../protocols/auxiliary.ts';
import type { SiteState } from './state.ts';

export interface Auxiliaries {
  readonly drawers: readonly Drawer[];
  readonly heat: Heat;
  /** Per node, as its path: what one more watt of a machine there comes to. */
  readonly growth: readonly (readonly number[])[];
  /** What of the residual of each node was theirs when it was learned, W: of two feeds each shows its share. */
  readonly inResidualW: Float64Array;
}

export function auxiliariesOf({ nodes }: Site): Auxiliaries {
  const drawers = drawersOf(nodes);
  return {
    drawers,
    heat: makeHeat(drawers),
    growth: nodes.map(({ path }) => growthAlong(drawers, path)),
    inResidualW: new Float64Array(nodes.length),
  };
}

/** Time has passed; `flowW`: what flows to the machines below each node. Before the first decision all is settled. */
export function noteHeat(
  { auxiliaries: { drawers, heat }, deciding }: SiteState,
  flowW: () => Float64Array,
  monoMs: number,
): void {
  if (drawers.length === 0) return;
  if (!deciding) heat.atMs = undefined;
  followHeat(heat, drawers, flowW(), monoMs);
}

/** Of what draws there and below beside machines now, by declaration, that which each node's meter shows, W. */
export function auxiliaryFlowW({ auxiliaries: { drawers, heat }, site, shares }: SiteState): Float64Array {
  const through = drawers.map(({ node }) => shares[node] ?? []);
  return presentW(drawers, site.nodes.length, heat, through);
}

/** What each node must carry beside its machines and its residual when those below it draw `itW`, W. */
export function auxiliaryDueW(state: SiteState, itW: () => Float64Array): Float64Array {
  const { drawers, heat, inResidualW } = state.auxiliaries;
  const nowW = presentW(drawers, state.site.nodes.length, heat);
  if (drawers.length === 0) return nowW;
  const watts = itW();
  const reachedW = auxiliaryW(drawers, nowW.length, (node) => watts[node] ?? 0);
  return nowW.map((now, node) =>
    dueW(reachedW[node] ?? 0, now, state.residualKnown[node] === 1 ? (inResidualW[node] ?? 0) : undefined),
  );
}
