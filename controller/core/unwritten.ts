import type { Now } from './events.ts';
import type { SiteState } from './state.ts';

/**
 * Commands that wait for the ledger were said to nobody: their times stand still until they are written down, so that
 * no machine is blamed for what it was not told, and nothing moves twice the share of a window.
 */
export function holdTimes(state: SiteState, sinceMonoMs: number | undefined, { monoMs }: Now): void {
  if (sinceMonoMs === undefined) {
    state.unwritten = undefined;
    return;
  }
  const heldMs = monoMs - (state.unwritten?.atMonoMs ?? sinceMonoMs);
  state.unwritten = { atMonoMs: monoMs };
  const later = (atMonoMs: number): number =>
    atMonoMs >= sinceMonoMs ? Math.min(monoMs, atMonoMs + heldMs) : atMonoMs;
  for (const [machine, atMonoMs] of state.wishMonoMs.entries()) state.wishMonoMs[machine] = later(atMonoMs);
  for (const moved of state.priceShare.moved) moved.atMonoMs = later(moved.atMonoMs);
  for (const [place, command] of state.commands.entries()) {
    const { sentMonoMs, settledMonoMs, deadlineMonoMs } = command;
    const byMs = later(sentMonoMs) - sentMonoMs;
    if (byMs <= 0) continue;
    state.commands[place] = {
      ...command,
      sentMonoMs: sentMonoMs + byMs,
      settledMonoMs: settledMonoMs + byMs,
      deadlineMonoMs: deadlineMonoMs + byMs,
    };
  }
}
