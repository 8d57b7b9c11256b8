import type { PlantPoint } from '../config/schema/plant.ts';
import type { Clock } from '../host/deps.ts';
import { asFault, Fault } from '../protocols/faults.ts';
import type { Status } from '../protocols/mqtt/status.ts';
import type { Control } from './control.ts';
import type { RackOrders } from './core/desired.ts';
import { drawW, isAtRest, restMode, satisfies } from './core/draw.ts';
import { rackPhase } from './core/lease.ts';
import type { LeaseState } from './core/lease.ts';
import { isAwaited } from './core/stall.ts';
import type { Stall } from './core/stall.ts';
import { comesBackAtRest, isJudged, outletAct } from './core/staging.ts';
import type { Goal } from './core/reconcile.ts';
import type { Behind, OutletSight, Standing, Told } from './core/staging.ts';
import type { ModbusInputs } from './drivers/modbus-io.ts';
import { goalOf } from './goal.ts';
import { startInputs } from './inputs.ts';
import type { Inputs } from './inputs.ts';
import { isUnpowered, loseReadings, saidAtMs, seeOff } from './machine.ts';
import type { Machine } from './machine.ts';
import { meterW } from './plant.ts';
import { Outlet, isClosing, pointOf } from './outlet.ts';
import type { OutletOptions } from './outlet.ts';
import { supplyOf } from './supply.ts';
import { makeWitness } from './witness.ts';
import type { Witness } from './witness.ts';

export interface OutletsOptions extends OutletOptions {
  readonly agent: string;
  readonly boot: number;
  readonly clock: Clock;
  readonly stall: Stall;
  readonly lease: LeaseState;
  /** One per rack of the plant. */
  readonly orders: readonly RackOrders[];
  readonly control: Pick<Control, 'look' | 'pump' | 'limits'>;
  /** False until the disk has said what must not be forgotten. */
  readonly ready: () => boolean;
  readonly openInputs: (target: string, points: readonly PlantPoint[]) => ModbusInputs;
}

/** The contactors and switched outlets of the agent's nodes: read, and switched when the core says so. */
export interface Outlets {
  /** Looks at what time alone changes; called once a second. */
  tick(): void;
  /** Outlets seen open at this moment: as the heartbeat says it. */
  status(): Pick<Status, 'openOutlets'>;
  stop(): void;
}

const WRITE_MS = 1_500;
/** A closing that failed is tried again after this. */
const AGAIN_MS = 60_000;
/** The meter above shows nothing when it shows less than this share of what rests behind an outlet. */
const QUIET_SHARE = 0.5;
/** Who answers this long after its outlet was read as open has its power from somewhere. */
const CONTRADICTS_MS = 5_000;
/** What is off says so anew this often. */
const FRESH_MS = 5_000;
class Switchroom implements Outlets {
  readonly #options: OutletsOptions;
  readonly #outlets: readonly Outlet[];
  readonly #inputs: Inputs;
  readonly #witness: Witness;

  constructor(options: OutletsOptions) {
    this.#options = options;
    const { site, agent, clock, alarms } = options;
    const own = site.outlets.filter((outlet) => outlet.agent === agent);
    this.#outlets = own.map((outlet) => new Outlet(outlet, options));
    this.#witness = makeWitness(options);
    this.#inputs = startInputs({
      clock,
      alarms,
      points: own.map((outlet) => pointOf(outlet, site.config.plant.points)),
      open: options.openInputs,
      onRead: () => undefined,
    });
  }

  tick(): void {
    if (this.#outlets.length === 0) return;
    const { clock, stall } = this.#options;
    const nowMs = clock.monoMs();
    const read = this.#outlets.flatMap((outlet) => {
      const sample = this.#inputs.sample(outlet.config.id);
      // What was so when the agent stood still counts as so until it could be read again.
      if (isAwaited(stall, sample?.goodMs, nowMs)) return [];
      outlet.silentSinceMs = outlet.machines.every(isSilent) ? (outlet.silentSinceMs ?? nowMs) : undefined;
      return [{ outlet, shows: outlet.read(sample, nowMs) }];
    });
    this.#witness.look(this.#outlets, nowMs);
    for (const { outlet, shows } of read) this.#look(outlet, shows, nowMs);
    this.#options.control.pump();
  }

  status(): Pick<Status, 'openOutlets'> {
    const open = this.#outlets.filter(({ openSinceMs }) => openSinceMs !== undefined);
    return open.length === 0 ? {} : { openOutlets: open.map(({ config }) => config.id) };
  }

  stop(): void {
    this.#inputs.stop();
  }

  #look(outlet: Outlet, shows: Standing, nowMs: number): void {
    const standing = this.#standing(outlet, shows, nowMs);
    this.#follow(outlet, standing, nowMs);
    const sight = this.#sight(outlet, standing, nowMs);
    const isReadOpen =
      outlet.readOpenMs !== undefined &&
      !outlet.isDenied &&
      outlet.drawnMs === undefined &&
      !isClosing(outlet);
    for (const machine of outlet.machines)
      machine.powerDoubt = isReadOpen ? 'open' : sight.isDark ? 'dark' : undefined;
    const act = outletAct(sight, nowMs);
    const maySwitch = !outlet.isWriting && this.#options.ready();
    if (act.kind === 'open' && maySwitch) this.#write(outlet, false);
    let why = act.kind === 'wait' ? act.why : 'it is being switched';
    if (act.kind === 'close' && maySwitch) why = this.#close(outlet, nowMs) ?? why;
    if (outlet.openSinceMs !== undefined) this.#off(outlet, why);
  }

  /** What its standing means against what it was told: open, closed as told, or a failure. */
  #follow(outlet: Outlet, standing: Standing, nowMs: number): void {
    const { alarms } = this.#options;
    const { told, config } = outlet;
    if (standing === 'open' && !isClosing(outlet)) {
      outlet.openSinceMs ??= nowMs;
      // It did not follow, or lost its supply again on the way.
      if (told?.closed === true) {
        outlet.againMs = nowMs + AGAIN_MS;
        if (!outlet.hasFollowed) this.#fail(outlet, 'closed', 'told to close, it is still open');
      }
    } else if (outlet.openSinceMs !== undefined) {
      outlet.openSinceMs = undefined;
      alarms.clear('OUTLET_OPEN', config.id, `it is ${standing}`);
      for (const machine of outlet.machines) this.#losePower(machine, 'it has not answered since');
    }
    if (standing === 'closed' && outlet.machines.some(({ reachable }) => reachable)) {
      // By hand, or it was never open: what it was told before is over.
      if (told?.closed === false && isJudged(told, outlet.shownMs)) outlet.told = undefined;
      this.#mend(outlet, 'it is closed, and what is behind it answers');
    } else if (standing === 'closed' && told?.closed === false && isJudged(told, outlet.shownMs))
      this.#fail(
        outlet,
        'open',
        'told to open, it is closed: what is behind it starts as soon as there is power',
      );
    if (standing === 'unknown' || told?.closed !== (standing === 'closed')) return;
    if (told.closed) outlet.hasFollowed = true;
    if (outlet.failed === standing) this.#mend(outlet, `it is ${standing} as it was told`);
  }

  #mend(outlet: Outlet, text: string): void {
    if (outlet.failed === undefined) return;
    outlet.failed = undefined;
    this.#options.alarms.clear('OUTLET_FAILED', outlet.config.id, text);
  }

  #fail(outlet: Outlet, failed: Standing, text: string): void {
    outlet.failed = failed;
    this.#options.alarms.raise('OUTLET_FAILED', outlet.config.id, text.slice(0, 300));
  }

  /**
   * What its read-back says; one that says open is believed when all behind it were asked in vain, and no meter shows
   * that they draw.
   */
  #standing(outlet: Outlet, shows: Standing, nowMs: number): Standing {
    const { readOpenMs, machines } = outlet;
    const drawn = this.#drawn(outlet, nowMs);
    if (shows !== 'open' || readOpenMs === undefined) return shows;
    const fromMs = readOpenMs + CONTRADICTS_MS;
    const live = machines.find(({ reachable, beganMs }) => reachable && beganMs > fromMs);
    if (live !== undefined && !isClosing(outlet)) {
      outlet.isDenied = true;
      this.#fail(outlet, 'closed', `it is read as open, and ${live.config.id} behind it answers`);
    }
    return outlet.isDenied || outlet.silentSinceMs === undefined || drawn ? 'unknown' : 'open';
  }

  /** True while it says open and a meter shows that what is behind it draws: said when it lasts. */
  #drawn(outlet: Outlet, nowMs: number): boolean {
    const isAsked = outlet.isSuspect && !outlet.isShownDead && !isClosing(outlet);
    const shown = isAsked ? this.#witness.behind(outlet.config, nowMs) : undefined;
    // The meter is lost too, on top of all: what it has shown stands until it shows something else.
    if (isAsked && shown === undefined && outlet.drawnMs !== undefined) return true;
    if (shown === undefined || shown.watts === 0) {
      outlet.isShownDead ||= shown !== undefined;
      if (outlet.isDrawnSaid) this.#mend(outlet, 'no meter speaks against its read-back any more');
      outlet.isDrawnSaid = false;
      outlet.drawnMs = undefined;
      return false;
    }
    outlet.drawnMs ??= nowMs;
    if (!outlet.isDrawnSaid && nowMs - outlet.drawnMs >= CONTRADICTS_MS) {
      outlet.isDrawnSaid = true;
      const kw = (shown.watts / 1_000).toFixed(1);
      this.#fail(
        outlet,
        'closed',
        `it is read as open and nothing behind it answers, but the meter at ${shown.node} shows ${kw} kW that nothing else draws: nothing behind it counts as off`,
      );
    }
    return true;
  }

  #sight(outlet: Outlet, standing: Standing, nowMs: number): OutletSight {
    const { lease } = this.#options;
    const { machines, metered, told, shownMs, againMs, silentSinceMs } = outlet;
    const restW = machines.reduce((sum, { config: { model } }) => sum + drawW(model, restMode(model)), 0);
    const aboveW = metered === undefined ? undefined : meterW(metered, nowMs);
    const isQuiet = aboveW !== undefined && Math.abs(aboveW) < restW * QUIET_SHARE;
    return {
      standing,
      told,
      shownMs,
      againMs,
      silentSinceMs,
      supply: supplyOf(metered, isQuiet, nowMs),
      isDark: isQuiet || machines.every(({ inhibition }) => inhibition?.off === true),
      live: machines.every(({ config }) => rackPhase(lease, config.rack, nowMs) === 'live'),
      behind: machines.map((machine) => this.#behind(machine, nowMs)),
      cutsIgnored: outlet.config.cutsIgnored,
    };
  }

  #behind(machine: Machine, nowMs: number): Behind {
    const { config, inhibition, lastMode } = machine;
    const goal = goalOf(machine, this.#options, nowMs);
    return {
      id: config.id,
      hands: handsOn(machine),
      inhibited: inhibition?.text,
      rests: comesBackAtRest(config.model, lastMode),
      wanted: goal !== undefined && !isAtRest(goal.mode) && goal.armed && !goal.expired,
      ignores: ignoresRest(machine, goal),
      works: machine.mode === undefined || !isAtRest(machine.mode),
    };
  }

  /** Who is behind an open outlet is off, and says what its outlet waits for. */
  #off(outlet: Outlet, why: string): void {
    const { clock, control, alarms } = this.#options;
    const { config, machines } = outlet;
    const words = `'${config.id}' is open: ${why}`.slice(0, 300);
    alarms.raise('OUTLET_OPEN', config.id, `${machines.length} machines below ${config.node} count as off`);
    const atMs = clock.wallMs();
    for (const machine of machines) {
      const isNew = !isUnpowered(machine);
      const toldMs = saidAtMs(machine, 'mode') ?? 0;
      if (!isNew && machine.outlet === words && Math.abs(atMs - toldMs) < FRESH_MS) continue;
      // What it waits for has changed: that is said again.
      if (machine.outlet !== words) machine.reported.delete('refused OUTLET_OPEN');
      seeOff(machine, words, atMs);
      alarms.clear('DEVICE_LOST', machine.config.id, words);
      alarms.clear('RACK_LOST', machine.config.rack, words);
      control.look(machine);
    }
  }

  #losePower(machine: Machine, why: string): void {
    const wasOff = isUnpowered(machine);
    machine.outlet = undefined;
    if (!wasOff) return;
    loseReadings(machine, new Fault('DEVICE_LOST', why), this.#options.clock.wallMs());
  }

  /** Closes it, if the agent's limits consent; else why not. */
  #close(outlet: Outlet, nowMs: number): string | undefined {
    const { control } = this.#options;
    const { machines, config } = outlet;
    const powered = machines.map((machine) => {
      const { model } = machine.config;
      const mode = comesBackAtRest(model, machine.lastMode) ? restMode(model) : ('mine' as const);
      return { machine, mode };
    });
    const refusal = control.limits.consentAll(powered);
    if (refusal !== undefined) return refusal.why ?? 'its turn comes';
    // From here on what is behind it counts as if it were at work already, until it says otherwise.
    outlet.openSinceMs = undefined;
    for (const { machine, mode } of powered) {
      this.#losePower(machine, 'its power has just come back');
      if (mode === 'mine') this.#begin(machine, config.bootS * 1_000, nowMs);
    }
    this.#options.alarms.clear('OUTLET_OPEN', config.id, 'it is closed');
    outlet.hasFollowed = false;
    outlet.isShownDead = false;
    this.#write(outlet, true);
    return undefined;
  }

  /** It starts by itself now, on behalf of whoever wants it at work. */
  #begin(machine: Machine, bootMs: number, nowMs: number): void {
    const goal = goalOf(machine, this.#options, nowMs);
    if (goal === undefined) return;
    machine.attempt = {
      commandId: goal.commandId,
      mode: 'mine',
      powerW: undefined,
      verb: 'outlet',
      tries: 1,
      dispatchedMs: nowMs,
      endedMs: nowMs + bootMs,
      stage: 'acknowledged',
    };
  }

  #write(outlet: Outlet, closed: boolean): void {
    const { clock } = this.#options;
    const { config, output } = outlet;
    if (output === undefined) return;
    outlet.isWriting = true;
    const told: Told = { closed, atMs: clock.monoMs(), endedMs: undefined };
    outlet.told = told;
    const end = (): void => {
      outlet.isWriting = false;
      if (outlet.told === told) outlet.told = { ...told, endedMs: clock.monoMs() };
    };
    output.write(closed ? config.on : config.off, WRITE_MS).then(end, (error: unknown) => {
      end();
      // Nobody knows what it did: it is told again, from what it shows then.
      if (!closed) outlet.told = undefined;
      this.#fail(outlet, closed ? 'closed' : 'open', asFault(error).message);
    });
  }
}

/** Asked, and it did not answer. */
const isSilent = (machine: Machine): boolean => !machine.reachable && saidAtMs(machine, 'mode') !== undefined;

/** On the quarantine list, wanted at rest by a word in force, told in vain this time too, and seen not to rest. */
const ignoresRest = (
  { quarantine, attempt, mode, reachable, config }: Machine,
  goal: Goal | undefined,
): boolean =>
  quarantine !== undefined &&
  attempt?.stage === 'failed' &&
  isAtRest(attempt.mode) &&
  reachable &&
  mode !== undefined &&
  goal !== undefined &&
  goal.mode === restMode(config.model) &&
  goal.armed &&
  !goal.expired &&
  !satisfies(config.model, goal.mode, mode);

/** Why an agent leaves the power of a machine as it is, whatever is wanted of it. */
function handsOn({ lockout, manual, config }: Machine): string | undefined {
  if (lockout !== undefined) return lockout.words;
  if (manual) return 'released to manual';
  return config.authority === 'automatic' ? undefined : `authority is ${config.authority}`;
}

export const makeOutlets = (options: OutletsOptions): Outlets => new Switchroom(options);
