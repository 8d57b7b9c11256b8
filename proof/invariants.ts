import type { Site } from '../config/site.ts';
import type { LedgerRecord } from '../controller/core/events.ts';
import { isKnown } from '../controller/core/state.ts';
import type { SiteState } from '../controller/core/state.ts';
import type { Desired, Lease } from '../protocols/mqtt/desired.ts';
import type { Result } from '../protocols/mqtt/status.ts';
import type { Truth } from '../simulator/world.ts';

export const INVARIANTS = [
  'cap',
  'limit',
  'expired-or-stale',
  'ledger-first',
  'unknown-asleep',
  'gpu-owned-once',
  'converges',
] as const;
export type Invariant = (typeof INVARIANTS)[number];

export interface Violation {
  readonly invariant: Invariant;
  readonly atMs: number;
  readonly text: string;
}

/** A machine's own ramp: what is commanded down is down by then, s. */
const RAMP_S = 60;
/** Meters have their class, caps their rounding: an excess below this share is none. */
const TOLERANCE = 0.01;
/** Command ids that an agent makes for what its guard or its fail-safe does. */
const OWN_ACT = /^(?:guard|fail-safe|lockout)-/;
const TAKES_AWAY: readonly string[] = ['sleep', 'idle-handover', 'mine-stop', 'ai-stop'];
/** Within this share of a cap, the cap invariant was really at stake. */
const NEAR_CAP = 0.97;

/**
 * Watches one run from outside: true power from the world, messages as they pass the bus, the ledger as it stands on
 * disk. Never asks the product what it thinks, except for what it holds unknown.
 */
export class Judge {
  readonly violations: Violation[] = [];
  readonly atStake: Record<Invariant, number>;
  readonly #site: Site;
  readonly #graceMs: number;
  readonly #overSinceMs: Float64Array;
  readonly #desired = new Map<string, Desired>();
  readonly #inForce = new Map<string, { epoch: number; generation: number }>();
  /** Per machine, the newest command it began and when. */
  readonly #begun = new Map<string, { epoch: number; generation: number; startedMs: number }>();
  readonly #applied: { epoch: number; generation: number; rack: string; atMs: number }[] = [];
  #limitW: number | undefined;
  #limitFromMs = 0;
  #limitOverMs: number | undefined;
  #doubleOwned = 0;

  constructor(site: Site) {
    this.#site = site;
    this.#graceMs = (RAMP_S + site.config.lease.t2S + 10) * 1_000;
    this.#overSinceMs = new Float64Array(site.nodes.length).fill(Number.NaN);
    this.atStake = Object.fromEntries(INVARIANTS.map((name) => [name, 0])) as Record<Invariant, number>;
  }

  /** The site is never above a cap for longer than ramp, T2 and 10 s; GPUs never have two owners. */
  power(truth: Truth, atMs: number): void {
    for (const node of this.#site.nodes) {
      const watts = truth.nodeW[node.index] ?? 0;
      const capW = node.capKw * 1_000;
      if (watts >= capW * NEAR_CAP) this.atStake.cap++;
      this.#over(
        'cap',
        node.index,
        watts > capW * (1 + TOLERANCE),
        atMs,
        `${node.id} at ${Math.round(watts / 1_000)} kW of ${node.capKw} kW`,
      );
    }
    this.#watchLimit(truth.nodeW[0] ?? 0, atMs);
    if (truth.modes.includes('ai')) this.atStake['gpu-owned-once']++;
    if (truth.doubleOwned > this.#doubleOwned)
      this.#violate('gpu-owned-once', atMs, `GPUs had two owners ${truth.doubleOwned} times`);
    this.#doubleOwned = truth.doubleOwned;
  }

  #over(invariant: Invariant, node: number, over: boolean, atMs: number, text: string): void {
    const since = this.#overSinceMs[node] ?? Number.NaN;
    if (!over) this.#overSinceMs[node] = Number.NaN;
    else if (Number.isNaN(since)) this.#overSinceMs[node] = atMs;
    else if (atMs - since > this.#graceMs) {
      this.#violate(invariant, atMs, `${text} for ${Math.round((atMs - since) / 1_000)} s`);
      this.#overSinceMs[node] = atMs;
    }
  }

  /** The utility set a limit: it must hold from its deadline on, as long as the product can know of it. */
  limit(limitW: number | undefined, deadlineMs: number): void {
    this.#limitW = limitW;
    this.#limitFromMs = deadlineMs;
    this.#limitOverMs = undefined;
  }

  /** The product cannot be held to a limit while it is cut off from it. */
  excuse(untilMs: number): void {
    this.#limitFromMs = Math.max(this.#limitFromMs, untilMs);
  }

  #watchLimit(watts: number, atMs: number): void {
    if (this.#limitW === undefined || atMs < this.#limitFromMs) return;
    this.atStake.limit++;
    if (watts <= this.#limitW * (1 + 2 * TOLERANCE)) {
      this.#limitOverMs = undefined;
      return;
    }
    this.#limitOverMs ??= atMs;
    if (atMs - this.#limitOverMs <= this.#graceMs) return;
    this.#violate(
      'limit',
      atMs,
      `${Math.round(watts / 1_000)} kW against a limit of ${Math.round(this.#limitW / 1_000)} kW for ${Math.round((atMs - this.#limitOverMs) / 1_000)} s`,
    );
    this.#limitOverMs = atMs;
  }

  desired(desired: Desired): void {
    this.#desired.set(`${desired.rack}/${desired.epoch}.${desired.generation}`, desired);
  }

  lease(lease: Lease, atMs: number): void {
    for (const [rack, generation] of Object.entries(lease.racks)) {
      const before = this.#inForce.get(rack);
      if (
        before !== undefined &&
        (lease.epoch < before.epoch || (lease.epoch === before.epoch && generation < before.generation))
      )
        this.#violate(
          'expired-or-stale',
          atMs,
          `the lease went back from ${before.epoch}.${before.generation} to ${lease.epoch}.${generation} on ${rack}`,
        );
      this.#inForce.set(rack, { epoch: lease.epoch, generation });
    }
  }

  /** No command starts after its expiry or with an older generation than one applied before. */
  result(result: Result, nowMs: number): void {
    for (const one of result.results) {
      if (one.stage !== 'acknowledged') continue;
      // The agent's guard and fail-safe act on nobody's command: nothing is published or written down for them, and
      // they may do nothing but take load away.
      if (OWN_ACT.test(one.commandId)) {
        if (!TAKES_AWAY.includes(one.verb))
          this.#violate('expired-or-stale', nowMs, `${one.machine}: ${one.commandId} did ${one.verb}`);
        continue;
      }
      this.atStake['expired-or-stale']++;
      this.atStake['ledger-first']++;
      const startedMs = one.atMs - one.ms;
      const desired = this.#desired.get(`${result.rack}/${one.epoch}.${one.generation}`);
      if (desired === undefined)
        this.#violate(
          'expired-or-stale',
          nowMs,
          `${one.machine}: command ${one.epoch}.${one.generation} was never published`,
        );
      else if (startedMs > desired.expiresAtMs)
        this.#violate(
          'expired-or-stale',
          nowMs,
          `${one.machine}: started ${Math.round(startedMs - desired.expiresAtMs)} ms after its expiry`,
        );
      this.#inOrder(one, startedMs, nowMs);
      this.#applied.push({
        epoch: one.epoch,
        generation: one.generation,
        rack: result.rack,
        atMs: startedMs,
      });
    }
  }

  /** A command begun later is never of an older generation. What is said again after a reconnect was begun before. */
  #inOrder(one: Result['results'][number], startedMs: number, wallMs: number): void {
    const before = this.#begun.get(one.machine);
    if (before !== undefined && startedMs <= before.startedMs) return;
    const older =
      before !== undefined &&
      (one.epoch < before.epoch || (one.epoch === before.epoch && one.generation < before.generation));
    if (older)
      this.#violate(
        'expired-or-stale',
        wallMs,
        `${one.machine}: ${one.epoch}.${one.generation} was begun after ${before.epoch}.${before.generation}`,
      );
    this.#begun.set(one.machine, { epoch: one.epoch, generation: one.generation, startedMs });
  }

  /** Nobody was in charge at the end. */
  absent(atMs: number): void {
    this.#violate('converges', atMs, 'no controller is running at the end');
  }

  /** A machine that cannot be reached is unknown in the controller, whatever it was last. */
  unknown(state: SiteState, unreachableSinceMs: ReadonlyMap<number, number>, atMs: number): void {
    for (const [machine, sinceMs] of unreachableSinceMs) {
      const periodMs = this.#site.machines[machine]?.periodMs ?? 10_000;
      const patienceMs = periodMs * (this.#site.config.control.lostAfterPolls + 2) + 15_000;
      if (atMs - sinceMs < patienceMs) continue;
      this.atStake['unknown-asleep']++;
      if (isKnown(state, machine))
        this.#violate(
          'unknown-asleep',
          atMs,
          `${this.#site.machines[machine]?.id} is unreachable since ${Math.round((atMs - sinceMs) / 1_000)} s and counts as known`,
        );
    }
  }

  /** How many commands were applied so far. */
  get applied(): number {
    return this.#applied.length;
  }

  /** Every applied command, or the first `judged` of them, has its ledger line, written before it started. */
  ledger(records: readonly LedgerRecord[], atMs: number, judged = this.applied): void {
    const written = new Map(
      records.flatMap((record) =>
        record.t === 'command'
          ? [[`${record.rack}/${record.epoch}.${record.generation}`, record.atMs] as const]
          : [],
      ),
    );
    for (const one of this.#applied.slice(0, judged)) {
      const line = written.get(`${one.rack}/${one.epoch}.${one.generation}`);
      if (line === undefined || line > one.atMs)
        this.#violate(
          'ledger-first',
          atMs,
          `${one.rack}: ${one.epoch}.${one.generation} was applied ${line === undefined ? 'without' : 'before'} its ledger line`,
        );
    }
    this.#applied.length = 0;
  }

  /** After the faults have stopped, every machine that can be reached does what is wanted of it. */
  converged(state: SiteState, truth: Truth, excused: ReadonlySet<number>, atMs: number): void {
    this.atStake.converges++;
    for (const machine of this.#site.machines) {
      if (excused.has(machine.index)) continue;
      const wish = state.wish[machine.index]?.mode;
      const mode = truth.modes[machine.index];
      if (wish === undefined || mode !== wish)
        this.#violate('converges', atMs, `${machine.id} shall ${wish ?? 'be commanded'} and is in ${mode}`);
    }
  }

  #violate(invariant: Invariant, atMs: number, text: string): void {
    if (this.violations.length < 100) this.violations.push({ invariant, atMs, text });
  }
}
