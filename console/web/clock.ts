/** The browser's clock: monotonic ms, and timers. The only file of the page that touches them. */
export const monoMs = (): number => performance.now();

/** Calls `fn` once after `delayMs`; the result cancels it. */
export function after(delayMs: number, fn: () => void): () => void {
  const timer = window.setTimeout(fn, delayMs);
  return () => window.clearTimeout(timer);
}

/** Calls `fn` before the next frame, however often it is asked until then. */
export function everyFrameAtMost(fn: () => void): () => void {
  let asked = false;
  return () => {
    if (asked) return;
    asked = true;
    const run = (): void => {
      asked = false;
      fn();
    };
    // A hidden page gets no frames and needs none.
    window.requestAnimationFrame(run);
  };
}
