/**
 * Whether a meter's energy register advances by what its power says: energy = ∫ P dt, import less export. Judged over
 * windows of at least five minutes and 25 steps of the register, from one change of the register to another, so that
 * neither its steps nor how rarely it is renewed count. `stuck`: it moves no more; `rate`: by more or
 * less than 5 % of the energy, what lies between two samples of a changing power, and the meter's threshold below
 * which it does not count; `sign`: the other way.
 */
export interface AdvanceState {
  /** Where the window began: at a change of the register, or where it was first seen. */
  begin: { readonly atMs: number; readonly netWh: number; readonly isChange: boolean } | undefined;
  last: { readonly atMs: number; readonly powerW: number } | undefined;
  /** The register when it was read last, and the two times around its last change. */
  netWh: number;
  readMs: number;
  changedMs: number;
  /** The longest it stood under load and then moved. */
  longestMs: number;
  /** Of the window: energy by power, with and without its sign, and how far that may be off. */
  sumWh: number;
  sizeWh: number;
  doubtWh: number;
  /** The most power of the window, and ever. */
  windowMostW: number;
  mostW: number;
  found: AdvanceFinding | undefined;
}

export interface AdvanceFinding {
  readonly kind: 'stuck' | 'rate' | 'sign';
  readonly text: string;
}

export interface AdvanceSample {
  readonly atMs: number;
  /** Import positive; undefined where it is not good: nothing is judged over it. */
  readonly powerW: number | undefined;
  /** Import less export, when it was read now. */
  readonly netWh: number | undefined;
  /** The register's step at this value. */
  readonly stepWh: number;
}

const WINDOW_MS = 300_000;
const STEPS = 25;
const GAP_MS = 15_000;
/** A meter that is read rarely has longer gaps: so many of them are one. */
const GAP_POLLS = 2.5;
const SHARE = 0.05;
/** Below so much of its most a meter need not count: its starting current. */
const START_SHARE = 0.005;
/** A register that is renewed rarely stands longer: so many times the longest it has stood is too long. */
const PATIENCE = 3;
const MS_PER_HOUR = 3_600_000;

export const makeAdvance = (): AdvanceState => ({
  begin: undefined,
  last: undefined,
  netWh: Number.NaN,
  readMs: 0,
  changedMs: 0,
  longestMs: 0,
  sumWh: 0,
  sizeWh: 0,
  doubtWh: 0,
  windowMostW: 0,
  mostW: 0,
  found: undefined,
});

/** The register was set, misread, or is another one: what was counted so far says nothing. */
export function restartAdvance(state: AdvanceState): void {
  state.begin = undefined;
  state.netWh = Number.NaN;
}

/** Takes a sample; what contradicts by the newest judgement, undefined while nothing does. `periodMs`: between samples. */
export function noteAdvance(
  state: AdvanceState,
  sample: AdvanceSample,
  periodMs: number,
): AdvanceFinding | undefined {
  const { atMs, powerW, netWh } = sample;
  const gapMs = state.last === undefined ? Infinity : atMs - state.last.atMs;
  if (powerW === undefined || gapMs > Math.max(GAP_MS, GAP_POLLS * periodMs)) restartAdvance(state);
  else if (state.last !== undefined) integrate(state, state.last.powerW, powerW, gapMs);
  state.last = powerW === undefined ? undefined : { atMs, powerW };
  if (powerW === undefined || netWh === undefined) return state.found;
  const isChange = !Number.isNaN(state.netWh) && netWh !== state.netWh;
  const readGapMs = atMs - state.readMs;
  if (isChange && state.begin !== undefined)
    state.longestMs = Math.max(state.longestMs, Math.min(atMs - state.changedMs, WINDOW_MS));
  if (isChange || state.begin === undefined) state.changedMs = atMs;
  state.netWh = netWh;
  state.readMs = atMs;
  if (state.begin === undefined || (isChange && !state.begin.isChange)) begin(state, atMs, netWh, isChange);
  else judge(state, sample, netWh, isChange, readGapMs);
  return state.found;
}

function judge(
  state: AdvanceState,
  { atMs, stepWh }: AdvanceSample,
  netWh: number,
  isChange: boolean,
  readGapMs: number,
): void {
  if (state.begin === undefined) return;
  const elapsedMs = atMs - state.begin.atMs;
  if (elapsedMs < WINDOW_MS || state.sizeWh < STEPS * stepWh) return;
  const stoodMs = atMs - state.changedMs;
  if (!isChange && stoodMs < Math.max(WINDOW_MS, PATIENCE * state.longestMs)) return;
  const movedWh = netWh - state.begin.netWh;
  const slackWh =
    2 * stepWh +
    SHARE * state.sizeWh +
    state.doubtWh +
    (state.windowMostW * readGapMs + START_SHARE * state.mostW * elapsedMs) / MS_PER_HOUR;
  const isOff = Math.abs(movedWh - state.sumWh) > slackWh;
  const words = `${kWh(movedWh)} kWh in ${Math.round(elapsedMs / 60_000)} min where its power makes ${kWh(state.sumWh)} kWh`;
  if (!isOff) state.found = undefined;
  else if (!isChange) state.found = { kind: 'stuck', text: `its energy register stands still: ${words}` };
  else {
    const kind = movedWh * state.sumWh < 0 ? 'sign' : 'rate';
    state.found = { kind, text: `its energy register moved by ${words}` };
  }
  begin(state, atMs, netWh, isChange);
}

function begin(state: AdvanceState, atMs: number, netWh: number, isChange: boolean): void {
  state.begin = { atMs, netWh, isChange };
  state.sumWh = 0;
  state.sizeWh = 0;
  state.doubtWh = 0;
  state.windowMostW = 0;
}

function integrate(state: AdvanceState, fromW: number, toW: number, ms: number): void {
  const hours = ms / MS_PER_HOUR;
  const mostW = Math.max(Math.abs(fromW), Math.abs(toW));
  state.sumWh += ((fromW + toW) / 2) * hours;
  state.sizeWh += ((Math.abs(fromW) + Math.abs(toW)) / 2) * hours;
  // When in between it changed is not known.
  state.doubtWh += (Math.abs(toW - fromW) / 2) * hours;
  state.windowMostW = Math.max(state.windowMostW, mostW);
  state.mostW = Math.max(state.mostW, mostW);
}

const kWh = (wh: number): number => Number((wh / 1_000).toPrecision(4));
