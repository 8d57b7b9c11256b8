/** Who goes first on a line, the most urgent first. `probe`: a unit that may be dead is tried. */
export const URGENCIES = ['control', 'fast', 'normal', 'slow', 'probe'] as const;
export type Urgency = (typeof URGENCIES)[number];

/** What waits for a line. Times are monotonic ms. */
export interface Waiting {
  readonly urgency: Urgency;
  readonly deadlineMs: number;
  /** Since when it waits. */
  readonly sinceMs: number;
  /** Not to be asked before then. */
  readonly notBeforeMs: number;
}

/**
 * What has waited so long is as urgent as `fast`. That comes to pass only on a line with more to read than it can
 * carry, where what is less urgent would else never be read, and a unit that was silent never be found again.
 */
const AGED_MS: Readonly<Record<Urgency, number>> = {
  control: Infinity,
  fast: Infinity,
  normal: 5_000,
  slow: 5_000,
  probe: 1_000,
};
const FAST = URGENCIES.indexOf('fast');

/**
 * Takes out what is to be asked now: of the most urgent class, what must be done first; what came first among equals.
 * Undefined when nothing may be asked yet.
 */
export function takeNext<T extends Waiting>(queue: T[], nowMs: number): T | undefined {
  if (queue.length <= 1) return (queue[0]?.notBeforeMs ?? Infinity) <= nowMs ? queue.pop() : undefined;
  let best = -1;
  for (let at = 0; at < queue.length; at += 1) {
    const one = queue[at] as T;
    if (one.notBeforeMs > nowMs) continue;
    if (best < 0 || goesBefore(one, queue[best] as T, nowMs)) best = at;
  }
  return best < 0 ? undefined : queue.splice(best, 1)[0];
}

/** When the first of what must still wait may be asked; undefined when nothing waits. */
export function nextStartMs(queue: readonly Waiting[]): number | undefined {
  if (queue.length === 0) return undefined;
  return Math.min(...queue.map(({ notBeforeMs }) => notBeforeMs));
}

function goesBefore(one: Waiting, other: Waiting, nowMs: number): boolean {
  const rank = rankOf(one, nowMs);
  const otherRank = rankOf(other, nowMs);
  return rank === otherRank ? one.deadlineMs < other.deadlineMs : rank < otherRank;
}

const rankOf = ({ urgency, sinceMs }: Waiting, nowMs: number): number =>
  nowMs - sinceMs >= AGED_MS[urgency] ? FAST : URGENCIES.indexOf(urgency);
