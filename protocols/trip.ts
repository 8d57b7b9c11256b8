/**
 * How long a node bears more than its cap: an inverse-time curve, as a breaker or a relay has one. A point says for
 * how many seconds a steady load, as a multiple of the cap, is borne at least before the breaker may open.
 */
export interface TripPoint {
  /** Load over cap. */
  readonly load: number;
  readonly s: number;
}

/**
 * Where the site file gives none: the early edge of a thermal-magnetic breaker whose rating is the cap. Breakers of
 * that kind bear 1.05 of their rating for hours, open at 1.3 within two hours and by magnet from five times on; the
 * early edge is far below what most need, so that a figure judged by it errs on the safe side.
 */
export const TYPICAL_TRIP: readonly TripPoint[] = [
  { load: 1.05, s: 3_600 },
  { load: 1.13, s: 600 },
  { load: 1.3, s: 120 },
  { load: 1.5, s: 40 },
  { load: 2, s: 15 },
  { load: 3, s: 5 },
  { load: 5, s: 0.02 },
];

/** Cooling down again from the brink, s: slower than small breakers do, so that one excess soon after another counts. */
const COOL_S = 1_800;

/**
 * For how long a steady load (over cap) is borne, s. Infinity below the first point and up to the cap; between two
 * points on the straight line of their logarithms; from the last one on as long as that.
 */
export function tripS(curve: readonly TripPoint[], load: number): number {
  const upper = curve.findIndex((point) => point.load > load);
  if (upper === 0 || load <= 1) return Infinity;
  const above = curve[upper];
  const below = upper < 0 ? curve.at(-1) : curve[upper - 1];
  if (below === undefined) return Infinity;
  if (above === undefined) return below.s;
  const share = Math.log(load / below.load) / Math.log(above.load / below.load);
  return below.s * (above.s / below.s) ** share;
}

/**
 * The share of the curve that is used after `load` (over cap) was there for `forS` more seconds, `used` before; at 1
 * the breaker may open. What is not above the first point cools down.
 */
export function heat(curve: readonly TripPoint[], used: number, load: number, forS: number): number {
  const bearS = tripS(curve, load);
  return bearS === Infinity ? Math.max(0, used - forS / COOL_S) : used + forS / bearS;
}

/** The most of its curve that a series of loads uses, W each `stepS` seconds; from 1 on it trips. */
export function mostUsed(
  curve: readonly TripPoint[],
  loadsW: readonly number[],
  capW: number,
  stepS: number,
): number {
  let used = 0;
  let most = 0;
  for (const watts of loadsW) {
    used = heat(curve, used, watts / capW, stepS);
    most = Math.max(most, used);
  }
  return most;
}
