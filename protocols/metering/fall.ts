import type { Fall } from './topology.ts';

/** What a meter said in a time in which nothing was switched, W, oldest first. */
export type Window = readonly number[];

/** Windows are cut into so many parts whose means are compared: what wanders slowly shows there and not in the samples. */
const PARTS = 4;
/** Fewer samples than this say nothing of the noise. */
export const SAMPLES_LEAST = 2 * PARTS;

const mean = (values: Window): number => values.reduce((sum, value) => sum + value, 0) / values.length;

function deviation(values: Window): number {
  const middle = mean(values);
  return Math.sqrt(values.reduce((sum, value) => sum + (value - middle) ** 2, 0) / (values.length - 1));
}

/** One standard deviation of a window's mean: neighbours among samples are alike, so they count half. */
function errorOf(values: Window): number {
  const parts = Array.from({ length: PARTS }, (_, part) =>
    mean(
      values.slice(
        Math.floor((part * values.length) / PARTS),
        Math.floor(((part + 1) * values.length) / PARTS),
      ),
    ),
  );
  return Math.max(deviation(values) / Math.sqrt(values.length / 2), deviation(parts) / Math.sqrt(PARTS));
}

/**
 * By how much a meter was lower at rest than before and after; a drift that goes on evenly cancels out. `backW`: by how
 * much the machines say they came back higher than they were before. Undefined: too few samples.
 */
export function fallOf(before: Window, rest: Window, after: Window, backW = 0): Fall | undefined {
  if ([before, rest, after].some((window) => window.length < SAMPLES_LEAST)) return undefined;
  const driftW = mean(after) - mean(before) - backW;
  const watts = (mean(before) + mean(after)) / 2 - mean(rest);
  const errorW = Math.hypot(errorOf(before) / 2, errorOf(after) / 2, errorOf(rest), driftW / 4);
  return { watts, errorW };
}

/** The mean of what several cycles showed. */
export function meanFall(falls: readonly (Fall | undefined)[]): Fall | undefined {
  const known = falls.filter((fall) => fall !== undefined);
  if (known.length === 0) return undefined;
  return {
    watts: mean(known.map(({ watts }) => watts)),
    errorW: Math.hypot(...known.map(({ errorW }) => errorW)) / known.length,
  };
}
