/**
 * Revenue meters: their counters to the energy of the market's intervals. What is published is kept on the disk first
 * and said until the controller has it in its ledger, so that neither a restart nor a lost link costs or doubles any.
 */
import { targetCounters } from '../config/counters.ts';
import type { Site } from '../config/site.ts';
import type { Clock } from '../host/deps.ts';
import { roundUnseen, stepAt, takeCount } from '../protocols/metering/counter.ts';
import type { Count, CounterRules, CounterSample, CounterState } from '../protocols/metering/counter.ts';
import type { IntervalEnergy } from '../protocols/mqtt/energy.ts';
import type { Status } from '../protocols/mqtt/status.ts';
import type { Reading, Readings } from '../protocols/reading.ts';
import type { Alarms } from './alarms.ts';
import { offsetNow } from './core/clock-offset.ts';
import type { Exchange } from './core/clock-offset.ts';
import { runningOf } from './core/running.ts';
import { noteClockSet, takeEnergy, takePower } from './core/interval-book.ts';
import type { BookRules } from './core/interval-book.ts';
import type { LeaseState } from './core/lease.ts';
import { settle } from './core/settlement.ts';
import { goOn, makeSteady } from './core/steady.ts';
import type { Steady } from './core/steady.ts';
import { openModbusInputs } from './drivers/modbus-io.ts';
import type { DeviceIo, Target } from './driver.ts';
import { energySchema, makeKeptMeter } from './energy-kept.ts';
import type { KeptEnergy, KeptMeter } from './energy-kept.ts';
import { startInputs } from './inputs.ts';
import type { Inputs } from './inputs.ts';
import type { Kept, Keeper } from './kept.ts';
import type { Meter, Plant } from './plant.ts';
import { pulseInputs } from './pulses.ts';
import type { PulseInput } from './pulses.ts';

export interface EnergyOptions {
  readonly site: Site;
  readonly plant: Plant;
  readonly clock: Clock;
  readonly lease: LeaseState;
  readonly alarms: Alarms;
  readonly keeper: Keeper;
  readonly io: Pick<DeviceIo, 'clock' | 'lines'>;
  /** A target from its URL; throws TARGET_INVALID. */
  readonly target: (url: string) => Target;
  /** Says intervals to the controller; gives their number among all that it is told, undefined when it cannot yet. */
  readonly say: (intervals: readonly IntervalEnergy[]) => number | undefined;
  /** Every such number below this is stored. */
  readonly keptFrom: () => number;
}

export interface Energy {
  /** What of a meter is to be read now: its counters too, close to a boundary. */
  scopeOf(index: number, scope: 'fast' | 'full'): 'fast' | 'full';
  onMeter(index: number, readings: Readings, beganMs: number): void;
  /** Called once a second. */
  tick(): void;
  /** The intervals that are under way. */
  status(): Pick<Status, 'intervals'>;
  stop(): void;
}

/** Kept at least this often: what flowed since is split by estimate when the agent dies. */
const KEEP_EVERY_MS = 60_000;
/** What could not be kept is tried again after this. */
const AGAIN_MS = 5_000;
/** Intervals that may wait to be stored beside those that the spool keeps. */
const MOST_OUTBOX = 256;
const MOST_MESSAGE = 50;
/** A node draws no more than this times its cap: what its counters show beyond is no energy. */
const BEYOND_CAP = 1.5;

/** One revenue meter. */
interface RevenueMeter {
  readonly index: number;
  readonly rules: BookRules;
  readonly periodMs: number;
  readonly importRules: CounterRules;
  readonly exportRules: CounterRules | undefined;
  readonly pulses: readonly PulseInput[];
  kept: KeptMeter;
  /** When it was counted last, in time that does not jump: what comes twice is one reading. */
  readMs: number;
  /** When its pulses were asked for last, monotonic ms. */
  askedMs: number;
  powerW: number | undefined;
  /** Why what the meter says is doubted. */
  doubt: string | undefined;
  /** Why what was counted since the book was written is one. */
  guess: string | undefined;
}

interface Waiting {
  readonly interval: IntervalEnergy;
  /** Its number among what the controller was told; undefined: not yet. */
  seq: number | undefined;
}

/** Starts what the agent's revenue meters need; nothing where it has none. */
export function startEnergy(options: EnergyOptions): Energy {
  return new RevenueMeters(options);
}

class RevenueMeters implements Energy {
  readonly #options: EnergyOptions;
  readonly #meters: readonly RevenueMeter[];
  readonly #byIndex: ReadonlyMap<number, RevenueMeter>;
  readonly #kept: Kept<KeptEnergy> | undefined;
  readonly #inputs: Inputs | undefined;
  #steady: Steady | undefined;
  /** The newest beat. */
  #exchange: Exchange | undefined;
  #outbox: Waiting[] = [];
  #keptMs = -Infinity;

  constructor(options: EnergyOptions) {
    this.#options = options;
    const { plant, site, keeper } = options;
    this.#meters = plant.meters.flatMap((meter, index) => revenueMeter(site, meter, index) ?? []);
    this.#byIndex = new Map(this.#meters.map((meter) => [meter.index, meter]));
    if (this.#meters.length === 0) return;
    this.#kept = keeper.open('energy', energySchema, (found) => this.#begin(found));
    const points = this.#meters.flatMap(({ pulses }) => pulses.map(({ point }) => point));
    if (points.length > 0)
      this.#inputs = startInputs({
        ...options,
        points,
        open: (url, own) => openModbusInputs(options.target(url), own, options.io),
        onRead: () => this.#onPulses(),
      });
  }

  scopeOf(index: number, scope: 'fast' | 'full'): 'fast' | 'full' {
    const meter = this.#byIndex.get(index);
    const first = meter?.kept.book.cells[0];
    if (meter === undefined || first === undefined || meter.pulses.length > 0) return scope;
    // The last poll before a boundary and the first one behind it.
    return this.#options.clock.wallMs() >= first.endMs - 1.5 * meter.periodMs ? 'full' : scope;
  }

  onMeter(index: number, readings: Readings, beganMs: number): void {
    const meter = this.#byIndex.get(index);
    if (meter === undefined || !this.#goOn()) return;
    const { clock, plant } = this.#options;
    const power = goodOf(readings['power.active.total']);
    meter.powerW = power?.value;
    const shown = readings['power.active.total'];
    // Wired wrongly or at a wrong ratio, its counters are as wrong as its power.
    meter.doubt =
      shown?.ok === true && shown.quality === 'uncertain'
        ? `the meter: ${shown.why ?? 'uncertain'}`
        : undefined;
    if (power !== undefined) {
      const apparentVa = plant.meters[index]?.flow?.apparentVa ?? Math.abs(power.value);
      takePower(meter.kept.book, meter.rules, { atMs: power.atMs, activeW: power.value, apparentVa });
    }
    if (meter.pulses.length > 0) return;
    const imported = goodOf(readings['energy.active.import']);
    const exported = goodOf(readings['energy.active.export']);
    // Export that was counted once is waited for: without it the interval would be wrong.
    if (imported === undefined || (exported === undefined && meter.kept.export.last !== undefined)) return;
    const serial = readings['meter.serial'];
    this.#count(meter, {
      atMs: imported.atMs,
      halfMs: (clock.monoMs() - beganMs) / 2,
      importWh: imported.value,
      exportWh: exported?.value,
      serial: serial?.ok === true ? String(serial.value) : undefined,
    });
  }

  tick(): void {
    if (this.#meters.length === 0 || !this.#goOn()) return;
    const { clock, lease, keptFrom } = this.#options;
    const nowMs = clock.monoMs();
    this.#compareClocks(lease, nowMs);
    this.#publish();
    const storedBelow = keptFrom();
    this.#outbox = this.#outbox.filter(({ seq }) => seq === undefined || seq >= storedBelow);
    const waits = this.#outbox.some(({ seq }) => seq === undefined);
    if (nowMs - this.#keptMs >= (waits ? AGAIN_MS : KEEP_EVERY_MS)) this.#keep();
  }

  status(): Pick<Status, 'intervals'> {
    const nowMs = this.#options.clock.wallMs();
    const intervals = this.#meters.flatMap(
      ({ kept, rules }) => runningOf(kept.book, rules, nowMs, kept.export.last !== undefined) ?? [],
    );
    return intervals.length === 0 ? {} : { intervals };
  }

  stop(): void {
    if (this.#steady !== undefined) this.#keep();
    this.#kept?.stop();
    this.#inputs?.stop();
  }

  #begin(found: KeptEnergy | undefined): void {
    const { clock } = this.#options;
    for (const meter of this.#meters) {
      const before = found?.meters[meter.rules.meter];
      if (before === undefined) continue;
      const { source } = meter.rules;
      meter.kept = before.source === source ? before : makeKeptMeter(source, before.book.highest);
    }
    this.#outbox = (found?.outbox ?? []).map((interval) => ({ interval, seq: undefined }));
    const knownMs = Math.max(0, ...this.#meters.map(({ kept }) => kept.import.last?.atMs ?? 0));
    this.#steady = makeSteady(clock.wallMs(), clock.monoMs(), knownMs);
  }

  /** False before it is known what an earlier start has counted. */
  #goOn(): boolean {
    if (this.#steady === undefined) return false;
    const { clock } = this.#options;
    const setMs = goOn(this.#steady, clock.wallMs(), clock.monoMs());
    if (setMs === 0) return true;
    for (const { kept, rules } of this.#meters) noteClockSet(kept.book, rules, setMs, clock.wallMs());
    // What the newest beat said holds of the clock as it was.
    if (this.#exchange !== undefined) {
      const { askedMs, heardMs } = this.#exchange;
      this.#exchange = { ...this.#exchange, askedMs: askedMs + setMs, heardMs: heardMs + setMs };
    }
    return true;
  }

  /** A beat tells the controller's clock, between the moment its nonce went out and now. */
  #compareClocks({ taken }: LeaseState, nowMs: number): void {
    if (taken === undefined || taken.takenMs === this.#exchange?.monoMs) return;
    const wallAt = (monoMs: number): number => this.#options.clock.wallMs() - (nowMs - monoMs);
    this.#exchange = {
      controllerMs: taken.atMs,
      askedMs: wallAt(taken.issuedMs),
      heardMs: wallAt(taken.takenMs),
      monoMs: taken.takenMs,
    };
  }

  #onPulses(): void {
    if (this.#inputs === undefined || !this.#goOn()) return;
    const { clock } = this.#options;
    for (const meter of this.#meters) {
      const [imported, exported] = meter.pulses;
      if (imported === undefined) continue;
      const into = this.#inputs.sample(imported.point.id);
      const out = exported && this.#inputs.sample(exported.point.id);
      // Both of one round of questions, or none; and each round once: it says nothing of the time behind it.
      if (into === undefined || (exported !== undefined && out?.goodMs !== into.goodMs)) continue;
      if (into.goodMs <= meter.askedMs) continue;
      meter.askedMs = into.goodMs;
      const halfMs = (clock.monoMs() - into.goodMs) / 2;
      this.#count(meter, {
        atMs: clock.wallMs() - halfMs,
        halfMs,
        importWh: into.value * imported.whPerCount,
        exportWh: out && out.value * (exported?.whPerCount ?? 0),
      });
    }
  }

  #count(
    meter: RevenueMeter,
    read: {
      readonly atMs: number;
      readonly halfMs: number;
      readonly importWh: number;
      readonly exportWh: number | undefined;
      readonly serial?: string | undefined;
    },
  ): void {
    const { kept, importRules, exportRules, rules, powerW } = meter;
    const { clock } = this.#options;
    const ageMs = clock.wallMs() - read.atMs;
    const steadyMs = (this.#steady?.lastMs ?? 0) - ageMs;
    // Of a time to come is what was read before the clock was set back, and is said again.
    if (ageMs < 0 || steadyMs <= meter.readMs) return;
    meter.readMs = steadyMs;
    const at = (valueWh: number, watts: number | undefined) => ({
      valueWh,
      atMs: steadyMs,
      powerW: watts === undefined ? undefined : Math.max(0, watts),
      serial: read.serial,
    });
    const take = (state: CounterState, by: CounterRules, sample: CounterSample): Count => {
      meter.guess ??= roundUnseen(state, by, sample);
      const found = takeCount(state, by, sample);
      if (found.quality === 'uncertain') meter.guess ??= `the counter: ${found.event?.text ?? 'a guess'}`;
      return found;
    };
    const into = take(kept.import, importRules, at(read.importWh, powerW));
    const counts = [into];
    kept.openImportWh += into.deltaWh;
    if (read.exportWh !== undefined && exportRules !== undefined) {
      const out = take(
        kept.export,
        exportRules,
        at(read.exportWh, powerW === undefined ? undefined : -powerW),
      );
      kept.openExportWh += out.deltaWh;
      counts.push(out);
    }
    if (counts.some(({ quality }) => quality === 'held')) return;
    takeEnergy(kept.book, rules, {
      atMs: read.atMs,
      halfMs: read.halfMs,
      importWh: kept.openImportWh,
      exportWh: read.exportWh === undefined ? undefined : kept.openExportWh,
      stepWh: stepAt(importRules, read.importWh),
      doubt: meter.guess ?? meter.doubt,
    });
    meter.guess = undefined;
    [kept.openImportWh, kept.openExportWh] = [0, 0];
    this.#publish();
  }

  /** What is to be said is kept first: said before, a start after a crash would say it otherwise. */
  #publish(): void {
    const { clock, alarms } = this.#options;
    const offset = this.#exchange && offsetNow(this.#exchange, clock.monoMs());
    const fresh = this.#meters.flatMap(({ kept, rules }) => settle(kept.book, rules, clock.wallMs(), offset));
    if (fresh.length === 0) return;
    for (const { meter, quality, why = '' } of fresh)
      if (quality === 'good') alarms.clear('ENERGY_ESTIMATED', meter, 'an interval is counted whole again');
      else alarms.raise('ENERGY_ESTIMATED', meter, `an interval is ${quality}: ${why}`);
    this.#outbox.push(...fresh.map((interval) => ({ interval, seq: undefined })));
    // The oldest ones stand in the spool for long.
    const said = this.#outbox.filter(({ seq }) => seq !== undefined);
    const tooMany = new Set(said.slice(0, Math.max(0, this.#outbox.length - MOST_OUTBOX)));
    this.#outbox = this.#outbox.filter((one) => !tooMany.has(one));
    this.#keep();
  }

  #keep(): void {
    this.#keptMs = this.#options.clock.monoMs();
    const unsaid = this.#outbox.filter(({ seq }) => seq === undefined);
    const value = {
      meters: Object.fromEntries(this.#meters.map(({ kept, rules }) => [rules.meter, kept])),
      outbox: this.#outbox.map(({ interval }) => interval),
    };
    this.#kept?.keep(structuredClone(value)).then(
      () => this.#say(unsaid),
      // A disk that takes nothing must not silence a meter: the first word stands, should a crash follow.
      () => this.#say(unsaid),
    );
  }

  #say(waiting: readonly Waiting[]): void {
    const open = waiting.filter(({ seq }) => seq === undefined);
    for (let from = 0; from < open.length; from += MOST_MESSAGE) {
      const part = open.slice(from, from + MOST_MESSAGE);
      const seq = this.#options.say(part.map(({ interval }) => interval));
      for (const one of part) one.seq = seq;
    }
  }
}

function goodOf(reading: Reading | undefined): { readonly value: number; readonly atMs: number } | undefined {
  return reading?.ok === true && reading.quality === 'good' && typeof reading.value === 'number'
    ? { value: reading.value, atMs: reading.atMs }
    : undefined;
}

function revenueMeter(site: Site, { config }: Meter, index: number): RevenueMeter | undefined {
  const { revenue, id, nodeIndex, periodMs, target } = config;
  if (revenue === undefined) return undefined;
  const mostW = (site.nodes[nodeIndex]?.capKw ?? 0) * 1_000 * BEYOND_CAP;
  const pulses = pulseInputs(id, revenue.pulses, mostW);
  const counters =
    pulses.length > 0
      ? { import: pulses[0]?.rules, export: pulses[1]?.rules }
      : targetCounters(target, mostW);
  const source = pulses.length > 0 ? 'pulses' : 'counter';
  const { intervalMin, timeZone, graceS, lossFactor, transformer } = revenue;
  return {
    index,
    periodMs,
    rules: {
      meter: id,
      calendar: { intervalMin, timeZone },
      source,
      graceMs: graceS * 1_000,
      mostW,
      lossFactor,
      transformer,
    },
    importRules: counters.import ?? { moduliWh: [], stepWh: 1, mostW },
    exportRules: counters.export,
    pulses,
    kept: makeKeptMeter(source),
    readMs: -Infinity,
    askedMs: -Infinity,
    powerW: undefined,
    doubt: undefined,
    guess: undefined,
  };
}
