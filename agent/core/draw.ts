import type { Model } from '../../config/schema/model.ts';
import type { Mode } from '../../protocols/reading.ts';

/** What a machine of this model draws once it has settled in a mode, W; never above its rating. */
export function drawW(model: Model, mode: Mode, powerW?: number): number {
  if (mode === 'off') return 0;
  const limitW = Math.min(powerW ?? model.ratedW, model.ratedW);
  if (model.kind === 'asic') {
    if (mode !== 'mine') return mode === 'ai' ? model.ratedW : model.sleepW;
    return Math.min(limitW, model.rungs.at(-1)?.powerW ?? model.ratedW);
  }
  if (mode === 'ai') return Math.min(limitW, model.aiW);
  if (mode === 'mine') return Math.min(limitW, model.mineW);
  return model.idleW;
}

/** The mode in which a machine of this kind draws least and still answers. */
export const restMode = (model: Model): 'sleep' | 'idle' => (model.kind === 'asic' ? 'sleep' : 'idle');

export const isAtRest = (mode: Mode): boolean => mode !== 'mine' && mode !== 'ai';

/** True when a machine seen in `seen` is where `wanted` asks it to be. */
export function satisfies(model: Model, wanted: Mode, seen: Mode): boolean {
  if (wanted === seen) return true;
  if (model.kind === 'asic') return wanted === 'sleep' && seen === 'off';
  return isAtRest(wanted) && isAtRest(seen);
}

/**
 * Which machine gives way first: the higher number. ASICs by J/TH, then GPU mining, AI last; 0 when there is
 * nothing to shed.
 */
export function shedRank(model: Model, mode: Mode | undefined): number {
  if (mode !== undefined && isAtRest(mode)) return 0;
  if (model.kind === 'gpu-host') return mode === 'mine' ? 2 : 1;
  const top = model.rungs.at(-1);
  return 1_000 + (top === undefined ? 0 : top.powerW / top.hashrateThs);
}

/** What the hand-over of a GPU host may take on top of its model's times: drain, stop, proof of release, start. */
const HANDOVER_MS = { ai: 360_000, mine: 240_000, idle: 150_000, sleep: 150_000, off: 150_000 } as const;

/** How long a command may take to show in readings, ms: half as long again as the model says, and two polls. */
export function settleMs(model: Model, mode: Mode, pollMs: number): number {
  const rising = mode === 'mine' || mode === 'ai';
  const own = (rising ? model.wakeS : model.sleepS) * 1_500 + 2 * pollMs;
  return model.kind === 'gpu-host' ? Math.max(own, HANDOVER_MS[mode]) : own;
}
