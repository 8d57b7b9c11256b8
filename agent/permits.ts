import * as z from 'zod';
import type { Permissive, PlantPoint, Protection } from '../config/schema/plant.ts';
import type { Site } from '../config/site.ts';
import type { Clock } from '../host/deps.ts';
import { holdingBack, isSameReturn } from '../protocols/inhibition.ts';
import type { Inhibition, Status, Trip as TripSaid } from '../protocols/mqtt/status.ts';
import type { Alarms } from './alarms.ts';
import type { Control } from './control.ts';
import { isShown, lookAt, lookAtTrip, makeRule } from './core/permissive.ts';
import type { ProtectionState, Rule, RuleState, Sample, Standing, Trip } from './core/permissive.ts';
import { isAwaited, readsAgain } from './core/stall.ts';
import type { Stall } from './core/stall.ts';
import type { ModbusInputs } from './drivers/modbus-io.ts';
import { startInputs } from './inputs.ts';
import type { Inputs } from './inputs.ts';
import type { Keeper } from './kept.ts';
import type { Plant } from './plant.ts';

/** Trips that hold, with the time they came: what outlives the agent. */
const fileSchema = z.strictObject({
  latched: z.array(z.strictObject({ id: z.string(), sinceMs: z.number() })),
});

export interface PermitsOptions {
  readonly site: Site;
  readonly agent: string;
  readonly plant: Plant;
  readonly clock: Clock;
  readonly stall: Stall;
  readonly keeper: Keeper;
  readonly alarms: Alarms;
  readonly control: Pick<Control, 'look' | 'pump'>;
  /** True while the pump of a loop is demanded. */
  readonly demanded: (loop: string) => boolean;
  readonly openInputs: (target: string, points: readonly PlantPoint[]) => ModbusInputs;
}

/**
 * What the plant's own inputs allow: permissives that must be good before anything below a node starts, and protections
 * that took load away and hold it at rest. Needs no controller; trips are on disk and outlive the agent.
 */
export interface Permits {
  /** False until the disk has said which trips hold: nothing may be started before that. */
  readonly known: boolean;
  /** Looks at what time alone changes; called once a second. */
  tick(): void;
  /** An input as last read. */
  sample(point: string): Sample | undefined;
  /** What nodes are held back at this moment, and why: as the heartbeat says it. */
  inhibitions(): Pick<Status, 'inhibitions'>;
  /** A person permits the restart after one trip; what has tripped or was lost since stays. */
  permit(trip: TripSaid): void;
  stop(): void;
}

interface Watched {
  readonly config: Permissive;
  readonly rule: Rule;
  readonly state: RuleState;
  /** Of a loop whose pump rests by order: when it was demanded again, and whether it has come since. */
  demandedMs: number;
  hasCome: boolean;
}

interface Guarded {
  readonly config: Protection;
  readonly rule: Rule;
  readonly state: RuleState;
  readonly trip: ProtectionState;
}

class Warden implements Permits {
  known: boolean;
  readonly #options: PermitsOptions;
  readonly #watched: readonly Watched[];
  readonly #guarded: readonly Guarded[];
  readonly #inputs: Inputs;
  readonly #kept;
  #held: readonly Inhibition[] = [];
  /** What only waits for a pump that it has brought about itself: nothing the controller should plan around. */
  #waiting: readonly Inhibition[] = [];
  #stored = '';
  readonly #startedMs: number;

  constructor(options: PermitsOptions) {
    this.#options = options;
    this.#startedMs = options.clock.monoMs();
    const { site, agent, clock, alarms, keeper } = options;
    const { points, permissives, protections, loops } = site.config.plant;
    const own = new Set(site.nodes.filter((node) => node.agent === agent).map(({ id }) => id));
    this.#watched = permissives
      .filter(({ node }) => own.has(node))
      .map((config) => ({
        config,
        rule: ruleOf(config),
        state: makeRule(),
        demandedMs: this.#startedMs,
        hasCome: true,
      }));
    this.#guarded = protections
      .filter(({ node }) => own.has(node))
      .map((config) => ({
        config,
        rule: tripRuleOf(config),
        state: makeRule(),
        trip: { latch: undefined, permitted: false },
      }));
    this.known = this.#guarded.length === 0;
    const used = new Set([
      ...[...this.#watched, ...this.#guarded].map(({ config }) => config.input),
      ...loops.flatMap(({ node, temperature }) => (own.has(node) ? (temperature ?? []) : [])),
    ]);
    this.#inputs = startInputs({
      clock,
      alarms,
      points: points.filter(({ id }) => used.has(id)),
      open: options.openInputs,
      onRead: () => this.tick(),
    });
    this.#kept = this.known
      ? undefined
      : keeper.open('protection', fileSchema, (found) => this.#found(found?.latched ?? []));
  }

  tick(): void {
    const { clock } = this.#options;
    const nowMs = clock.monoMs();
    const held: Inhibition[] = [];
    const waiting: Inhibition[] = [];
    for (const one of this.#guarded) {
      const standing = lookAt(one.rule, one.state, this.#inputs.sample(one.config.input), nowMs);
      const { autoRelease, releaseS } = one.config;
      const release = { autoRelease, releaseMs: releaseS * 1_000 };
      const trip = lookAtTrip(one.trip, standing, release, nowMs, clock.wallMs());
      this.#sayTrip(one, trip);
      if (trip !== 'clear') held.push(tripped(one, trip));
    }
    for (const one of this.#watched) {
      const standing = this.#standing(one, nowMs);
      // Before it could be read, after the start or a stand-still, nothing is started, and nothing is shed for it either.
      const early =
        standing === 'unknown' &&
        (nowMs - this.#startedMs < one.rule.unknownMs || readsAgain(this.#options.stall, nowMs));
      this.#sayLoss(one, standing, early);
      const effect =
        standing === 'lost' ? one.config.onLoss : standing === 'unknown' ? one.config.onUnknown : 'ignore';
      if (effect !== 'ignore') held.push(lostOf(one, standing, early ? 'inhibit' : effect));
      else if (!one.hasCome) waiting.push(waitingOf(one));
    }
    this.#store();
    if (JSON.stringify([held, waiting]) === JSON.stringify([this.#held, this.#waiting])) return;
    this.#held = held;
    this.#waiting = waiting;
    this.#apply();
  }

  sample(point: string): Sample | undefined {
    return this.#inputs.sample(point);
  }

  inhibitions(): Pick<Status, 'inhibitions'> {
    return this.#held.length === 0 ? {} : { inhibitions: [...this.#held] };
  }

  #standing(one: Watched, nowMs: number): Standing {
    const { config, rule, state } = one;
    const newest = this.#inputs.sample(config.input);
    // The agent has stood still since, and may have a newer one any moment.
    const sample = isAwaited(this.#options.stall, newest?.goodMs, nowMs) ? undefined : newest;
    if (config.loop === undefined || this.#options.demanded(config.loop)) {
      one.hasCome ||= isShown(rule, sample, one.demandedMs);
      return lookAt(rule, state, sample, nowMs);
    }
    // Its pump rests by order: from the next demand on it has its time to be good again.
    Object.assign(state, makeRule());
    one.demandedMs = nowMs;
    one.hasCome = false;
    return 'good';
  }

  permit(said: TripSaid): void {
    const one = this.#guarded.find(({ config }) => config.id === said.protection);
    if (one?.trip.latch === undefined) return;
    const trip = saidOf(one);
    if (isSameReturn(trip, said)) {
      one.trip.permitted = true;
      return this.tick();
    }
    const why =
      trip?.returnedMs === undefined
        ? 'it is still tripped, or cannot be read'
        : 'it has tripped or was lost again since; look again, then permit anew';
    this.#options.alarms.tell('PROTECTION_TRIPPED', one.config.id, `not permitted: ${why}`);
  }

  stop(): void {
    this.#inputs.stop();
    this.#kept?.stop();
  }

  #found(latched: z.infer<typeof fileSchema>['latched']): void {
    this.known = true;
    for (const { id, sinceMs } of latched) {
      const one = this.#guarded.find(({ config }) => config.id === id);
      if (one !== undefined) one.trip.latch ??= { sinceWallMs: sinceMs, returned: undefined };
    }
    this.#stored = JSON.stringify(this.#latched());
    this.tick();
  }

  #latched(): z.infer<typeof fileSchema>['latched'] {
    return this.#guarded.flatMap(({ config, trip }) =>
      trip.latch === undefined ? [] : [{ id: config.id, sinceMs: trip.latch.sinceWallMs }],
    );
  }

  #store(): void {
    // Written before it was read, the file would lose what it holds.
    if (!this.known || this.#kept === undefined) return;
    const latched = this.#latched();
    const text = JSON.stringify(latched);
    if (text === this.#stored) return;
    this.#stored = text;
    // The keeper goes on until it is durable, and raises the alarm.
    this.#kept.keep({ latched }).catch(() => undefined);
  }

  /** Every machine below what is held, by the strongest word that concerns it. */
  #apply(): void {
    const { site, plant, control } = this.#options;
    const all = [...this.#held, ...this.#waiting];
    for (const machine of plant.machines) {
      let strongest: Inhibition | undefined;
      for (const one of holdingBack(site, machine.config.nodeIndex, all))
        if (strongest === undefined || weightOf(one) > weightOf(strongest)) strongest = one;
      if (machine.inhibition === strongest) continue;
      machine.inhibition = strongest;
      control.look(machine);
    }
    control.pump();
  }

  #sayTrip({ config }: Guarded, trip: Trip): void {
    const { alarms } = this.#options;
    const { id, node, kind } = config;
    if (trip === 'tripped' || trip === 'waiting')
      alarms.raise('PROTECTION_TRIPPED', id, `${kind} of ${node} has tripped; ${releaseWords(config)}`);
    if (trip === 'clear') alarms.clear('PROTECTION_TRIPPED', id, `restart below ${node} is permitted`);
  }

  #sayLoss({ config }: Watched, standing: Standing, early: boolean): void {
    const { alarms } = this.#options;
    const { id, node, about, input, onLoss } = config;
    if (standing === 'lost') {
      const value = this.#inputs.sample(input)?.value ?? 0;
      const what = onLoss === 'shed' ? 'what works below is put to rest' : 'nothing below is started';
      alarms.raise('PERMISSIVE_LOST', id, `${about} of ${node} is ${value}: ${what}; ${goodWords(config)}`);
    }
    if (standing === 'good') alarms.clear('PERMISSIVE_LOST', id, `${about} of ${node} is good again`);
    if (standing === 'unknown' && !early && config.onUnknown !== 'ignore')
      alarms.raise('PERMISSIVE_UNKNOWN', id, `${about} of ${node} cannot be read; nothing below is started`);
    if (standing !== 'unknown') alarms.clear('PERMISSIVE_UNKNOWN', id, `${about} of ${node} is read again`);
  }
}

function ruleOf(one: Permissive): Rule {
  const { is, min, max, hysteresis, delayS, returnS, unknownS } = one;
  const times = { delayMs: delayS * 1_000, returnMs: returnS * 1_000, unknownMs: unknownS * 1_000 };
  return { is, min, max, hysteresis, ...times };
}

function tripRuleOf({ trippedWhen, delayS, unknownS }: Protection): Rule {
  const times = { delayMs: delayS * 1_000, returnMs: 0, unknownMs: unknownS * 1_000 };
  return { is: !trippedWhen, hysteresis: 0, ...times };
}

/** Protection before permissives, what rests machines before what only holds them back. */
const weightOf = ({ why, effect }: Inhibition): number =>
  (why === 'PROTECTION_TRIPPED' ? 2 : 0) + (effect === 'shed' ? 1 : 0);

function goodWords({ is, min, max, hysteresis, returnS }: Permissive): string {
  const bound =
    is === undefined
      ? min === undefined
        ? `at most ${(max ?? 0) - hysteresis}`
        : `at least ${min + hysteresis}`
      : is
        ? 'on'
        : 'off';
  return `starts go on when it has been ${bound} for ${returnS} s`;
}

const releaseWords = ({ autoRelease, releaseS, node }: Protection): string =>
  autoRelease
    ? `restart is permitted by itself ${releaseS} s after it is back`
    : `when it is back a person permits the restart: permit ${node}`;

function lostOf({ config }: Watched, standing: Standing, effect: 'inhibit' | 'shed'): Inhibition {
  const { id, node, about } = config;
  const lost = standing === 'lost';
  const text = lost
    ? `'${id}' (${about} of ${node}) is lost; ${goodWords(config)}`
    : `'${id}' (${about} of ${node}) cannot be read; starts go on when it can`;
  return { node, effect, why: lost ? 'PERMISSIVE_LOST' : 'PERMISSIVE_UNKNOWN', text, off: false };
}

function waitingOf({ config: { id, node, about } }: Watched): Inhibition {
  const text = `'${id}' (${about} of ${node}) waits for its pump, which has rested; starts go on when it runs`;
  return { node, effect: 'inhibit', why: 'PERMISSIVE_UNKNOWN', text, off: false };
}

/** As the controller names it. */
function saidOf({ config: { id }, trip: { latch } }: Guarded): TripSaid | undefined {
  if (latch === undefined) return undefined;
  const { sinceWallMs: sinceMs, returned } = latch;
  return { protection: id, sinceMs, ...(returned === undefined ? {} : { returnedMs: returned.wallMs }) };
}

function tripped(one: Guarded, trip: Trip): Inhibition {
  const { id, node, kind } = one.config;
  if (trip === 'unknown') {
    const text = `'${id}' (${kind} of ${node}) cannot be read; starts go on when it can`;
    return { node, effect: 'inhibit', why: 'PERMISSIVE_UNKNOWN', text, off: false };
  }
  const said = saidOf(one);
  const since = new Date(said?.sinceMs ?? 0).toISOString().slice(0, 16);
  const now = trip === 'tripped' ? 'has tripped' : 'tripped and is back, or cannot be read';
  const text = `'${id}' (${kind} of ${node}) ${now} (${since}Z); ${releaseWords(one.config)}`;
  const held = { node, effect: 'shed', why: 'PROTECTION_TRIPPED', text, off: trip === 'tripped' } as const;
  return said === undefined ? held : { ...held, trip: said };
}

export const makePermits = (options: PermitsOptions): Permits => new Warden(options);
