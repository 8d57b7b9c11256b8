import { numberOf } from './reading.ts';
import type { Readings } from './reading.ts';

/**
 * What a node may carry, as its equipment counts it: in kW, in kVA, in amperes per phase. Machines are counted in
 * watts; what the other limits come to in watts follows from the power factor, the voltage and how unevenly the
 * phases are loaded: measured where a meter tells, else assumed as bad as it may be.
 */
export interface Rating {
  readonly capKw: number;
  readonly capKva?: number | undefined;
  /** Per phase. */
  readonly capA?: number | undefined;
  /** Nominal, phase to neutral, V; stands where `capA` does. */
  readonly phaseV?: number | undefined;
  readonly phases?: 1 | 3 | undefined;
}

/** What flows through a node by its meter, all of one sample. Undefined: the meter does not say. */
export interface Flow {
  readonly powerW: number;
  readonly apparentVa: number | undefined;
  /** Of each phase. */
  readonly currentA: readonly number[];
}

/** Assumed where nothing is measured. */
const POWER_FACTOR = 0.9;
const LOW_VOLTAGE = 0.95;
/** The fullest phase over the mean of three. */
const IMBALANCE = 1.15;
/** Below this share of its fullest limit a node says nothing of how it will be loaded: idle supplies draw badly. */
const TELLING = 0.3;
/** What is better than learned so far counts slowly, what is worse at once. */
const BETTER = 0.02;

const PHASES = ['L1', 'L2', 'L3'] as const;

/** The flow in a meter's readings; undefined without a good active power. Uncertain currents count as none. */
export function flowOf(readings: Readings): Flow | undefined {
  const good = (quantity: string): number | undefined => {
    const reading = readings[quantity];
    return reading?.ok === true && reading.quality === 'good' ? numberOf(reading) : undefined;
  };
  const powerW = good('power.active.total');
  if (powerW === undefined) return undefined;
  const currents = PHASES.map((phase) => good(`current.${phase}`));
  const currentA = currents.flatMap((current) => (current === undefined ? [] : [Math.abs(current)]));
  const products = PHASES.flatMap((phase, place) => {
    const volts = good(`voltage.${phase}N`);
    const amperes = currents[place];
    return volts === undefined || amperes === undefined ? [] : [volts * Math.abs(amperes)];
  });
  // Read with every sample, unlike most meters' own figure; one without the other belongs to another moment.
  const apparentVa =
    products.length > 0 && products.length === currentA.length
      ? products.reduce((sum, voltAmperes) => sum + voltAmperes, 0)
      : good('power.apparent.total');
  return { powerW, apparentVa, currentA };
}

/** The shares of its limits in kVA and A that a flow uses, as far as it tells; `complete`: it tells of all there are. */
function otherShares(rating: Rating, flow: Flow): { shares: number[]; complete: boolean } {
  const shares: number[] = [];
  let complete = true;
  if (rating.capKva !== undefined) {
    if (flow.apparentVa === undefined) complete = false;
    else shares.push(flow.apparentVa / (rating.capKva * 1_000));
  }
  if (rating.capA !== undefined) {
    if (flow.currentA.length < (rating.phases ?? 3)) complete = false;
    if (flow.currentA.length > 0) shares.push(Math.max(...flow.currentA) / rating.capA);
  }
  return { shares, complete };
}

/** W at which the fullest of the limits in kVA and A is reached when nothing is known of the load. */
function assumedW(rating: Rating): number {
  const { capKva, capA, phaseV, phases = 3 } = rating;
  const byKva = capKva === undefined ? Infinity : capKva * 1_000 * POWER_FACTOR;
  const byA =
    capA === undefined || phaseV === undefined
      ? Infinity
      : (capA * phaseV * LOW_VOLTAGE * phases * POWER_FACTOR) / (phases === 3 ? IMBALANCE : 1);
  return Math.min(byKva, byA);
}

/**
 * The cap to plan with, W: what a flow may rise to before the first of the limits is full. `learntW`: by
 * `learnCapW`, undefined as long as no meter has told.
 */
export const planCapW = (rating: Rating, learntW: number | undefined): number =>
  Math.min(rating.capKw * 1_000, learntW ?? assumedW(rating));

/** What the limits in kVA and A come to in W by one more sample; `beforeW` when it says nothing of them. */
export function learnCapW(beforeW: number | undefined, rating: Rating, flow: Flow): number | undefined {
  const { shares, complete } = otherShares(rating, flow);
  const fullest = Math.max(...shares);
  if (shares.length === 0 || !complete || fullest < TELLING || flow.powerW <= 0) return beforeW;
  const nowW = flow.powerW / fullest;
  if (beforeW === undefined || nowW <= beforeW) return nowW;
  return beforeW + BETTER * (nowW - beforeW);
}

/**
 * The W at which this very flow would reach the first of its limits: above it the node is overloaded now. Where the
 * meter does not tell of a limit, what was learnt or is assumed of it stands in.
 */
export function flowCapW(rating: Rating, flow: Flow, learntW: number | undefined): number {
  const { shares, complete } = otherShares(rating, flow);
  const caps = [rating.capKw * 1_000, ...(complete ? [] : [planCapW(rating, learntW)])];
  const fullest = Math.max(0, ...shares);
  // What feeds back is limited at its source: shedding would make it worse.
  if (fullest > 0 && flow.powerW > 0) caps.push(flow.powerW / fullest);
  return Math.min(...caps);
}

/** The limits of a node in words, with what flows against each. */
export function loadingText(rating: Rating, flow: Flow): string {
  const parts = [`${Math.round(flow.powerW / 1_000)} of ${Math.round(rating.capKw)} kW`];
  if (rating.capKva !== undefined && flow.apparentVa !== undefined)
    parts.push(`${Math.round(flow.apparentVa / 1_000)} of ${Math.round(rating.capKva)} kVA`);
  if (rating.capA !== undefined && flow.currentA.length > 0)
    parts.push(`${flow.currentA.map((current) => Math.round(current)).join('/')} of ${rating.capA} A`);
  return parts.join(', ');
}
