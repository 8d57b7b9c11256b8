/** What stands in for a node's meter that is silent or named as wrong, by `protocols/metering/stand-in.ts`. */
import { forget, learn } from '../../protocols/metering/calibration.ts';
import type { FaultCode } from '../../protocols/faults.ts';
import { METER_MAX_AGE_MS } from '../../protocols/metering/age.ts';
import { DECLARED_SHARE, WORD_SHARE } from '../../protocols/metering/balance.ts';
import { standInText, standInW, sumBelow } from '../../protocols/metering/stand-in.ts';
import type { OwnPart, Part, Sum } from '../../protocols/metering/stand-in.ts';
import { numberOf } from '../../protocols/reading.ts';
import { believedW } from './economics.ts';
import { isOff } from './inhibit.ts';
import { isKnown, meterOf } from './state.ts';
import type { SiteState } from './state.ts';

/** What was learnt of a node before its meter fell silent is off by this share at most. */
const LAST_SHARE = 0.03;
/** With less than this share of its cap a node says nothing of how its meter compares with what is below it. */
const TELLING = 0.05;

/** What an agent says of a meter that it does not use. */
export const NAMED: readonly FaultCode[] = ['METER_WIRING', 'METER_RATIO'];
/** The same of one whose values or setup are doubted, also while its power is used. */
const DOUBTED: readonly FaultCode[] = ['METER_DOUBTFUL', 'METER_SETUP'];

/** What was learnt of a node from its meter is not believed any more. */
export function forgetNode(state: SiteState, node: number): void {
  state.metering.named.add(node);
  state.residualKnown[node] = 0;
  const calibration = state.metering.calibrations.get(node);
  if (calibration !== undefined) forget(calibration);
}

/**
 * A node's meter whose power is doubted counts as named until it tells again (`shownW`): one that stood still for
 * minutes has left in the residual all that its machines have changed meanwhile.
 */
export function noteDoubt(state: SiteState, node: number, shownW: number | undefined): void {
  const { sums, named, doubted } = state.metering;
  const index = sums.get(node)?.meter ?? -1;
  const id = state.site.meters[index]?.id ?? '';
  const stands = (code: FaultCode): boolean => state.alarms.has(`${code}:${id}`);
  if (shownW !== undefined) {
    if (doubted.delete(node) && !NAMED.some(stands)) named.delete(node);
    return;
  }
  const said = state.meterSaid[index];
  if (named.has(node) || said?.ok !== true || said.quality === 'good' || !DOUBTED.some(stands)) return;
  doubted.add(node);
  forgetNode(state, node);
}

/** What must flow into a node whose meter does not tell, W, at most; undefined: nothing better than the last residual. */
export function substituteW(state: SiteState, node: number, monoMs: number): number | undefined {
  const sum = sumAt(state, node, monoMs);
  const calibration = state.metering.calibrations.get(node);
  return sum === undefined || calibration === undefined ? undefined : standInW(sum, calibration);
}

/** By what control goes on at such a node, in words. */
export function substituteText(state: SiteState, node: number, monoMs: number): string {
  const sum = sumAt(state, node, monoMs);
  const calibration = state.metering.calibrations.get(node);
  return sum === undefined || calibration === undefined
    ? "the machines' sum and the last residual"
    : standInText(sum, calibration);
}

/** The node's own meter tells, and nothing below it is on its way: what the meters below it lack is learnt. */
export function learnSubstitute(state: SiteState, node: number, shownW: number, monoMs: number): void {
  const { calibrations, sums, named } = state.metering;
  const calibration = calibrations.get(node);
  // What a meter said that is named now may still be young.
  if (calibration === undefined || named.has(node) || sums.get(node)?.against !== 'meters') return;
  const sum = sumAt(state, node, monoMs);
  const capW = (state.site.nodes[node]?.capKw ?? 0) * 1_000;
  if (sum?.isWhole === true && sum.drawnW > TELLING * capW)
    learn(calibration, shownW + sum.fedW, sum.drawnW, monoMs);
}

/** Machines' words alone stand in for a named meter only: for a silent one what was learnt from it still holds. */
function sumAt(state: SiteState, node: number, monoMs: number): Sum | undefined {
  const { sums, named } = state.metering;
  const equation = sums.get(node);
  if (equation === undefined || (equation.against === 'machines' && !named.has(node))) return undefined;
  const { meters } = state.site;
  const sum = sumBelow(equation, {
    meters: state.metering.balance,
    partOf: (meter): Part | undefined => {
      const { role, nodeIndex = -1 } = meters[meter] ?? {};
      const shownW = role === 'generation' ? solarW(state, meter, monoMs) : meterOf(state, nodeIndex, monoMs);
      const { errorShare = 0 } = state.metering.balance[meter] ?? {};
      if (shownW !== undefined) return { powerW: shownW, errorShare, isMetered: true };
      // One more that does not tell: what stands in for it, at most.
      const powerW = role === 'generation' ? undefined : substituteW(state, nodeIndex, monoMs);
      return powerW === undefined ? lastOf(state, nodeIndex) : { powerW, errorShare: 0, isMetered: false };
    },
    ownOf: (one) => ownPart(state, one),
    isTransferred: state.lostFeeds.size > 0,
  });
  return sum === undefined || (equation.against === 'meters' && sum.coverage === 0) ? undefined : sum;
}

/** What a source feeds in, W; undefined while its meter does not tell. */
function solarW(state: SiteState, meter: number, monoMs: number): number | undefined {
  const said = state.meterSaid[meter];
  const ageMs = monoMs - (state.meterHeard[meter] ?? -Infinity);
  const isFresh = ageMs <= METER_MAX_AGE_MS + (state.site.meters[meter]?.periodMs ?? 0);
  return isFresh && said?.ok === true && said.quality === 'good' ? numberOf(said) : undefined;
}

/** What flows into a node by its machines and what was learnt beside them before its meter fell silent. */
function lastOf(state: SiteState, node: number): Part | undefined {
  if (state.residualKnown[node] !== 1) return undefined;
  let powerW = state.residualW[node] ?? 0;
  for (const { index, nodeIndex } of state.site.machines) {
    const place = state.site.nodes[nodeIndex]?.path.indexOf(node) ?? -1;
    if (place >= 0 && isKnown(state, index))
      powerW += believedW(state, index) * (state.shares[nodeIndex]?.[place] ?? 1);
  }
  return { powerW, errorShare: LAST_SHARE, isMetered: false };
}

/** What hangs on a node itself, W: unknown machines at what they drew last, or at most. */
function ownPart(state: SiteState, node: number): OwnPart {
  let [drawnW, ratedW, errorW] = [0, 0, 0];
  let isWhole = true;
  for (const index of state.metering.machinesAt.get(node) ?? []) {
    const mostW = state.site.machines[index]?.model.ratedW ?? 0;
    ratedW += mostW;
    if (isOff(state, index)) continue;
    isWhole &&= isKnown(state, index);
    const watts = isKnown(state, index) ? believedW(state, index) : state.lastKnownW[index] || mostW;
    drawnW += watts;
    errorW += WORD_SHARE * watts;
  }
  const { drawers, heat } = state.auxiliaries;
  for (const [place, { node: at, fixedW, perItW }] of drawers.entries()) {
    if (at !== node) continue;
    const watts = fixedW + perItW * (heat.itW[place] ?? 0);
    drawnW += watts;
    ratedW += watts;
    errorW += DECLARED_SHARE * watts;
  }
  return { drawnW, ratedW, errorShare: drawnW > 0 ? errorW / drawnW : 0, isKnown: isWhole };
}
