/** Whether an agent really controls: what its hardware watchdog says to the plant. Times are monotonic ms. */

/** One node with a guard, as it can be seen at this moment. */
export interface WatchedNode {
  /** Its own meter gives good, fresh samples. */
  readonly metered: boolean;
  /** Machines below it that answer, and all that do not count as switched off. */
  readonly answering: number;
  readonly expected: number;
}

/** The main loop turns once a second; standing still this long, it is dead. */
const LOOP_MS = 3_500;

/** What is remembered from look to look. */
export interface AliveState {
  /** When everything was last as it must be; undefined before it ever was. */
  goodMs: number | undefined;
}

/**
 * True while the loop turns and every guard has something to go by: its meter, or machines that answer. A gap shorter
 * than `graceMs` does not stop it; before it was ever good, nothing starts it.
 */
export function isAlive(
  state: AliveState,
  loopMs: number,
  nodes: readonly WatchedNode[],
  graceMs: number,
  nowMs: number,
): boolean {
  if (nowMs - loopMs > LOOP_MS) return false;
  const good = nodes.every(({ metered, answering, expected }) => metered || expected === 0 || answering > 0);
  if (good) state.goodMs = nowMs;
  return state.goodMs !== undefined && nowMs - state.goodMs <= graceMs;
}
