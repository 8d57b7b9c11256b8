import { believedW } from './economics.ts';
import { isOff } from './inhibit.ts';
import { isKnown, meterOf } from './state.ts';
import type { SiteState } from './state.ts';

/**
 * What must flow into a node whose own meter was named as wrong, W: what the meters below it show (there may be none), what
 * machines and auxiliaries between them say, and all that may be lost on the way; undefined while one of them is not known.
 */
export function substituteW(state: SiteState, node: number, monoMs: number): number | undefined {
  const equation = state.metering.named.has(node) ? state.metering.sums.get(node) : undefined;
  if (equation === undefined) return undefined;
  let watts = 0;
  for (const { meter, share } of equation.parts) {
    const { role, nodeIndex = -1 } = state.site.meters[meter] ?? {};
    const shownW = role === 'generation' ? state.solarW : meterOf(state, nodeIndex, monoMs);
    if (shownW === undefined || Number.isNaN(shownW)) return undefined;
    watts += share * shownW;
  }
  for (const { index, nodeIndex } of state.site.machines) {
    const share = equation.own.get(nodeIndex) ?? 0;
    if (share === 0 || isOff(state, index)) continue;
    if (!isKnown(state, index)) return undefined;
    watts += share * believedW(state, index);
  }
  const { drawers, heat } = state.auxiliaries;
  for (const [place, { node: at, fixedW, perItW }] of drawers.entries())
    watts += (equation.own.get(at) ?? 0) * (fixedW + perItW * (heat.itW[place] ?? 0));
  return watts * (1 + equation.lossShare);
}
