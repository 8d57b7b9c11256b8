import type { AgentEnergy, IntervalEnergy } from '../../protocols/mqtt/energy.ts';
import type { Effect } from './effects.ts';
import type { Now } from './events.ts';
import type { SiteState } from './state.ts';

/** Of each meter so many of the newest intervals are remembered: a month of five minutes. What comes later still is written down again. */
const MOST_INTERVALS = 9_000;

/** An agent's intervals into the ledger, each revision once: what comes again was not known to be stored. */
export function takeEnergy(state: SiteState, { agent, intervals }: AgentEnergy, { wallMs }: Now): Effect[] {
  const fresh = intervals.filter((interval) => isNewer(state, interval));
  if (fresh.length === 0) return [];
  const records = fresh.map((interval) => ({ t: 'energy' as const, atMs: wallMs, agent, interval }));
  return [{ kind: 'ledger', records, after: [] }];
}

/** Notes a revision; false when it, or a later one, is known. */
export function isNewer({ intervals }: SiteState, { meter, startMs, revision }: IntervalEnergy): boolean {
  const known = intervals.get(meter) ?? new Map<number, number>();
  intervals.set(meter, known);
  if ((known.get(startMs) ?? 0) >= revision) return false;
  known.delete(startMs);
  known.set(startMs, revision);
  if (known.size > MOST_INTERVALS) known.delete(known.keys().next().value ?? startMs);
  return true;
}
