import * as z from 'zod';
import { targetCounters } from '../config/counters.ts';
import type { Site } from '../config/site.ts';
import type { Clock } from '../host/deps.ts';
import { makeAdvance, noteAdvance, restartAdvance } from '../protocols/metering/advance.ts';
import type { AdvanceState } from '../protocols/metering/advance.ts';
import { makeCounter, stepAt, takeCount } from '../protocols/metering/counter.ts';
import type { Count, CounterRules, CounterState } from '../protocols/metering/counter.ts';
import { changeText, judgeSetup, setupIn } from '../protocols/metering/setup.ts';
import type { MeterSetup } from '../protocols/metering/setup.ts';
import { numberOf } from '../protocols/reading.ts';
import type { Reading, Readings } from '../protocols/reading.ts';
import type { Alarms } from './alarms.ts';
import type { Keeper, Kept } from './kept.ts';
import type { Meter, Plant } from './plant.ts';
import { uncertain } from './readings.ts';

const text = z.string().max(200).optional();
const fileSchema = z.record(
  z.string().max(128),
  z.strictObject({ serial: text, model: text, firmware: text, parameters: z.record(z.string(), z.number()) }),
);

const POWER = 'power.active.total';
const IMPORT = 'energy.active.import';
const EXPORT = 'energy.active.export';
/** More than this many times its cap a node's meter cannot carry. */
const BEYOND_CAP = 2;
/** What was read further apart is not of one moment. */
const TOGETHER_MS = 2_000;
/** A doubt is an alarm when so many samples in a row have it, and over when so many have not. */
const RAISE_AFTER = 2;
const CLEAR_AFTER = 5;
/** Begun again so soon it takes twice as many to be over, so that it stands rather than comes and goes. */
const AGAIN_MS = 3_600_000;
const CLEAR_AFTER_MOST = 640;
/** One that is misread again and again is said to be this often. */
const GLITCH_EVERY_MS = 600_000;

export interface MeterWatchOptions {
  readonly site: Site;
  readonly plant: Plant;
  readonly clock: Pick<Clock, 'wallMs'>;
  readonly alarms: Pick<Alarms, 'raise' | 'clear' | 'tell'>;
  readonly keeper: Keeper;
}

/** Judges each meter by itself over time: its counters, its energy by its power, and whether it is still the one it was. */
export interface MeterWatch {
  /** The readings of a meter (its place in `Plant.meters`) as they may be used. `beganMs`: monotonic. */
  take(index: number, readings: Readings, beganMs: number): Readings;
  stop(): void;
}

interface Watched {
  readonly meter: Meter;
  readonly rules: Readonly<Record<typeof IMPORT | typeof EXPORT, CounterRules | undefined>>;
  readonly counters: Record<typeof IMPORT | typeof EXPORT, CounterState>;
  readonly advance: AdvanceState;
  /** UTC of the energy that was judged last: what is repeated from an older reading is no new sample. */
  energyMs: number;
  /** It has an export register: what flows back is not in import alone. */
  hasExport: boolean;
  /** As it was agreed with, and as the meter said it last. */
  known: MeterSetup | undefined;
  said: MeterSetup | undefined;
  /** Why its setup makes its power doubtful. */
  setupDoubt: string | undefined;
  /** The size of its power is known from elsewhere too. */
  hasWitness: boolean;
  /** Samples in a row with a doubt, or, below zero, without one since it was said. */
  doubted: number;
  /** So many without one end it, and when it was raised last, monotonic. */
  clearAfter: number;
  raisedMs: number;
  /** When a misread counter was told last, monotonic. */
  glitchMs: number;
}

export function makeMeterWatch(options: MeterWatchOptions): MeterWatch {
  return new Watch(options);
}

class Watch implements MeterWatch {
  readonly #options: MeterWatchOptions;
  readonly #watched: readonly Watched[];
  readonly #file: Kept<z.infer<typeof fileSchema>>;
  #isKnown = false;

  constructor(options: MeterWatchOptions) {
    this.#options = options;
    this.#watched = options.plant.meters.map((meter) => {
      const { target, nodeIndex } = meter.config;
      const capKw = options.site.nodes[nodeIndex]?.capKw ?? Infinity;
      const counters = targetCounters(target, capKw * 1_000 * BEYOND_CAP);
      return {
        meter,
        rules: { [IMPORT]: counters.import, [EXPORT]: counters.export },
        counters: { [IMPORT]: makeCounter(), [EXPORT]: makeCounter() },
        advance: makeAdvance(),
        energyMs: Number.NEGATIVE_INFINITY,
        hasExport: false,
        known: undefined,
        said: undefined,
        setupDoubt: undefined,
        hasWitness: false,
        doubted: 0,
        clearAfter: CLEAR_AFTER,
        raisedMs: Number.NEGATIVE_INFINITY,
        glitchMs: Number.NEGATIVE_INFINITY,
      };
    });
    this.#file = options.keeper.open('meters', fileSchema, (found) => {
      this.#isKnown = true;
      for (const watched of this.#watched) watched.known = found?.[watched.meter.config.id] ?? watched.known;
    });
  }

  take(index: number, readings: Readings, beganMs: number): Readings {
    const watched = this.#watched[index];
    const power = readings[POWER];
    if (watched === undefined || power === undefined) return readings;
    this.#noteSetup(watched, readings);
    const told = this.#judgeEnergy(watched, readings, beganMs);
    const own = watched.setupDoubt ?? told.power;
    const judged: Record<string, Reading> = { ...readings };
    for (const q of [IMPORT, EXPORT]) {
      const reading = readings[q];
      const why = told.energy.get(q) ?? watched.setupDoubt;
      if (reading !== undefined && why !== undefined) judged[q] = uncertain(reading, why);
    }
    if (own !== undefined) judged[POWER] = uncertain(power, own);
    this.#sayDoubt(watched, own ?? doubtIn(power) ?? [...told.energy.values()][0], beganMs);
    return judged;
  }

  stop(): void {
    this.#file.stop();
  }

  /** What makes energy, by quantity, or power doubtful by the counters and by what both say of each other. */
  #judgeEnergy(
    watched: Watched,
    readings: Readings,
    beganMs: number,
  ): { readonly energy: ReadonlyMap<string, string>; readonly power: string | undefined } {
    const { advance, meter } = watched;
    const energy = new Map<string, string>();
    const power = readings[POWER];
    const powerW = power?.ok === true && power.quality === 'good' ? numberOf(power) : undefined;
    const imported = goodOf(readings[IMPORT]);
    const isNew = imported !== undefined && imported.atMs !== watched.energyMs;
    if (isNew) {
      watched.energyMs = imported.atMs;
      watched.hasWitness = hasWitness(readings);
      for (const q of [IMPORT, EXPORT] as const) {
        const count = this.#count(watched, q, readings, { beganMs, powerW });
        if (count?.quality === 'held') {
          energy.set(q, 'it cannot follow from the value before; the next one decides');
          // It may be another meter's.
          meter.device.doubtSetup?.();
        }
        if (count?.quality === 'held' || count?.event !== undefined) restartAdvance(advance);
      }
    }
    const netWh = isNew && energy.size === 0 ? netOf(watched, readings, imported) : undefined;
    const isWhole = powerW === undefined || powerW >= 0 || watched.hasExport;
    const rules = watched.rules[IMPORT];
    const found = noteAdvance(
      advance,
      {
        atMs: beganMs,
        powerW: isWhole ? powerW : undefined,
        netWh,
        stepWh: rules === undefined || imported === undefined ? 1 : stepAt(rules, imported.value),
      },
      meter.config.periodMs,
    );
    if (found === undefined) return { energy, power: undefined };
    energy.set(IMPORT, found.text);
    // A register that does not move is at fault itself; of two that move apart, power is right where it has witnesses.
    const isPowerRight = found.kind === 'stuck' || (found.kind === 'rate' && watched.hasWitness);
    return { energy, power: isPowerRight ? undefined : found.text };
  }

  #count(
    watched: Watched,
    q: typeof IMPORT | typeof EXPORT,
    readings: Readings,
    { beganMs, powerW }: { readonly beganMs: number; readonly powerW: number | undefined },
  ): Count | undefined {
    const { rules, counters, meter } = watched;
    const reading = goodOf(readings[q]);
    const by = rules[q];
    if (reading === undefined || by === undefined) return undefined;
    const serial = readings['meter.serial'];
    const count = takeCount(counters[q], by, {
      valueWh: reading.value,
      atMs: beganMs,
      powerW: powerW === undefined ? undefined : Math.max(0, q === IMPORT ? powerW : -powerW),
      serial: serial?.ok ? String(serial.value) : undefined,
    });
    const { event } = count;
    const isOld = event?.kind === 'glitch' && beganMs - watched.glitchMs < GLITCH_EVERY_MS;
    if (event?.kind === 'glitch' && !isOld) watched.glitchMs = beganMs;
    // Another serial number is one for both.
    if (event !== undefined && !isOld && (q === IMPORT || event.kind !== 'swap')) {
      const words = `${q}: ${event.kind}: ${event.text}`;
      // The same may happen again, and is said again.
      const at = new Date(this.#options.clock.wallMs()).toISOString().slice(0, 19);
      this.#options.alarms.tell('METER_COUNTER', meter.config.id, `${words} (${at}Z)`);
    }
    return count;
  }

  #noteSetup(watched: Watched, readings: Readings): void {
    const told = setupIn(readings);
    if (told === undefined || !this.#isKnown) return;
    // What it does not tell this time is as it said last.
    const { said } = watched;
    const now = { ...said, ...told, parameters: { ...said?.parameters, ...told.parameters } };
    watched.said = now;
    const { alarms } = this.#options;
    const { id, declared } = watched.meter.config;
    const before = watched.known;
    const { known, told: changes, doubts } = judgeSetup(before, now, declared);
    watched.known = known;
    if (JSON.stringify(known) !== JSON.stringify(before)) this.#keep();
    if (changes.length > 0) alarms.tell('METER_CHANGED', id, changes.map(changeText).join('; '));
    const words = doubts.length === 0 ? undefined : doubts.map(changeText).join('; ');
    if (words !== undefined && words !== watched.setupDoubt) alarms.raise('METER_SETUP', id, words);
    if (words === undefined && watched.setupDoubt !== undefined)
      alarms.clear('METER_SETUP', id, 'it is as it was, or as the site file states');
    watched.setupDoubt = words;
  }

  #keep(): void {
    const all = this.#watched.flatMap(({ meter, known }) =>
      known === undefined ? [] : [[meter.config.id, known] as const],
    );
    // The keeper tries again by itself, and says so.
    this.#file.keep(Object.fromEntries(all)).catch(() => undefined);
  }

  #sayDoubt(watched: Watched, why: string | undefined, nowMs: number): void {
    const { alarms } = this.#options;
    const { id } = watched.meter.config;
    if (watched.setupDoubt !== undefined) return;
    if (why === undefined) {
      if (watched.doubted >= RAISE_AFTER) watched.doubted = -watched.clearAfter;
      if (watched.doubted > 0) watched.doubted = 0;
      if (watched.doubted < 0 && ++watched.doubted === 0)
        alarms.clear('METER_DOUBTFUL', id, 'its values agree again');
      return;
    }
    const isSaid = watched.doubted < 0;
    watched.doubted = isSaid ? RAISE_AFTER : watched.doubted + 1;
    if (isSaid || watched.doubted !== RAISE_AFTER) return;
    const isAgain = nowMs - watched.raisedMs < AGAIN_MS;
    watched.clearAfter = isAgain ? Math.min(CLEAR_AFTER_MOST, 2 * watched.clearAfter) : CLEAR_AFTER;
    watched.raisedMs = nowMs;
    alarms.raise('METER_DOUBTFUL', id, why);
  }
}

/** Import less export of one moment; undefined where the export there is was not read with the import. */
function netOf(
  watched: Watched,
  readings: Readings,
  imported: { readonly value: number; readonly atMs: number },
): number | undefined {
  const exported = goodOf(readings[EXPORT]);
  if (exported !== undefined && !watched.hasExport) {
    watched.hasExport = true;
    restartAdvance(watched.advance);
  }
  if (exported === undefined) return watched.hasExport ? undefined : imported.value;
  return Math.abs(exported.atMs - imported.atMs) <= TOGETHER_MS ? imported.value - exported.value : undefined;
}

/** The driver checks it against volts, amperes and power factor, and all phases flow one way, which those do not tell. */
function hasWitness(readings: Readings): boolean {
  const numbers = (name: (phase: string) => string): readonly (number | undefined)[] =>
    ['L1', 'L2', 'L3'].map((phase) => numberOf(readings[name(phase)]));
  const powers = numbers((phase) => `power.active.${phase}`);
  const all = [
    ...numbers((phase) => `voltage.${phase}N`),
    ...numbers((phase) => `current.${phase}`),
    ...powers,
  ];
  const isOneWay = powers.every((powerW = 0) => powerW >= 0) || powers.every((powerW = 0) => powerW <= 0);
  const hasFactor = ['total', 'L1'].some((each) => numberOf(readings[`powerFactor.${each}`]) !== undefined);
  return isOneWay && hasFactor && all.every((value) => value !== undefined);
}

const doubtIn = (reading: Reading): string | undefined =>
  reading.ok && reading.quality !== 'good' ? reading.why : undefined;

function goodOf(reading: Reading | undefined): { readonly value: number; readonly atMs: number } | undefined {
  const value = numberOf(reading);
  return reading?.ok === true && reading.quality === 'good' && value !== undefined
    ? { value, atMs: reading.atMs }
    : undefined;
}
