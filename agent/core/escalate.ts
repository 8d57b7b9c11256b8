/** What is left to do when a machine says yes and does not: another verb to the same end, then its outlet. Pure. */
import type { Model } from '../../config/schema/model.ts';
import type { VerbFacts } from '../../protocols/verb-facts.ts';
import { isAtRest } from './draw.ts';
import type { Attempt } from './reconcile.ts';

/** Less than this share of what it draws is no relief worth a write. */
const WORTH_SHARE = 0.9;

/** A limit that was given in place of a rest: it brings the load down, and says nothing of resting. */
export const isInPlaceOfRest = ({ verb, mode }: Pick<Attempt, 'verb' | 'mode'>): boolean =>
  verb === 'power-limit' && isAtRest(mode);

/**
 * The limit to give a machine that was told twice to rest and works on, W: the lowest level of its model. Undefined
 * where its firmware has no limit, would restart mining with it, or where it would not bring the draw down: `limitW`,
 * the limit it shows now, is never raised.
 */
export function leastLimitW(
  model: Model,
  facts: VerbFacts | undefined,
  drawnW: number | undefined,
  limitW: number | undefined,
): number | undefined {
  if (model.kind !== 'asic' || facts === undefined || facts.restartsMining) return undefined;
  const lowest = model.rungs[0]?.powerW;
  if (lowest === undefined || model.rungs.length < 2) return undefined;
  const leastW = Math.round(Math.max(lowest, facts.grain?.by === 'watts' ? (facts.grain.leastW ?? 0) : 0));
  const isLower = leastW < (drawnW ?? model.ratedW) * WORTH_SHARE && leastW < (limitW ?? Infinity);
  return isLower ? leastW : undefined;
}
