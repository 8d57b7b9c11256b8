import type { SiteNode } from '../../config/site.ts';
import { flowShares, lostFeeds } from '../../protocols/feeds.ts';
import { planCapW } from '../../protocols/loading.ts';
import type { Mode } from '../../protocols/reading.ts';
import { auxiliaryDueW, auxiliaryFlowW, noteHeat } from './auxiliaries.ts';
import { believedW, drawW } from './economics.ts';
import { isOff } from './inhibit.ts';
import { learnSubstitute, noteDoubt, substituteW } from './substitute.ts';
import { isKnown, meterOf } from './state.ts';
import type { SiteState } from './state.ts';

/** What a node itself may carry, W: the first of its limits in kW, kVA and A that will be full. */
export function ownCapW(state: SiteState, node: SiteNode): number {
  const learntW = state.learntCapW[node.index] ?? Number.NaN;
  return planCapW(node, Number.isNaN(learntW) ? undefined : learntW);
}

/** The cap in force at each node, W: its own, and at the root the utility's limit when that is lower. */
export function capsW(state: SiteState): Float64Array {
  const caps = Float64Array.from(state.site.nodes, (node) => ownCapW(state, node));
  const limitKw = limitInForceKw(state);
  if (limitKw !== undefined) caps[0] = Math.min(caps[0] ?? Infinity, limitKw * 1_000);
  return caps;
}

/** The utility's limit that must be held now, kW. */
export function limitInForceKw(state: SiteState): number | undefined {
  const utility = state.site.config.utility;
  if (utility === undefined) return undefined;
  if (state.limit.lost && utility.onLoss === 'firm-cap') {
    const firmKw = utility.firmCapKw ?? Infinity;
    return Math.min(firmKw, state.limit.obeyedKw ?? Infinity);
  }
  return state.limit.obeyedKw;
}

/**
 * Sum over the machines below each node, W. What hangs on two feeds counts in full on both, for the day on which one
 * is lost.
 */
export function sumByNode(state: SiteState, wattsOf: (machine: number) => number): Float64Array {
  const sums = new Float64Array(state.site.nodes.length);
  for (const machine of state.site.machines) {
    const watts = wattsOf(machine.index);
    if (watts === 0) continue;
    const path = state.site.nodes[machine.nodeIndex]?.path ?? [];
    for (let place = 0; place < path.length; place += 1) {
      const node = path[place] ?? -1;
      sums[node] = (sums[node] ?? 0) + watts;
    }
  }
  return sums;
}

/** Of what the machines below each node draw, W, that which its meter shows: of two feeds each has its share. */
export function flowByNode(state: SiteState, wattsOf: (machine: number) => number): Float64Array {
  const sums = new Float64Array(state.site.nodes.length);
  for (const machine of state.site.machines) {
    const watts = wattsOf(machine.index);
    if (watts === 0) continue;
    const path = state.site.nodes[machine.nodeIndex]?.path ?? [];
    const shares = state.shares[machine.nodeIndex];
    for (let place = 0; place < path.length; place += 1) {
      const node = path[place] ?? -1;
      sums[node] = (sums[node] ?? 0) + watts * (shares?.[place] ?? 1);
    }
  }
  return sums;
}

/** The share of what a node draws that flows through one above it. */
export function shareAt(state: SiteState, node: number, above: number): number {
  const place = state.site.nodes[node]?.path.indexOf(above) ?? -1;
  return state.shares[node]?.[place] ?? 0;
}

const knownSumW = (state: SiteState): Float64Array =>
  flowByNode(state, (machine) => (isKnown(state, machine) ? believedW(state, machine) : 0));

/** What flows into each node, as far as it is known without its meter's word of now, W. */
export function estimatedW(state: SiteState): Float64Array {
  const { inResidualW } = state.auxiliaries;
  const auxW = auxiliaryFlowW(state);
  return knownSumW(state).map((watts, node) => {
    const isLearned = state.residualKnown[node] === 1;
    // What of it followed the machines then is not what follows them now.
    const besideW = isLearned ? (state.residualW[node] ?? 0) - (inResidualW[node] ?? 0) : 0;
    return watts + besideW + (auxW[node] ?? 0);
  });
}

const unknownRatedW = (state: SiteState): Float64Array =>
  sumByNode(state, (machine) =>
    isKnown(state, machine) || isOff(state, machine) ? 0 : (state.site.machines[machine]?.model.ratedW ?? 0),
  );

/**
 * What flows into each node beyond its known machines, W, for deciding a shed: the node's own meter says it. Below
 * the last meter nobody knows; there the unknown machines can draw at most their rating and at most what the
 * nearest metered node above has unexplained.
 */
export function shedResidualW(state: SiteState): Float64Array {
  const unknown = unknownRatedW(state);
  const residual = new Float64Array(state.site.nodes.length);
  const lastW = (machine: number): number => (isKnown(state, machine) ? 0 : (state.lastKnownW[machine] ?? 0));
  const fullW = sumByNode(state, lastW);
  const flowW = flowByNode(state, lastW);
  for (const node of state.site.nodes) {
    if (state.residualKnown[node.index] === 1) {
      // Of unknown machines on two feeds a meter shows one part: the other one may come when its feed is lost.
      const otherW = (fullW[node.index] ?? 0) - (flowW[node.index] ?? 0);
      residual[node.index] = (state.residualW[node.index] ?? 0) + otherW;
      continue;
    }
    const metered = node.path.find((above) => state.residualKnown[above] === 1);
    const unexplained = metered === undefined ? Infinity : Math.max(0, state.residualW[metered] ?? 0);
    residual[node.index] = Math.min(unknown[node.index] ?? 0, unexplained);
  }
  return residual;
}

/**
 * The same for raising load: an unknown machine counts at its rated draw. What it drew when it was last known is in
 * the residual already.
 */
function raiseResidualW(state: SiteState): Float64Array {
  const hidden = sumByNode(state, (machine) => {
    if (isKnown(state, machine) || isOff(state, machine)) return 0;
    return Math.max(0, (state.site.machines[machine]?.model.ratedW ?? 0) - (state.lastKnownW[machine] ?? 0));
  });
  const unknown = unknownRatedW(state);
  const residual = shedResidualW(state);
  for (const [node, watts] of residual.entries())
    residual[node] =
      state.residualKnown[node] === 1 ? watts + (hidden[node] ?? 0) : Math.max(watts, unknown[node] ?? 0);
  return residual;
}

/** What the known machines are committed to, W: the larger of their draw and what they are asked to reach. */
const askedW = (state: SiteState): Float64Array =>
  sumByNode(state, (machine) => {
    if (!isKnown(state, machine)) return 0;
    const wish = state.wish[machine];
    const now = believedW(state, machine);
    return wish === undefined ? now : Math.max(now, drawW(state, machine, wish.mode));
  });

/** Of what a machine will draw in a mode, W, that which it neither draws nor is asked for yet. */
export function newW(state: SiteState, machine: number, mode: Mode): number {
  const wish = state.wish[machine];
  const askedW = wish === undefined ? 0 : drawW(state, machine, wish.mode);
  return Math.max(0, drawW(state, machine, mode) - Math.max(believedW(state, machine), askedW));
}

/** What each node is committed to, all that follows the machines included, W. */
export function committedW(state: SiteState): Float64Array {
  const asked = askedW(state);
  const residual = raiseResidualW(state);
  const due = auxiliaryDueW(state, () => plus(asked, unknownRatedW(state)));
  return asked.map((watts, node) => watts + (residual[node] ?? 0) + (due[node] ?? 0));
}

/** What follows the machines that work or shall work now, W; what follows one that is being shed may not be counted on. */
export const followingW = (state: SiteState): Float64Array =>
  auxiliaryDueW(state, () =>
    plus(
      askedW(state),
      sumByNode(state, (machine) => (isKnown(state, machine) ? 0 : heatW(state, machine))),
    ),
  );

const plus = (one: Float64Array, other: Float64Array): Float64Array =>
  one.map((watts, node) => watts + (other[node] ?? 0));

/**
 * A machine whose draw is on its way: until it has had its settling time and one more poll, its word and the meter
 * belong to different moments. After that they count, whether it has obeyed or not.
 */
export const inTransition = (state: SiteState, machine: number, monoMs: number): boolean =>
  isKnown(state, machine) && onItsWay(state, machine, monoMs);

/** Commanded so lately that its draw must still be on its way, seen or not. */
export function onItsWay(state: SiteState, machine: number, monoMs: number): boolean {
  const site = state.site.machines[machine];
  const wish = state.wish[machine];
  if (site === undefined || wish === undefined) return false;
  const settleMs = (rests(wish.mode) ? site.model.sleepS : site.model.wakeS) * 1_000;
  return monoMs - (state.wishMonoMs[machine] ?? -Infinity) < settleMs + Math.min(site.periodMs, 5_000);
}

const rests = (mode: Mode): boolean => mode === 'sleep' || mode === 'idle' || mode === 'off';

/** After a restart also who has not been heard yet is on its way where the ledger sent it. */
const moves = (state: SiteState, machine: number, monoMs: number): boolean =>
  (isKnown(state, machine) || unheard(state, machine)) && onItsWay(state, machine, monoMs);

const unheard = (state: SiteState, machine: number): boolean => state.modeMonoMs[machine] === -Infinity;

/**
 * Learns, per metered node, what its known machines do not explain. While machines below it are in transition the
 * last settled value holds, with one exception: a meter above its cap with no shed under way is believed at once.
 * Before the first decision every value is taken as it is: machines are still being heard for the first time.
 */
export function learnResiduals(state: SiteState, monoMs: number): void {
  noteFeeds(state, monoMs);
  const moving = sumByNode(state, (machine) => (moves(state, machine, monoMs) ? 1 : 0));
  const shedding = sumByNode(state, (machine) =>
    moves(state, machine, monoMs) && rests(state.wish[machine]?.mode ?? 'mine') ? 1 : 0,
  );
  const known = knownSumW(state);
  noteHeat(state, () => flowByNode(state, (machine) => heatW(state, machine)), monoMs);
  const auxW = auxiliaryFlowW(state);
  const caps = capsW(state);
  const parts = new Float64Array(state.site.nodes.length);
  for (const node of state.site.nodes) {
    const shownW = meterOf(state, node.index, monoMs);
    noteDoubt(state, node.index, shownW);
    noteSilence(state, node.index, shownW);
    const meterW = shownW ?? substituteW(state, node.index, monoMs);
    if (meterW === undefined) continue;
    if (moving[node.index] === 0) {
      state.residualFound[node.index] = 0;
      if (shownW !== undefined) learnSubstitute(state, node.index, shownW, monoMs);
    }
    const residual = meterW - (known[node.index] ?? 0);
    const before = state.residualW[node.index] ?? 0;
    const above = meterW > (caps[node.index] ?? Infinity) && (shedding[node.index] ?? 0) === 0;
    let part = 0;
    if (state.residualKnown[node.index] === 0 || !state.deciding) part = 1;
    else if (above) part = residual > before ? 1 : 0;
    else if ((moving[node.index] ?? 0) === 0) part = 0.25;
    const auxBefore = state.auxiliaries.inResidualW[node.index] ?? 0;
    const leastW = state.metering.floors.get(node.index) ?? -Infinity;
    state.residualW[node.index] = Math.max(leastW, before + part * (residual - before));
    // Learned together, so that what is beyond both stays what it is while one follows the machines.
    state.auxiliaries.inResidualW[node.index] = auxBefore + part * ((auxW[node.index] ?? 0) - auxBefore);
    state.residualKnown[node.index] = 1;
    parts[node.index] = part;
  }
  for (const left of state.left.values()) for (const one of left) one.stays *= 1 - (parts[one.node] ?? 0);
}

/** From a meter that falls silent to what stands in for it is no step down: nothing is raised because of it. */
function noteSilence(state: SiteState, node: number, shownW: number | undefined): void {
  const { floors, named } = state.metering;
  if (shownW !== undefined || named.has(node)) floors.delete(node);
  else if (state.residualKnown[node] === 1 && !floors.has(node)) floors.set(node, state.residualW[node] ?? 0);
}

/** What a machine draws, or drew when it was last known, W. */
const heatW = (state: SiteState, machine: number): number =>
  isKnown(state, machine)
    ? believedW(state, machine)
    : isOff(state, machine)
      ? 0
      : (state.lastKnownW[machine] ?? 0);

/** Feeds lost or back: from then on what hangs on them is looked for at the other one's meter. */
function noteFeeds(state: SiteState, monoMs: number): void {
  const { nodes } = state.site;
  if (!nodes.some(({ feeds }) => feeds.length > 1)) return;
  const drawnW = sumByNode(state, (machine) => (isKnown(state, machine) ? believedW(state, machine) : 0));
  const lost = lostFeeds(
    nodes,
    (node) => meterOf(state, node, monoMs),
    (node) => drawnW[node] ?? 0,
  );
  if (lost.size === state.lostFeeds.size && [...lost].every((node) => state.lostFeeds.has(node))) return;
  state.lostFeeds = lost;
  const before = state.shares;
  state.shares = flowShares(nodes, lost);
  for (const { index, path } of nodes)
    for (const [place, node] of path.entries())
      if (before[index]?.[place] !== state.shares[index]?.[place]) state.residualKnown[node] = 0;
}

/**
 * A machine at work is counted at `watts` more than before. Where the ledger's word still stands for what is
 * unexplained, it stands for the sum: the machine drew this before too.
 */
export function recount(state: SiteState, machine: number, watts: number): void {
  if (state.wish[machine]?.mode !== 'mine') return;
  const own = state.site.machines[machine]?.nodeIndex ?? -1;
  for (const node of state.site.nodes[own]?.path ?? [])
    if (state.residualFound[node] === 1) addResidual(state, node, -watts * shareAt(state, own, node));
}

/** What a lost machine has left among the unexplained watts of each node above it, as the node's path. */
export type Left = {
  readonly node: number;
  /** Of its last draw, that which flowed there, W. */
  readonly watts: number;
  /** The share of it that is still there: what was learned since holds what the machine draws by now instead. */
  stays: number;
}[];

/** A machine that stops being known leaves its last draw among the unexplained watts. */
export function leaveBehind(state: SiteState, machine: number): void {
  const watts = believedW(state, machine);
  state.lastKnownW[machine] = watts;
  const own = state.site.machines[machine]?.nodeIndex ?? -1;
  const left = (state.site.nodes[own]?.path ?? []).map((node) => ({
    node,
    watts: watts * shareAt(state, own, node),
    stays: state.residualKnown[node] === 1 ? 1 : 0,
  }));
  for (const one of left) addLeft(state, one);
  state.left.set(machine, left);
}

const addLeft = (state: SiteState, { node, watts, stays }: Left[number]): void =>
  addResidual(state, node, stays * watts);

/** Into what is unexplained, and into the least of it while the node's meter is silent. */
function addResidual(state: SiteState, node: number, watts: number): void {
  state.residualW[node] = (state.residualW[node] ?? 0) + watts;
  const { floors } = state.metering;
  const leastW = floors.get(node);
  if (leastW !== undefined) floors.set(node, leastW + watts);
}

/** What is unexplained at a node was said anew, of a time before the machines that are lost now were lost. */
export function leaveAgain(state: SiteState, node: number): void {
  for (const left of state.left.values())
    for (const one of left)
      if (one.node === node) {
        one.stays = 1;
        addLeft(state, one);
      }
}

/**
 * A machine that is known again takes out what it left, where nothing was learned without it; where all was, its
 * present draw was learned. Its draw may have changed meanwhile: taken for the other one, each would leave or take
 * watts for good where no meter tells. `first`: it was never heard by this controller, so it left nothing in what
 * the ledger says of a node.
 */
export function takeBack(state: SiteState, machine: number, first: boolean): void {
  const watts = believedW(state, machine);
  const own = state.site.machines[machine]?.nodeIndex ?? -1;
  const left = state.left.get(machine);
  state.left.delete(machine);
  for (const [place, node] of (state.site.nodes[own]?.path ?? []).entries()) {
    if (state.residualKnown[node] !== 1 || (first && state.residualFound[node] === 1)) continue;
    const { watts: leftW, stays } = left?.[place] ?? { watts: 0, stays: 0 };
    const inW = stays * leftW + (1 - stays) * watts * shareAt(state, own, node);
    addResidual(state, node, -inW);
  }
}
