import type { RunningInterval } from '../../protocols/mqtt/energy.ts';
import type { Inhibition, LeasePhase, Stored } from '../../protocols/mqtt/status.ts';
import { setAlarm } from './alarms.ts';
import type { Effect } from './effects.ts';
import type { Now } from './events.ts';
import type { SiteState } from './state.ts';

export interface AgentState {
  boot: number;
  heardMonoMs: number;
  /** Since when it is heard without a break. */
  sinceMonoMs: number;
  online: boolean;
  phase: LeasePhase;
  nonce: string;
  /** By number of its start: how far what it said is stored. Earlier starts are forgotten once it was told. */
  stored: Map<number, Stored>;
  /** A frame could not be understood: everything kept must be said again. */
  resend: boolean;
  /** The controller's clock minus the agent's, at least, ms. */
  clockOffsetMs: number;
  spooled: number;
  guarding: readonly string[];
  /** What its inputs hold back, as last said: it stands while the agent is silent. */
  inhibitions: readonly Inhibition[];
  /** Outlets it sees open, as last said. */
  openOutlets: readonly string[];
  /** Machines it has on its quarantine list, or that have no word for rest, as last said. */
  unmovable: ReadonlySet<string>;
  /** The market's intervals under way, as last said. */
  intervals: readonly RunningInterval[];
  host: Readonly<Record<string, number>> | null;
  /** When its racks were last commanded anew after a fail-safe. */
  reissuedMonoMs: number;
}

/**
 * An agent that is not heard any more, or never was, is gone: nothing is raised on its word. That is one alarm, and none
 * for what is known through it alone; nor for each agent while there is no broker.
 */
export function ageAgents(state: SiteState, now: Now): Effect[] {
  const patienceMs = state.site.config.lease.t1S * 1_000;
  return state.site.agents.flatMap((id): Effect[] => {
    const agent = state.agents.get(id);
    const heardMonoMs = agent?.heardMonoMs ?? -Infinity;
    if (agent?.online === true && now.monoMs - heardMonoMs > patienceMs) {
      agent.online = false;
      agent.phase = 'lost';
      agent.nonce = '';
    }
    const waitedMs = now.monoMs - Math.max(heardMonoMs, state.busMonoMs);
    const isLost = state.busConnected && agent?.online !== true && waitedMs > patienceMs;
    return setAlarm(
      state,
      now,
      isLost,
      'AGENT_LOST',
      id,
      `agent ${id} is not heard: nothing is known of what it reads`,
    );
  });
}

/** Since when what an agent reads could be heard without a break, by the monotonic clock; undefined: it cannot be now. */
export function heardSinceMs(state: SiteState, agent: string): number | undefined {
  const known = state.agents.get(agent);
  return state.busConnected && known?.online === true
    ? Math.max(known.sinceMonoMs, state.startedMonoMs)
    : undefined;
}
