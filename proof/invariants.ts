import type { Site } from '../config/site.ts';
import type { Clock } from '../host/deps.ts';
import type { LedgerRecord } from '../controller/core/events.ts';
import { isKnown, isUnpowered } from '../controller/core/state.ts';
import type { SiteState } from '../controller/core/state.ts';
import type { Desired, Lease } from '../protocols/mqtt/desired.ts';
import type { Result } from '../protocols/mqtt/status.ts';
import type { Mode } from '../protocols/reading.ts';
import type { Truth } from '../simulator/world.ts';
import { DamageJudge } from './damage-judge.ts';
import { Excuse } from './excuse.ts';
import { LoadJudge } from './load-judge.ts';
import { RampJudge } from './ramp-judge.ts';
import { SettingsJudge } from './settings-judge.ts';
import { TelemetryJudge } from './telemetry-judge.ts';
import { TripJudge } from './trip-judge.ts';
import type { WallClocks } from './wall-clocks.ts';

export const INVARIANTS = [
  'cap',
  'limit',
  'overshed',
  'committed',
  'ramp',
  'lockout',
  'tripped',
  'settings',
  'telemetry',
  'expired-or-stale',
  'ledger-first',
  'damage',
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

/** Command ids that an agent makes for what its guard or its fail-safe does. */
const OWN_ACT = /^(?:guard|fail-safe|protection|lockout)-/;
const TAKES_AWAY: readonly string[] = ['sleep', 'idle-handover', 'mine-stop', 'ai-stop'];
/** Verbs that start work, and what they start. */
const STARTS: Readonly<Record<string, Mode>> = { wake: 'mine', 'mine-handover': 'mine', 'ai-handover': 'ai' };
/** Where a verb takes a machine. */
const LEADS_TO: Readonly<Record<string, Mode>> = { ...STARTS, sleep: 'sleep', 'idle-handover': 'idle' };
/** A lockout has put a machine to rest by then, ms: the next decision, the way to it, its own time. */
const LOCKOUT_MS = 75_000;
/** A command that was on its way when a lockout was acknowledged is not one against it, ms. */
const UNDER_WAY_MS = 3_000;

/** How many commands took effect that must not have: twice, after their expiry, from an older epoch or generation. */
export interface Wrong {
  twice: number;
  late: number;
  stale: number;
}

const keyOf = (of: { readonly rack: string; readonly epoch: number; readonly generation: number }): string =>
  `${of.rack}/${of.epoch}.${of.generation}`;

/** What the machines themselves and their network do at this moment, as only the harness knows it. */
export interface Surroundings {
  /** Machines that cannot be reached, and since when. */
  readonly unreachable: ReadonlyMap<number, number>;
  /** False while a machine has no power. */
  readonly powered: (machine: number) => boolean;
  /** Machines that misbehave. */
  readonly misbehaves: (machine: number) => boolean;
  /** What the owner of a machine has set on it, as its device holds it now; what its mode hides is absent. */
  readonly settings: (machine: number) => Readonly<Record<string, string | number>>;
  /** The right time. */
  readonly clock: Clock;
}

/**
 * Watches one run from outside: true power from the world, messages as they pass the bus, the ledger as it stands on
 * disk. Never asks the product what it thinks, except for what it holds unknown.
 */
export class Judge {
  readonly violations: Violation[] = [];
  readonly atStake: Record<Invariant, number>;
  /** Commands that took effect though they must not have: twice, after their expiry, from an older epoch. */
  readonly wrong: Wrong = { twice: 0, late: 0, stale: 0 };
  readonly load: LoadJudge;
  readonly ramps: RampJudge;
  readonly trips: TripJudge;
  readonly telemetry: TelemetryJudge;
  readonly damage: DamageJudge;
  readonly #settings: SettingsJudge;
  readonly #site: Site;
  readonly #clocks: WallClocks;
  readonly #around: Surroundings;
  readonly #indexes: ReadonlyMap<string, number>;
  readonly #published = new Set<string>();
  /** As `site.machines`: what each was last asked for. */
  readonly #wanted: (Mode | undefined)[];
  readonly #inForce = new Map<string, { epoch: number; generation: number }>();
  /** Per machine, the newest command it began and when. */
  readonly #begun = new Map<string, { epoch: number; generation: number; verb: string; startedMs: number }>();
  readonly #applied: { epoch: number; generation: number; rack: string }[] = [];
  readonly #locked = new Map<number, number>();
  /** Who cannot be told of a lockout. */
  readonly #deaf = new Excuse();
  #doubleOwned = 0;
  /** What was so at the last look and at the one before. */
  #truths: readonly [Truth | undefined, Truth | undefined] = [undefined, undefined];
  /** Per rack and generation, the latest expiry of it that the agent was given. */
  readonly #expiry = new Map<string, number>();

  constructor(site: Site, clocks: WallClocks, around: Surroundings) {
    this.#site = site;
    this.#clocks = clocks;
    this.#around = around;
    this.#indexes = new Map(site.machines.map((machine) => [machine.id, machine.index]));
    this.#wanted = site.machines.map(() => undefined);
    this.atStake = Object.fromEntries(INVARIANTS.map((name) => [name, 0])) as Record<Invariant, number>;
    const violate = (invariant: Invariant, atMs: number, text: string): void =>
      this.#violate(invariant, atMs, text);
    const stake = (invariant: Invariant): number => this.atStake[invariant]++;
    this.load = new LoadJudge(site, violate, stake);
    this.ramps = new RampJudge(site, this.load.capMs, violate, stake);
    this.trips = new TripJudge(site, violate, stake);
    this.damage = new DamageJudge(violate, stake);
    this.telemetry = new TelemetryJudge(around.clock, clocks, violate, stake);
    this.#settings = new SettingsJudge(site, around.settings, violate, stake);
  }

  /** Load within its bounds; what owners have set is kept; GPUs never have two owners; who is locked out rests. */
  power(truth: Truth, atMs: number): void {
    // What comes back with its power rises by itself.
    const modes = this.#wanted.map((mode, machine) => (this.trips.touches(machine) ? undefined : mode));
    this.load.look(truth, atMs);
    this.ramps.look(truth, { modes, falls: (one) => this.#excused(one) || this.#locked.has(one) }, atMs);
    this.trips.look(truth.modes, this.#excused, atMs);
    this.#settings.look(truth.stateCalls, atMs);
    this.#truths = [truth, this.#truths[0]];
    if (truth.modes.includes('ai')) this.atStake['gpu-owned-once']++;
    if (truth.doubleOwned > this.#doubleOwned)
      this.#violate('gpu-owned-once', atMs, `GPUs had two owners ${truth.doubleOwned} times`);
    this.#doubleOwned = truth.doubleOwned;
    for (const [machine, sinceMs] of this.#locked) {
      if (atMs - Math.max(sinceMs, this.#deafUntilMs(machine)) < LOCKOUT_MS || this.#excused(machine))
        continue;
      this.atStake.lockout++;
      const mode = truth.modes[machine];
      if (mode !== 'mine' && mode !== 'ai') continue;
      this.#violate('lockout', atMs, `${this.#site.machines[machine]?.id} is locked out and in ${mode}`);
      this.#locked.delete(machine);
    }
  }

  readonly #excused = (machine: number): boolean =>
    this.#around.unreachable.has(machine) || this.#around.misbehaves(machine);

  #deafUntilMs(machine: number): number {
    return this.#deaf.until(this.#site.machines[machine]?.agent ?? '');
  }

  /** A lockout was acknowledged to the person who placed it. */
  locked(machines: readonly number[], atMs: number): void {
    for (const machine of machines) if (!this.#locked.has(machine)) this.#locked.set(machine, atMs);
  }

  unlocked(machines: readonly number[]): void {
    for (const machine of machines) this.#locked.delete(machine);
  }

  /** An agent, or each, is dead or does not reach its devices: it cannot be held to guard and protect. */
  agentAway(untilMs: number, agent?: string): void {
    this.load.excuseGuard(untilMs, agent);
    // Who sees little sheds by what it must assume.
    this.ramps.excuseFall(untilMs, agent);
    this.trips.excuse(untilMs, agent);
  }

  /** The product, or one agent, cannot be held to what it was told while it is cut off from it. */
  excuse(untilMs: number, agent?: string): void {
    this.load.excuse(untilMs, agent);
    this.telemetry.disturbed(untilMs);
    this.#deaf.add(untilMs, agent);
  }

  /** What the controller gives to the bus; `durable`: its line stands in the ledger and would outlive a power cut. */
  desired(desired: Desired, durable: boolean, atMs: number): void {
    this.atStake['ledger-first']++;
    if (!durable)
      this.#violate(
        'ledger-first',
        atMs,
        `${desired.rack}: ${desired.epoch}.${desired.generation} went out before its ledger line was durable`,
      );
    for (const [id, wanted] of Object.entries(desired.machines)) {
      const index = this.#indexes.get(id);
      if (index !== undefined) this.#wanted[index] = wanted.mode;
    }
    this.#published.add(keyOf(desired));
  }

  /** A document has reached the agent. */
  received(desired: Desired): void {
    const key = keyOf(desired);
    this.#expiry.set(key, Math.max(this.#expiry.get(key) ?? -Infinity, desired.expiresAtMs));
    for (const [id, { mode }] of Object.entries(desired.machines)) {
      const index = this.#indexes.get(id);
      if (index !== undefined) this.load.told(index, mode);
    }
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

  /** No command starts after its expiry, twice, or with an older generation than one applied before. */
  result(result: Result, nowMs: number): void {
    for (const one of result.results) {
      if (one.stage !== 'acknowledged') continue;
      const index = this.#indexes.get(one.machine);
      const starts = STARTS[one.verb];
      // The agent's guard and fail-safe act on nobody's command: nothing is published or written down for them, and
      // they may do nothing but take load away.
      if (OWN_ACT.test(one.commandId)) {
        if (!TAKES_AWAY.includes(one.verb))
          this.#violate('expired-or-stale', nowMs, `${one.machine}: ${one.commandId} did ${one.verb}`);
        if (index !== undefined) this.load.rested(index);
        continue;
      }
      this.atStake['expired-or-stale']++;
      // Several when the agent's clock was set back: then nobody knows which it was.
      const started = this.#clocks.moments(result.agent, one.atMs).map((atMs) => atMs - one.ms);
      this.#inTime(result.rack, one, started, nowMs);
      const fresh = started.length !== 1 || this.#inOrder(one, started[0] ?? 0, nowMs);
      this.#applied.push({ epoch: one.epoch, generation: one.generation, rack: result.rack });
      if (index === undefined || !fresh) continue;
      if (starts === undefined) this.load.rested(index);
      else this.#starts(index, starts, Math.max(0, ...started), nowMs);
    }
  }

  #starts(machine: number, mode: Mode, startedMs: number, nowMs: number): void {
    const lockedMs = this.#locked.get(machine);
    if (lockedMs !== undefined && startedMs > Math.max(lockedMs, this.#deafUntilMs(machine)) + UNDER_WAY_MS)
      this.#violate('lockout', nowMs, `${this.#site.machines[machine]?.id} was started while locked out`);
    this.trips.started(machine, startedMs, nowMs);
    // What is said again after a long while tells nothing about the load of now.
    if (nowMs - startedMs < UNDER_WAY_MS)
      this.load.started(machine, mode, this.#lost(nowMs), (one) => !this.#around.misbehaves(one), nowMs);
  }

  /** Machines that the product must have found lost by now, and cannot know to be without power. */
  #lost(nowMs: number): ReadonlyMap<number, number> {
    return new Map(
      [...this.#around.unreachable].filter(
        ([machine, sinceMs]) => nowMs - sinceMs >= this.#patienceMs(machine) && this.#around.powered(machine),
      ),
    );
  }

  #inTime(rack: string, one: Result['results'][number], started: readonly number[], nowMs: number): void {
    const key = keyOf({ rack, epoch: one.epoch, generation: one.generation });
    const expiresAtMs = this.#expiry.get(key);
    if (expiresAtMs === undefined || !this.#published.has(key)) {
      this.#violate(
        'expired-or-stale',
        nowMs,
        `${one.machine}: command ${one.epoch}.${one.generation} was never ${expiresAtMs === undefined ? 'given to the agent' : 'published'}`,
      );
      return;
    }
    // The time of a command is over by the controller's clock, as its last beats carried it.
    const t2Ms = this.#site.config.lease.t2S * 1_000;
    const lateMs = started.map((atMs) =>
      Math.min(...this.#clocks.shown('controller', atMs, atMs - t2Ms).map((wall) => wall - expiresAtMs)),
    );
    const leastMs = Math.min(...lateMs);
    if (!(leastMs > 0) || leastMs === Infinity) return;
    this.wrong.late++;
    this.#violate(
      'expired-or-stale',
      nowMs,
      `${one.machine}: started ${Math.round(leastMs)} ms after its expiry`,
    );
  }

  /**
   * A command begun later is never of an older generation, and does not do again what one before it did. What is said
   * again after a reconnect was begun before: then false.
   */
  #inOrder(one: Result['results'][number], startedMs: number, nowMs: number): boolean {
    const before = this.#begun.get(one.machine);
    if (before !== undefined && startedMs <= before.startedMs + 1) return false;
    const { epoch, generation, verb } = one;
    const older =
      before !== undefined &&
      (epoch < before.epoch || (epoch === before.epoch && generation < before.generation));
    if (older) {
      this.wrong.stale++;
      this.#violate(
        'expired-or-stale',
        nowMs,
        `${one.machine}: ${epoch}.${generation} was begun after ${before.epoch}.${before.generation}`,
      );
    }
    const again =
      before?.epoch === epoch && before.generation === generation && before.verb === verb && !older;
    const index = this.#indexes.get(one.machine) ?? -1;
    // Given again because a reading showed that it had not worked is not twice.
    if (again && this.#wasThere(index, LEADS_TO[verb]) && !this.#excused(index)) this.wrong.twice++;
    this.#begun.set(one.machine, { epoch, generation, verb, startedMs });
    return true;
  }

  /** True when a machine had been in a mode for a while, not on its way out of it. */
  #wasThere(machine: number, mode: Mode | undefined): boolean {
    const model = this.#site.machines[machine]?.model;
    if (model === undefined || mode === undefined) return false;
    return this.#truths.every((truth) => {
      const watts = truth?.machineW[machine] ?? Number.NaN;
      const rests = model.kind === 'asic' && mode !== 'mine';
      return truth?.modes[machine] === mode && (!rests || watts < model.sleepW * 2);
    });
  }

  /** Nobody was in charge at the end. */
  absent(atMs: number): void {
    this.#violate('converges', atMs, 'no controller is running at the end');
  }

  /** A machine that cannot be reached is unknown in the controller, whatever it was last. `alive`: an agent runs. */
  unknown(state: SiteState, alive: (agent: string) => boolean, atMs: number): void {
    for (const [machine, sinceMs] of this.#around.unreachable) {
      if (atMs - sinceMs < this.#patienceMs(machine)) continue;
      if (!alive(this.#site.machines[machine]?.agent ?? '')) continue;
      this.atStake['unknown-asleep']++;
      // Off is not asleep: known by its outlet, and true.
      if (isUnpowered(state, machine) && !this.#around.powered(machine)) continue;
      if (isKnown(state, machine))
        this.#violate(
          'unknown-asleep',
          atMs,
          `${this.#site.machines[machine]?.id} is unreachable since ${Math.round((atMs - sinceMs) / 1_000)} s and counts as known`,
        );
    }
  }

  #patienceMs(machine: number): number {
    const periodMs = this.#site.machines[machine]?.periodMs ?? 10_000;
    return periodMs * (this.#site.config.control.lostAfterPolls + 2) + 15_000;
  }

  /** Every applied command has its line in the ledger as it stands at the end. */
  ledger(records: readonly LedgerRecord[], atMs: number): void {
    const written = new Set(records.flatMap((record) => (record.t === 'command' ? [keyOf(record)] : [])));
    for (const { rack, epoch, generation } of this.#applied)
      if (!written.has(`${rack}/${epoch}.${generation}`))
        this.#violate(
          'ledger-first',
          atMs,
          `${rack}: ${epoch}.${generation} was applied without a ledger line`,
        );
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
    // Who has no power is excused; but nobody is left in the dark where all behind an outlet shall work.
    for (const { id, machines } of this.#site.outlets)
      if (machines.every((one) => state.wish[one]?.mode === 'mine' && !this.#around.powered(one)))
        this.#violate('converges', atMs, `${id} was not closed though all behind it shall work`);
  }

  #violate(invariant: Invariant, atMs: number, text: string): void {
    if (this.violations.length < 100) this.violations.push({ invariant, atMs, text });
  }
}
