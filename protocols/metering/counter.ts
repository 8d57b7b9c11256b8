/**
 * What a counter register says happened: energy since the sample before, and whether the register rolled over, was
 * reset, misread once, or is another meter's. A value that cannot follow from the one before is held until the next
 * sample tells which it was. What is delivered is never negative and never more than can flow.
 */

/** How a register counts. Wh, or pulses that are worth `stepWh` each. */
export interface CounterRules {
  /** Where the register may begin again at 0. Several, where nobody says which holds for this meter. */
  readonly moduliWh: readonly number[];
  /** Its least step. */
  readonly stepWh: number;
  /** Bits of a float's mantissa: the step grows with the value. */
  readonly mantissaBits?: number | undefined;
  /** More than this cannot flow: of the node's rating, with room. Infinity doubts no jump forward. */
  readonly mostW: number;
}

/** One reading of the register. Times are of one clock that does not jump, or UTC when they outlive the process. */
export interface CounterSample {
  readonly valueWh: number;
  readonly atMs: number;
  /** What flows in the direction this register counts, by another register; bridges what cannot be known. */
  readonly powerW?: number | undefined;
  readonly serial?: string | undefined;
}

/** What is kept from sample to sample; plain data, so that it can be written down. */
export interface CounterState {
  /** The newest sample that is believed. */
  last: CounterSample | undefined;
  /** One that does not follow from it, until the next one decides. */
  held: CounterSample | undefined;
  serial: string | undefined;
}

/** `jump`: set forward by more than can flow; `glitch`: what was held was misread; `swap`: another serial number. */
export interface CounterEvent {
  readonly kind: 'rollover' | 'reset' | 'jump' | 'glitch' | 'swap';
  readonly text: string;
}

/** What flowed from `fromMs` to `toMs`. Both are equal while nothing is known: at the first sample, and while one is held. */
export interface Count {
  readonly deltaWh: number;
  readonly fromMs: number;
  readonly toMs: number;
  /** `uncertain`: by power in place of the register, or 0 where that is not known either. */
  readonly quality: 'good' | 'uncertain' | 'held';
  readonly event?: CounterEvent;
}

/** A register is renewed once a second or so, and its sample's time is known no better than that. */
const TIME_SLACK_MS = 2_000;
const MS_PER_HOUR = 3_600_000;
/** Of a round: what took more, over a long gap, may as well have been a reset. */
const CLOSE_SHARE = 0.1;

export const makeCounter = (): CounterState => ({ last: undefined, held: undefined, serial: undefined });

/** The step of a register at a value. */
export function stepAt({ stepWh, mantissaBits }: CounterRules, valueWh: number): number {
  if (mantissaBits === undefined || valueWh === 0) return stepWh;
  return Math.max(stepWh, 2 ** (Math.floor(Math.log2(Math.abs(valueWh))) - mantissaBits));
}

/** Why a register may have gone round once or more, unseen, since the sample before; undefined: it cannot have. Asked before the sample is taken. */
export function roundUnseen(
  { last }: CounterState,
  { moduliWh, mostW }: CounterRules,
  { atMs, valueWh }: CounterSample,
): string | undefined {
  if (last === undefined) return undefined;
  // Where several may hold, none does that the register has passed; one that is known holds, also of each part of a sum.
  const possible =
    moduliWh.length === 1 ? moduliWh : moduliWh.filter((wh) => wh > Math.max(valueWh, last.valueWh));
  const awayMs = atMs - last.atMs;
  if (possible.length === 0 || (mostW * awayMs) / MS_PER_HOUR < Math.min(...possible)) return undefined;
  return `not read for ${Math.round(awayMs / 1_000)} s: a counter may have gone round`;
}

/** Takes one sample. A sample not newer than the last one that is believed changes nothing. */
export function takeCount(state: CounterState, rules: CounterRules, sample: CounterSample): Count {
  const { last, held } = state;
  const isSwap = state.serial !== undefined && sample.serial !== undefined && sample.serial !== state.serial;
  const swap: CounterEvent | undefined = isSwap
    ? { kind: 'swap', text: `serial ${state.serial} is now ${sample.serial}` }
    : undefined;
  state.serial = sample.serial ?? state.serial;
  if (last === undefined) {
    state.last = sample;
    return count(sample, sample, 0, 'good', swap);
  }
  if (sample.atMs <= last.atMs) return count(last, last, 0, 'held', swap);
  if (follows(rules, last, sample)) {
    take(state, sample);
    const glitch: CounterEvent | undefined = held && {
      kind: 'glitch',
      text: `${shown(held)} between ${shown(last)} and ${shown(sample)} was misread`,
    };
    return count(last, sample, Math.max(0, sample.valueWh - last.valueWh), 'good', swap ?? glitch);
  }
  if (swap !== undefined) {
    take(state, sample);
    return count(last, sample, bridged(rules, last, sample), 'uncertain', swap);
  }
  if (held === undefined || !follows(rules, held, sample)) {
    // A newer sample that follows from neither is as good a guess as the one that is held.
    if (held === undefined || sample.atMs > held.atMs) state.held = sample;
    return count(last, last, 0, 'held');
  }
  take(state, sample);
  return decided(rules, last, held, sample);
}

/** Two samples in a row agree that the register stands elsewhere than it can have got to. */
function decided(
  rules: CounterRules,
  last: CounterSample,
  held: CounterSample,
  sample: CounterSample,
): Count {
  const sinceWh = Math.max(0, sample.valueWh - held.valueWh);
  const wrappedWh = wrapped(rules, last, held);
  const moved = `${shown(last)} to ${shown(held)}`;
  if (wrappedWh !== undefined)
    return count(last, sample, wrappedWh + sinceWh, 'good', {
      kind: 'rollover',
      text: `it began again at 0, from ${moved}`,
    });
  const mostWh = limitWh(rules, last, held);
  // Since it was set to 0 at least what it shows has flowed.
  const atLeastWh = held.valueWh >= 0 && held.valueWh <= mostWh ? held.valueWh : 0;
  const isBack = held.valueWh < last.valueWh;
  const gapWh = Math.max(isBack ? atLeastWh : 0, bridged(rules, last, held));
  return count(last, sample, gapWh + sinceWh, 'uncertain', {
    kind: isBack ? 'reset' : 'jump',
    text: isBack ? `it was set back, from ${moved}` : `it moved by more than can flow, from ${moved}`,
  });
}

function take(state: CounterState, sample: CounterSample): void {
  state.last = sample;
  state.held = undefined;
}

function count(
  from: CounterSample,
  to: CounterSample,
  deltaWh: number,
  quality: Count['quality'],
  event?: CounterEvent,
): Count {
  return { deltaWh, fromMs: from.atMs, toMs: to.atMs, quality, ...(event && { event }) };
}

/** Whether the register can have got from one to the other by itself. One step back is its rounding. */
function follows(rules: CounterRules, from: CounterSample, to: CounterSample): boolean {
  const deltaWh = to.valueWh - from.valueWh;
  return deltaWh >= -stepAt(rules, from.valueWh) && deltaWh <= limitWh(rules, from, to);
}

function limitWh(rules: CounterRules, from: CounterSample, to: CounterSample): number {
  const ms = Math.max(0, to.atMs - from.atMs) + TIME_SLACK_MS;
  return (rules.mostW * ms) / MS_PER_HOUR + 2 * stepAt(rules, Math.max(from.valueWh, to.valueWh));
}

/** What flowed if the register began again at 0 in between; undefined where it did not. */
function wrapped(rules: CounterRules, last: CounterSample, held: CounterSample): number | undefined {
  const mostWh = limitWh(rules, last, held);
  const fitting = rules.moduliWh
    .map((modulusWh) => ({ modulusWh, deltaWh: modulusWh + held.valueWh - last.valueWh }))
    .filter(({ modulusWh, deltaWh }) => deltaWh >= 0 && deltaWh <= Math.min(mostWh, modulusWh * CLOSE_SHARE));
  return fitting.length === 0 ? undefined : Math.min(...fitting.map(({ deltaWh }) => deltaWh));
}

/** What flowed by power; 0 where that is not known. */
function bridged(rules: CounterRules, from: CounterSample, to: CounterSample): number {
  const known = [from.powerW, to.powerW].filter((powerW) => powerW !== undefined);
  if (known.length === 0) return 0;
  const meanW = known.reduce((sum, powerW) => sum + Math.max(0, powerW), 0) / known.length;
  return Math.min((meanW * Math.max(0, to.atMs - from.atMs)) / MS_PER_HOUR, limitWh(rules, from, to));
}

const shown = ({ valueWh }: CounterSample): string => `${Number((valueWh / 1_000).toPrecision(9))} kWh`;
