/** How long machines take to show what they were told, learned per model, firmware and verb. Pure; times in ms. */

/** The newest so many of each are kept. */
const MOST_SAMPLES = 32;
/** Fewer prove nothing. */
const LEAST_SAMPLES = 8;
/** Kinds of machine times verbs; the ones not seen for longest go. */
const MOST_KINDS = 500;
/** Of the samples, so many are within the time; half as long again is waited, as for a time that is declared. */
const QUANTILE = 0.95;
const ROOM = 1.5;
/** A learned time stays within this many times the declared one, above and below. */
const MOST_TIMES = 4;
const LEAST_SHARE = 0.5;
/** Nothing is given up sooner. */
const LEAST_MS = 10_000;

/** By kind: the newest times from the first OK to the reading that showed it, oldest first. */
export type LearnedTimes = Map<string, number[]>;

export interface KindOfVerb {
  readonly model: string;
  readonly firmware: string;
  readonly verb: string;
}

const keyOf = ({ model, firmware, verb }: KindOfVerb): string => JSON.stringify([model, firmware, verb]);

/** Takes one observation in. Another firmware is another kind: it starts anew. */
export function noteTime(times: LearnedTimes, kind: KindOfVerb, ms: number): void {
  if (!(ms >= 0 && Number.isFinite(ms))) return;
  const key = keyOf(kind);
  const samples = [...(times.get(key) ?? []), Math.round(ms)].slice(-MOST_SAMPLES);
  times.delete(key);
  times.set(key, samples);
  const [oldest] = times.keys();
  if (times.size > MOST_KINDS && oldest !== undefined) times.delete(oldest);
}

/**
 * How long to wait for a verb's effect before it counts as ignored: as learned, in the bounds of what is declared;
 * as declared while too little is known. One that restarts mining is never said again sooner than declared.
 */
export function patienceMs(
  times: LearnedTimes,
  kind: KindOfVerb | undefined,
  declaredMs: number,
  { pollMs, restartsMining }: { readonly pollMs: number; readonly restartsMining: boolean },
): number {
  const samples = (kind === undefined ? undefined : times.get(keyOf(kind))) ?? [];
  if (samples.length < LEAST_SAMPLES) return declaredMs;
  const sorted = [...samples].sort((a, b) => a - b);
  const slow = sorted[Math.ceil(sorted.length * QUANTILE) - 1] ?? declaredMs;
  const leastMs = restartsMining ? declaredMs : Math.max(LEAST_MS, declaredMs * LEAST_SHARE);
  return Math.min(declaredMs * MOST_TIMES, Math.max(leastMs, slow * ROOM + 2 * pollMs));
}
