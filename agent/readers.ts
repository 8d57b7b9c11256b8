import type { Site } from '../config/site.ts';
import type { Clock, Deps } from '../host/deps.ts';
import { METER_ALARMS } from '../protocols/console/protocol.ts';
import { Fault } from '../protocols/faults.ts';
import { PARDON_MS } from '../protocols/metering/kept-meter.ts';
import type { Agree } from '../protocols/mqtt/status.ts';
import type { Control } from './control.ts';
import { alignedPhases, MACHINE_SCHEDULE, METER_SCHEDULE } from './core/schedule.ts';
import type { Device } from './driver.ts';
import type { Frames } from './frames.ts';
import { startEnergy } from './energy.ts';
import type { Energy, EnergyOptions } from './energy.ts';
import { startKnocking } from './knock.ts';
import { makeMeterMemory } from './meter-memory.ts';
import type { MeterMemory } from './meter-memory.ts';
import { makeMeterWatch } from './meter-watch.ts';
import type { MeterWatch } from './meter-watch.ts';
import { isUnpowered, loseReadings, lostReadings, takeReadings } from './machine.ts';
import type { Machine } from './machine.ts';
import { makeMetering } from './metering.ts';
import type { Metering } from './metering.ts';
import { takeSample, tryOpen } from './plant.ts';
import type { Meter, Plant } from './plant.ts';
import type { SettingsBook } from './settings-book.ts';
import { startPoller } from './poller.ts';
import type { Poller, PollHandlers } from './poller.ts';
import type { Safety } from './safety.ts';

export interface ReadersOptions extends Omit<EnergyOptions, 'clock'> {
  readonly site: Site;
  readonly agent: string;
  readonly deps: Deps;
  readonly control: Control;
  readonly safety: Safety;
  readonly frames: Frames;
  readonly settings: SettingsBook;
  readonly open: (target: string) => Device;
}

export interface Readers {
  readonly machines: Poller;
  readonly meters: Poller;
  /** A person's word on what stands against a meter; resolves when it is on the disk. Rejects with AGREE_REFUSED. */
  agree(said: { readonly meter: string; readonly agree: Agree }): Promise<void>;
  /** Called once a second: gives up reads that never end, judges the meters, publishes intervals that are over. */
  tick(): void;
  status(): ReturnType<Energy['status']>;
  stop(): void;
}

const MACHINE_TIMEOUT_MS = 5_000;
const METER_TIMEOUT_MS = 1_500;
/** Meters on one line wait for each other, but not for ever. */
const METER_TIMEOUT_MAX_MS = 10_000;

/** Reads every machine and meter of the agent and hands on what they say. */
export function startReaders(options: ReadersOptions): Readers {
  const { deps, plant, site } = options;
  const { clock, random } = deps;
  const { lostAfterPolls } = site.config.control;
  const memory = makeMeterMemory({ ...options, clock });
  const metering = makeMetering({ ...options, clock, memory });
  const machines = startPoller({
    clock,
    random,
    periodsMs: plant.machines.map((machine) => machine.config.periodMs),
    schedule: { ...MACHINE_SCHEDULE, lostAfterPolls },
    timeoutMs: () => MACHINE_TIMEOUT_MS,
    read: (index, scope, timeoutMs) => machineAt(plant, index).device.read(scope, timeoutMs),
    handlers: new MachineReader(options),
  });
  const energy = startEnergy({ ...options, clock });
  const watch = makeMeterWatch({ ...options, clock, memory });
  const periodsMs = plant.meters.map((meter) => meter.config.periodMs);
  const lines = plant.meters.map(({ device }) => device.line?.name);
  const meters = startPoller({
    clock,
    random,
    periodsMs,
    phasesMs: alignedPhases(periodsMs, lines, { monoMs: clock.monoMs(), wallMs: clock.wallMs() }),
    schedule: { ...METER_SCHEDULE, lostAfterPolls },
    timeoutMs: meterTimeouts(lines),
    read: (index, scope, timeoutMs) =>
      meterAt(plant, index).device.read(energy.scopeOf(index, scope), timeoutMs),
    handlers: new MeterReader(options, { watch, metering, energy }, (index) => meters.hurry(index, 0, 0)),
  });
  // Between two polls a broken connection is known at once: its meters are asked now, and are back or lost sooner.
  const watching = plant.meters.map(({ device }, index) =>
    device.line?.onLost(() => meters.hurry(index, 0, 0)),
  );
  const knocking = startKnocking({
    clock,
    net: deps.net,
    count: plant.machines.length,
    doorOf: (index) => {
      if (!machines.isSilent(index)) return undefined;
      const machine = machineAt(plant, index);
      return isUnpowered(machine) ? undefined : machine.device.door;
    },
    onAnswer: (index) => machines.callBack(index),
  });
  return {
    machines,
    meters,
    agree: (said) => agreeWith({ plant, clock }, { watch, metering, memory }, said),
    tick: () => {
      machines.sweep();
      meters.sweep();
      metering.tick();
      // That it cannot be kept is an alarm of the keeper's; the next tick tries again.
      memory.flush().catch(() => undefined);
      energy.tick();
    },
    status: () => energy.status(),
    stop: () => {
      energy.stop();
      for (const unwatch of watching) unwatch?.();
      knocking.stop();
      machines.stop();
      meters.stop();
      watch.stop();
      memory.stop();
    },
  };
}

async function agreeWith(
  { plant, clock }: { readonly plant: Plant; readonly clock: Clock },
  judges: Pick<MeterJudges, 'watch' | 'metering'> & { readonly memory: MeterMemory },
  { meter, agree }: Parameters<Readers['agree']>[0],
): Promise<void> {
  const { kind, seen, by, reason } = agree;
  const index = plant.meters.findIndex(({ config }) => config.id === meter);
  if (index < 0) throw new Fault('AGREE_REFUSED', `${meter} is no meter of this agent`);
  const sinceMs = clock.wallMs();
  if (kind === 'setup') await judges.watch.agree(index, seen, { by, reason, atMs: sinceMs });
  else {
    const word = { by, reason, sinceMs, untilMs: sinceMs + PARDON_MS };
    judges.metering.pardon(index, METER_ALARMS[kind], seen, word);
  }
  await judges.memory.flush();
}

/** A meter waits for all others of its line that are asked at the same time. */
function meterTimeouts(lines: readonly (string | undefined)[]): (index: number) => number {
  const sharing = new Map<string | undefined, number>();
  for (const line of lines) sharing.set(line, (sharing.get(line) ?? 0) + 1);
  return (index) => {
    const line = lines[index];
    const meters = line === undefined ? 1 : (sharing.get(line) ?? 1);
    return Math.min(METER_TIMEOUT_MAX_MS, METER_TIMEOUT_MS * meters);
  };
}

const machineAt = (plant: Plant, index: number): Machine => plant.machines[index] as Machine;
const meterAt = (plant: Plant, index: number): Meter => plant.meters[index] as Meter;

class MachineReader implements PollHandlers {
  readonly #options: ReadersOptions;

  constructor(options: ReadersOptions) {
    this.#options = options;
  }

  onReadings(...[index, readings, scope, beganMs]: Parameters<PollHandlers['onReadings']>): void {
    const { plant, frames, control, settings } = this.#options;
    const machine = machineAt(plant, index);
    if (takeReadings(machine, readings, scope, beganMs)) frames.soon(machine.rack);
    settings.notice(machine);
    control.look(machine);
    control.pump();
    if (machine.gpu !== undefined) void control.pulse(machine);
  }

  onFailure(...[index, fault, failures, change]: Parameters<PollHandlers['onFailure']>): void {
    const { plant, frames, deps } = this.#options;
    const machine = machineAt(plant, index);
    machine.missedMs = deps.clock.monoMs();
    // Without power nobody answers, and nobody is to blame.
    if (isUnpowered(machine)) return;
    // With its outlet read as open, the first question without an answer says enough.
    const isOpen = machine.powerDoubt === 'open';
    if (change !== 'lost' && machine.reachable && !isOpen) return;
    // While it stays silent, the reason is the newest one.
    if (loseReadings(machine, fault, deps.clock.wallMs())) frames.soon(machine.rack);
    if (change !== 'lost') return;
    // Out of sight with its power on: nobody knows any more what it does.
    if (machine.powerDoubt === undefined) machine.lastMode = undefined;
    if (!isOpen) this.#lost(machine, `${failures} polls unanswered: ${fault.code}`);
  }

  onReturned(index: number): void {
    const { plant, alarms } = this.#options;
    const machine = machineAt(plant, index);
    alarms.clear('DEVICE_LOST', machine.config.id, 'answers again');
    alarms.clear('RACK_LOST', machine.config.rack, 'answers again');
    // Whatever it was told before, what it shows now decides anew.
    if (machine.attempt?.stage === 'failed') machine.attempt = undefined;
    machine.reported.delete('failed DEVICE_LOST');
  }

  onHung(index: number): void {
    const machine = machineAt(this.#options.plant, index);
    closeDevice(machine.device);
    machine.device = tryOpen(this.#options.open, machine.config.target);
  }

  #lost(machine: Machine, text: string): void {
    const { plant, alarms } = this.#options;
    alarms.raise('DEVICE_LOST', machine.config.id, text);
    const rack = plant.racks[machine.rack];
    if (rack !== undefined && rack.machines.length > 1 && rack.machines.every((each) => !each.reachable))
      alarms.raise('RACK_LOST', rack.id, `none of ${rack.machines.length} machines answers`);
  }
}

/** Who looks at what a meter says before it is used: alone over time, against the others, and for what it counts. */
interface MeterJudges {
  readonly watch: MeterWatch;
  readonly metering: Metering;
  readonly energy: Energy;
}

class MeterReader implements PollHandlers {
  readonly #options: ReadersOptions;
  readonly #judges: MeterJudges;
  readonly #workOut: (index: number) => void;
  /** Places of meters that are worked out from others. */
  readonly #virtual: readonly number[];

  /** `workOut`: reads a virtual meter now. */
  constructor(options: ReadersOptions, judges: MeterJudges, workOut: (index: number) => void) {
    this.#options = options;
    this.#judges = judges;
    this.#workOut = workOut;
    this.#virtual = options.plant.meters.flatMap((meter, place) => (meter.parts().length > 0 ? [place] : []));
  }

  onReadings(...[index, read, scope, beganMs]: Parameters<PollHandlers['onReadings']>): void {
    const { plant, deps, safety } = this.#options;
    const meter = meterAt(plant, index);
    const { watch, metering, energy } = this.#judges;
    const readings = metering.take(index, watch.take(index, read, beganMs), beganMs);
    const isGood = takeSample(meter, readings, scope, beganMs);
    const power = readings['power.active.total'];
    const { id, node } = meter.config;
    if (meter.powerW !== undefined && power?.ok === true)
      deps.report({ event: 'meter', node, meter: id, powerW: meter.powerW, quality: power.quality });
    if (isGood && meter.node !== undefined) safety.onSample(meter.node);
    energy.onMeter(index, readings, beganMs);
    // What is worked out of it would otherwise be older than it by a period.
    if (isGood)
      for (const place of this.#virtual) if (isRipe(plant.meters[place], meter)) this.#workOut(place);
  }

  onFailure(...[index, fault, failures, change]: Parameters<PollHandlers['onFailure']>): void {
    const { plant, deps, alarms, site } = this.#options;
    const meter = meterAt(plant, index);
    if (failures < site.config.control.lostAfterPolls) return;
    meter.readings = lostReadings(meter.readings, ['power.active.total'], fault, deps.clock.wallMs());
    meter.powerW = undefined;
    if (change === 'lost')
      alarms.raise('METER_LOST', meter.config.id, `${failures} polls unanswered: ${fault.code}`);
  }

  onReturned(index: number): void {
    const { plant, alarms } = this.#options;
    const { config, device } = meterAt(plant, index);
    alarms.clear('METER_LOST', config.id, 'answers again');
    // Out of sight it may have been exchanged.
    device.doubtSetup?.();
  }

  onHung(index: number): void {
    const meter = meterAt(this.#options.plant, index);
    closeDevice(meter.device);
    meter.device = tryOpen(this.#options.open, meter.config.target);
  }
}

/** All that a virtual meter is worked out from, `part` among it, has been read since it was. */
function isRipe(virtual: Meter | undefined, part: Meter): boolean {
  const parts = virtual?.parts() ?? [];
  return parts.includes(part) && parts.every(({ goodMs }) => goodMs > (virtual?.goodMs ?? 0));
}

/** Closes a device; one that fails to close is none of ours any more. */
export function closeDevice(device: Device): void {
  try {
    device.close();
  } catch {
    // Nothing to be done: it is given up in any case.
  }
}
