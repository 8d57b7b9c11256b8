import type { Clock } from './deps.ts';

/** Longest delay one Node timer keeps; a longer one would fire at once. */
const LONGEST_TIMER_MS = 2_147_483_647;

function after(delayMs: number, fn: () => void): () => void {
  let remainingMs = delayMs > 0 ? delayMs : 0;
  let timer: NodeJS.Timeout;
  const arm = (): void => {
    const stepMs = Math.min(remainingMs, LONGEST_TIMER_MS);
    remainingMs -= stepMs;
    timer = setTimeout(() => (remainingMs > 0 ? arm() : fn()), stepMs);
  };
  arm();
  return () => {
    clearTimeout(timer);
  };
}

/** The machine's own clock: wall time in UTC ms, monotonic ms since the process started, timers of any length. */
export const realClock: Clock = {
  wallMs: () => Date.now(),
  monoMs: () => performance.now(),
  after,
};
