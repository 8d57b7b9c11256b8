/**
 * Whether the pump of a water loop must run: while anything below works or may work, for a time after the last one
 * rested, and in frost, when standing water freezes. Off only when nothing of it can be. Times are monotonic ms.
 */
import type { Model } from '../../config/schema/model.ts';
import type { Mode } from '../../protocols/reading.ts';
import { drawW, restMode, satisfies } from './draw.ts';
import type { Sample } from './permissive.ts';

export interface LoopRule {
  readonly runOnMs: number;
  /** °C; undefined: frost is none of its concern. */
  readonly freezeBelowC: number | undefined;
  /** Once in frost it must be this much warmer. */
  readonly hysteresisC: number;
  /** Without a good temperature for so long it may be freezing. */
  readonly unknownMs: number;
}

/** What is remembered from look to look. */
export interface LoopState {
  /** When something below last worked or may have worked. */
  workedMs: number;
  frost: boolean;
}

/** What was before is not known: something may have worked a moment ago. */
export const makeLoop = (nowMs: number): LoopState => ({ workedMs: nowMs, frost: true });

export type Demand = 'works' | 'run-on' | 'frost' | 'none';

/** One look: why the pump must run; `none`: it may stand. `temperature`: of the loop or the air around it. */
export function demandOf(
  rule: LoopRule,
  state: LoopState,
  mayWork: boolean,
  temperature: Sample | undefined,
  nowMs: number,
): Demand {
  if (mayWork) state.workedMs = nowMs;
  const { freezeBelowC, hysteresisC, unknownMs, runOnMs } = rule;
  const isKnown = temperature !== undefined && nowMs - temperature.goodMs <= unknownMs;
  const boundC = (freezeBelowC ?? -Infinity) + (state.frost ? hysteresisC : 0);
  state.frost = freezeBelowC !== undefined && !(isKnown && temperature.value >= boundC);
  if (mayWork) return 'works';
  if (nowMs - state.workedMs < runOnMs) return 'run-on';
  return state.frost ? 'frost' : 'none';
}

/** Standing water carries away what a control board draws, W; an idle GPU host draws ten times that. */
const STANDING_W = 200;

/** One machine of the loop as it is known now. */
export interface Cooled {
  readonly model: Model;
  /** Asked of it by a word in force. */
  readonly wanted: Mode | undefined;
  /** By its own word; undefined: it cannot be seen. */
  readonly mode: Mode | undefined;
  readonly powerW: number | undefined;
  /** What it is on its way to, W. */
  readonly reachingW: number | undefined;
  /** Without power: it need not be seen. */
  readonly isOff: boolean;
}

/** It works, is on its way to, shall, draws too much for standing water even at rest, or nobody knows. */
export function mayNeedWater({ model, wanted, mode, powerW, reachingW, isOff }: Cooled): boolean {
  const rest = restMode(model);
  if (wanted !== undefined && !satisfies(model, rest, wanted)) return true;
  if (isOff) return false;
  if (mode === undefined || !satisfies(model, rest, mode)) return true;
  // Its word and its draw may contradict each other.
  const mostW = Math.max(drawW(model, mode), powerW ?? 0, reachingW ?? 0);
  return mostW > Math.min(2 * drawW(model, rest), STANDING_W);
}
