import type { SiteState } from './state.ts';

/** Signals whose end is followed. */
const RESTORING_MOST = 64;

/** A signal ended: when it took load, what it took is now given back and that will be said. */
export function endSignal(state: SiteState, signalId: string): void {
  if (!state.commands.some((command) => command.signalId === signalId && command.expectedW < 0)) return;
  state.restoring.add(signalId);
  for (const oldest of state.restoring)
    if (state.restoring.size > RESTORING_MOST) state.restoring.delete(oldest);
}
