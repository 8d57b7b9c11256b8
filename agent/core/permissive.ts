/**
 * What the plant's inputs mean: whether something may be started, whether what works must rest, and until when. Times
 * are monotonic ms. A value that is not known is neither good nor bad: it has its own consequence.
 */

/** The newest good value of an input and when its reading began; undefined before the first. */
export interface Sample {
  readonly value: number;
  readonly goodMs: number;
}

/** What an input must be. */
export interface Rule {
  readonly is?: boolean | undefined;
  readonly min?: number | undefined;
  readonly max?: number | undefined;
  /** Once lost, how much better than the bound it must be to count as good again. */
  readonly hysteresis: number;
  /** Wrong, or right again, this long before it counts. */
  readonly delayMs: number;
  readonly returnMs: number;
  /** Without a good value for so long it is unknown. */
  readonly unknownMs: number;
}

/** What is remembered of one rule from look to look. */
export interface RuleState {
  lost: boolean;
  /** Since when the input says the opposite of `lost`. */
  turningMs: number | undefined;
}

export type Standing = 'good' | 'lost' | 'unknown';

export const makeRule = (): RuleState => ({ lost: false, turningMs: undefined });

/** One look at one input. What was lost stays lost while nothing is known. */
export function lookAt(rule: Rule, state: RuleState, sample: Sample | undefined, nowMs: number): Standing {
  if (sample === undefined || nowMs - sample.goodMs > rule.unknownMs) {
    state.turningMs = undefined;
    return state.lost ? 'lost' : 'unknown';
  }
  const wrong = isWrong(rule, sample.value, state.lost);
  if (wrong === state.lost) state.turningMs = undefined;
  else {
    state.turningMs ??= nowMs;
    if (nowMs - state.turningMs >= (wrong ? rule.delayMs : rule.returnMs)) {
      state.lost = wrong;
      state.turningMs = undefined;
    }
  }
  return state.lost ? 'lost' : 'good';
}

/** True for a reading begun at `sinceMs` or later that is as it must be. */
export const isShown = (rule: Rule, sample: Sample | undefined, sinceMs: number): boolean =>
  sample !== undefined && sample.goodMs >= sinceMs && !isWrong(rule, sample.value, false);

function isWrong({ is, min, max, hysteresis }: Rule, value: number, lost: boolean): boolean {
  const more = lost ? hysteresis : 0;
  if (is !== undefined) return (value !== 0) !== is;
  if (min !== undefined && value < min + more) return true;
  return max !== undefined && value > max - more;
}

/** A trip that holds what is below it at rest. */
export interface Latch {
  readonly sinceWallMs: number;
  /** Since when the input is back, on both clocks; undefined while it is tripped or unknown. */
  returned: { readonly monoMs: number; readonly wallMs: number } | undefined;
}

export type Trip = 'clear' | 'tripped' | 'waiting' | 'unknown';

export interface ProtectionState {
  latch: Latch | undefined;
  /** A person permitted the restart. */
  permitted: boolean;
}

/**
 * One look at a protection: it holds from the trip until its input is back and the restart is permitted, by a person or
 * by its declared time. A permission given while it is still tripped is none.
 */
export function lookAtTrip(
  state: ProtectionState,
  standing: Standing,
  rule: { readonly autoRelease: boolean; readonly releaseMs: number },
  nowMs: number,
  wallMs: number,
): Trip {
  const { permitted } = state;
  state.permitted = false;
  if (standing === 'lost') {
    state.latch ??= { sinceWallMs: wallMs, returned: undefined };
    state.latch.returned = undefined;
    return 'tripped';
  }
  const { latch } = state;
  if (latch === undefined) return standing === 'unknown' ? 'unknown' : 'clear';
  if (standing === 'unknown') {
    latch.returned = undefined;
    return 'waiting';
  }
  latch.returned ??= { monoMs: nowMs, wallMs };
  if (!permitted && !(rule.autoRelease && nowMs - latch.returned.monoMs >= rule.releaseMs)) return 'waiting';
  state.latch = undefined;
  return 'clear';
}
