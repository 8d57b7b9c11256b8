import type { Model } from '../config/schema/model.ts';
import type { Mode } from '../protocols/reading.ts';

/** What a machine draws in a mode by its model, W. Written apart from the product, which has it twice. */
export function drawnW(model: Model, mode: Mode): number {
  if (model.kind === 'asic') return mode === 'mine' || mode === 'ai' ? model.ratedW : model.sleepW;
  return mode === 'ai' ? model.aiW : mode === 'mine' ? model.mineW : model.idleW;
}
