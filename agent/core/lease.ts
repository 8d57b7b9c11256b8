import type { FaultCode } from '../../protocols/faults.ts';
import type { Lease } from '../../protocols/mqtt/desired.ts';
import type { LeasePhase } from '../../protocols/mqtt/status.ts';

/** Nonces kept: more than any T1 holds at one a second. */
const MOST_NONCES = 128;
/** Agents of one site that are listened for. */
const MOST_AGENTS = 1_024;

interface Taken {
  readonly epoch: number;
  readonly seq: number;
  readonly racks: Readonly<Record<string, number>>;
  readonly atMs: number;
  /** Monotonic ms at which the beat was taken, and at which the nonce it echoes was issued. */
  readonly takenMs: number;
  readonly issuedMs: number;
}

/** What was in force for a rack when the controller was lost: only something newer ends the fail-safe there. */
interface Loss {
  readonly epoch: number;
  readonly generation: number;
}

/** The agent's side of the lease. All times are the agent's monotonic ms. Changed in place by the functions here alone. */
export interface LeaseState {
  readonly agent: string;
  readonly t1Ms: number;
  readonly t2Ms: number;
  readonly racks: readonly string[];
  readonly startedMs: number;
  /** Highest epoch that is on disk: no beat of a higher one is taken before it is. */
  durableEpoch: number;
  nonces: { readonly nonce: string; readonly issuedMs: number }[];
  taken: Taken | undefined;
  /** Of the other agents, the nonce that a beat echoed last, and since when: one that changes is heard. */
  readonly heard: Map<string, { readonly nonce: string; readonly sinceMs: number }>;
  readonly lost: Map<string, Loss>;
  silentLatched: boolean;
}

export function makeLease(options: {
  readonly agent: string;
  readonly t1Ms: number;
  readonly t2Ms: number;
  readonly racks: readonly string[];
  readonly durableEpoch: number;
  readonly nowMs: number;
}): LeaseState {
  const { nowMs, ...rest } = options;
  return {
    ...rest,
    startedMs: nowMs,
    nonces: [],
    taken: undefined,
    heard: new Map(),
    lost: new Map(),
    silentLatched: false,
  };
}

/** Notes a nonce that goes out with the status at `nowMs`. */
export function issueNonce(state: LeaseState, nonce: string, nowMs: number): void {
  state.nonces = state.nonces.filter((entry) => nowMs - entry.issuedMs <= state.t1Ms).slice(1 - MOST_NONCES);
  state.nonces.push({ nonce, issuedMs: nowMs });
}

export type BeatVerdict =
  | { readonly kind: 'taken' }
  /** The controller has not heard this agent yet: nothing wrong, nothing armed. */
  | { readonly kind: 'unheard' }
  /** The beat is good, but its epoch must be on disk before it is obeyed: store it, then offer the beat again. */
  | { readonly kind: 'store-epoch'; readonly epoch: number }
  | { readonly kind: 'refused'; readonly why: FaultCode; readonly detail: string };

/**
 * Judges a beat: it counts only when it echoes a nonce issued within T1, so that what was delayed on the way is old
 * when it arrives, and when neither its epoch nor, within it, its number goes back.
 */
export function takeBeat(state: LeaseState, beat: Lease, nowMs: number): BeatVerdict {
  latch(state, nowMs);
  if (beat.epoch < state.durableEpoch)
    return {
      kind: 'refused',
      why: 'DESIRED_STALE',
      detail: `beat of epoch ${beat.epoch}, seen ${state.durableEpoch}`,
    };
  const nonce = Object.hasOwn(beat.nonces, state.agent) ? beat.nonces[state.agent] : undefined;
  if (nonce === undefined) return { kind: 'unheard' };
  const issued = state.nonces.find((entry) => entry.nonce === nonce);
  if (issued === undefined || nowMs - issued.issuedMs > state.t1Ms)
    return { kind: 'refused', why: 'LEASE_STALE', detail: 'the beat echoes no nonce of the last T1' };
  if (state.taken?.epoch === beat.epoch && beat.seq <= state.taken.seq)
    return { kind: 'refused', why: 'DESIRED_STALE', detail: `beat ${beat.seq} after ${state.taken.seq}` };
  if (beat.epoch > state.durableEpoch) return { kind: 'store-epoch', epoch: beat.epoch };
  state.taken = {
    epoch: beat.epoch,
    seq: beat.seq,
    racks: beat.racks,
    atMs: beat.atMs,
    takenMs: nowMs,
    issuedMs: issued.issuedMs,
  };
  state.silentLatched = false;
  for (const [agent, echoed] of Object.entries(beat.nonces).slice(0, MOST_AGENTS))
    if (state.heard.get(agent)?.nonce !== echoed) state.heard.set(agent, { nonce: echoed, sinceMs: nowMs });
  for (const [rack, loss] of state.lost) {
    const generation = generationOf(state, rack);
    // A rack nobody ever commanded has nothing to go back to.
    if (
      generation === undefined ? loss.generation < 0 : beat.epoch > loss.epoch || generation > loss.generation
    )
      state.lost.delete(rack);
  }
  return { kind: 'taken' };
}

/** The generation the last taken beat names for a rack. */
function generationOf(state: LeaseState, rack: string): number | undefined {
  const racks = state.taken?.racks;
  return racks !== undefined && Object.hasOwn(racks, rack) ? racks[rack] : undefined;
}

const silentMs = (state: LeaseState, nowMs: number): number =>
  nowMs - (state.taken?.takenMs ?? state.startedMs);

/**
 * For how long nothing tells that another agent is alive, ms: the controller hears it, and says so with its beats. While
 * there is no controller nobody is heard.
 */
export const unheardMs = (state: LeaseState, agent: string, nowMs: number): number =>
  nowMs - (state.heard.get(agent)?.sinceMs ?? state.startedMs);

/** Past T2 every rack falls under the fail-safe, and stays there when beats return, until something fresh is named. */
function latch(state: LeaseState, nowMs: number): void {
  if (state.silentLatched || silentMs(state, nowMs) <= state.t2Ms) return;
  state.silentLatched = true;
  for (const rack of state.racks)
    if (!state.lost.has(rack))
      state.lost.set(rack, { epoch: state.taken?.epoch ?? -1, generation: generationOf(state, rack) ?? -1 });
}

/** The phase of one rack. */
export function rackPhase(state: LeaseState, rack: string, nowMs: number): LeasePhase {
  latch(state, nowMs);
  if (state.lost.has(rack)) return 'lost';
  const silent = silentMs(state, nowMs);
  if (silent > state.t2Ms) return 'lost';
  if (state.taken === undefined) return 'starting';
  return silent > state.t1Ms ? 'stale' : 'live';
}

/** The phase the agent reports: `lost` as long as the fail-safe holds any of its racks. */
export function agentPhase(state: LeaseState, nowMs: number): LeasePhase {
  latch(state, nowMs);
  if (state.lost.size > 0) return 'lost';
  const silent = silentMs(state, nowMs);
  if (silent > state.t2Ms) return 'lost';
  if (state.taken === undefined) return 'starting';
  return silent > state.t1Ms ? 'stale' : 'live';
}

/** True while the last taken beat names exactly this epoch and generation and the fail-safe does not hold the rack. */
export function isArmed(
  state: LeaseState,
  rack: string,
  epoch: number,
  generation: number,
  nowMs: number,
): boolean {
  latch(state, nowMs);
  return state.taken?.epoch === epoch && generationOf(state, rack) === generation && !state.lost.has(rack);
}

/**
 * The controller's clock now, ms UTC, at most: its beat's time and all that passed since the nonce it echoes went
 * out. The agent's own wall clock plays no part.
 */
export function controllerMs(state: LeaseState, nowMs: number): number | undefined {
  return state.taken === undefined ? undefined : state.taken.atMs + (nowMs - state.taken.issuedMs);
}
