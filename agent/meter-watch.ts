import * as z from 'zod';
import { targetCounters } from '../config/counters.ts';
import type { Site } from '../config/site.ts';
import type { Clock } from '../host/deps.ts';
import { makeAdvance, noteAdvance, restartAdvance } from '../protocols/metering/advance.ts';
import type { AdvanceState } from '../protocols/metering/advance.ts';
import { makeCounter, stepAt, takeCount } from '../protocols/metering/counter.ts';
import type { Count, CounterRules, CounterState } from '../protocols/metering/counter.ts';
import { Fault } from '../protocols/faults.ts';
import { outlivesDoubt, SEEN_CHARS } from '../protocols/metering/kept-meter.ts';
import type { DoubtBefore, KeptMeter } from '../protocols/metering/kept-meter.ts';
import { agreeSetup, changeText, judgeSetup, setupIn } from '../protocols/metering/setup.ts';
import type { MeterSetup } from '../protocols/metering/setup.ts';
import { numberOf } from '../protocols/reading.ts';
import type { Reading, Readings } from '../protocols/reading.ts';
import type { Alarms } from './alarms.ts';
import type { Keeper, Kept } from './kept.ts';
import type { MeterMemory } from './meter-memory.ts';
import type { Meter, Plant } from './plant.ts';
import { hasWitness, uncertain } from './readings.ts';

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
  readonly memory: Pick<MeterMemory, 'isReady' | 'onRead' | 'note'>;
}

/** Judges each meter by itself over time: its counters, its energy by its power, and whether it is still the one it was. */
export interface MeterWatch {
  /** The readings of a meter (its place in `Plant.meters`) as they may be used. `beganMs`: monotonic. */
  take(index: number, readings: Readings, beganMs: number): Readings;
  /**
   * A person agrees with what a meter's setup has become; resolves when it is on the disk. Throws AGREE_REFUSED when
   * these are not the words of what stands, or the site file states another setup.
   */
  agree(index: number, seen: string, word: Pick<Agreed, 'by' | 'reason' | 'atMs'>): Promise<void>;
  stop(): void;
}

type Agreed = NonNullable<KeptMeter['agreed']>[string];

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
  /** Parts of its setup that a person has agreed with. */
  agreed: Readonly<Record<string, Agreed>>;
  /** Said to be doubtful when the agent ended: it is so until its values have moved without a doubt. */
  before: DoubtBefore | undefined;
  /** What its driver doubts, as it was said. */
  doubt: string | undefined;
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
        agreed: {},
        before: undefined,
        doubt: undefined,
        hasWitness: false,
        doubted: 0,
        clearAfter: CLEAR_AFTER,
        raisedMs: Number.NEGATIVE_INFINITY,
        glitchMs: Number.NEGATIVE_INFINITY,
      };
    });
    this.#file = options.keeper.openSpare('meters', fileSchema, (found) => {
      this.#isKnown = true;
      for (const watched of this.#watched) {
        watched.known = found?.[watched.meter.config.id] ?? watched.known;
        // What it said last before the restart is judged at once, not only when all of it is read again.
        if (watched.said !== undefined) this.#judgeSetup(watched, watched.said);
      }
    });
    options.memory.onRead((index, kept) => this.#restore(index, kept));
  }

  #restore(index: number, { said, agreed, doubt, advance }: Omit<KeptMeter, 'as'>): undefined {
    const watched = this.#watched[index];
    if (watched === undefined) return;
    watched.agreed = agreed ?? {};
    watched.advance.found ??= advance;
    if (watched.said === undefined && said !== undefined) {
      watched.said = said;
      if (this.#isKnown) this.#judgeSetup(watched, said);
    }
    if (doubt === undefined) return;
    watched.before = { why: doubt, lastW: undefined, fine: 0 };
    watched.doubt = doubt;
    watched.doubted = -watched.clearAfter;
    this.#options.alarms.raise('METER_DOUBTFUL', watched.meter.config.id, doubt);
  }

  async agree(...[index, seen, word]: Parameters<MeterWatch['agree']>): Promise<void> {
    const watched = this.#watched[index];
    const { setupDoubt, known, said } = watched ?? {};
    if (watched === undefined || known === undefined || said === undefined || setupDoubt === undefined)
      throw new Fault('AGREE_REFUSED', 'nothing stands against its setup');
    if (setupDoubt.slice(0, SEEN_CHARS) !== seen)
      throw new Fault('AGREE_REFUSED', `its setup is now another one: ${setupDoubt}`);
    const { declared } = watched.meter.config;
    const agreed = agreeSetup(known, judgeSetup(known, said, declared).doubts);
    if (agreed === undefined)
      throw new Fault('AGREE_REFUSED', `the site file states it, and is to be changed: ${setupDoubt}`);
    watched.known = agreed.known;
    const names = Object.entries(agreed.values).map(([name, value]) => [name, { ...word, value }] as const);
    watched.agreed = { ...watched.agreed, ...Object.fromEntries(names) };
    this.#judgeSetup(watched, said);
    this.#note(index);
    await this.#keep();
  }

  take(index: number, readings: Readings, beganMs: number): Readings {
    const watched = this.#watched[index];
    const power = readings[POWER];
    if (watched === undefined || power === undefined) return readings;
    this.#noteSetup(watched, readings);
    const told = this.#judgeEnergy(watched, readings, beganMs);
    const ownDoubt = told.power ?? doubtIn(power);
    if (
      watched.before !== undefined &&
      outlivesDoubt(watched.before, numberOf(power), ownDoubt !== undefined)
    )
      watched.before = undefined;
    const isSettled = this.#isReady();
    const unread = isSettled ? undefined : 'what stood against it before the restart is not read yet';
    const own = watched.setupDoubt ?? told.power ?? watched.before?.why ?? unread;
    const judged: Record<string, Reading> = { ...readings };
    for (const q of [IMPORT, EXPORT]) {
      const reading = readings[q];
      const why = told.energy.get(q) ?? watched.setupDoubt;
      if (reading !== undefined && why !== undefined) judged[q] = uncertain(reading, why);
    }
    if (own !== undefined) judged[POWER] = uncertain(power, own);
    const why = watched.setupDoubt ?? ownDoubt ?? watched.before?.why ?? [...told.energy.values()][0];
    if (isSettled) this.#sayDoubt(watched, why, beganMs);
    const isSaid = watched.doubted < 0 || watched.doubted >= RAISE_AFTER;
    watched.doubt = isSaid ? (doubtIn(power) ?? watched.before?.why ?? watched.doubt) : undefined;
    this.#note(index);
    return judged;
  }

  stop(): void {
    this.#file.stop();
  }

  #isReady(): boolean {
    return this.#options.memory.isReady;
  }

  #note(index: number): void {
    const watched = this.#watched[index];
    if (watched === undefined) return;
    const { agreed, said, setupDoubt, doubt, advance } = watched;
    this.#options.memory.note(index, {
      agreed,
      said: setupDoubt === undefined ? undefined : said,
      doubt: doubt?.slice(0, SEEN_CHARS),
      advance: advance.found,
    });
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
    this.#judgeSetup(watched, now);
  }

  #judgeSetup(watched: Watched, now: MeterSetup): void {
    const { alarms } = this.#options;
    const { id, declared } = watched.meter.config;
    const before = watched.known;
    const { known, told: changes, doubts } = judgeSetup(before, now, declared);
    watched.known = known;
    // The keeper tries again by itself, and says so.
    if (JSON.stringify(known) !== JSON.stringify(before)) this.#keep().catch(() => undefined);
    if (changes.length > 0) alarms.tell('METER_CHANGED', id, changes.map(changeText).join('; '));
    const words = doubts.length === 0 ? undefined : doubts.map(changeText).join('; ');
    if (words !== watched.setupDoubt && watched.setupDoubt !== undefined && words !== undefined)
      alarms.clear('METER_SETUP', id, words);
    if (words !== undefined && words !== watched.setupDoubt) alarms.raise('METER_SETUP', id, words);
    if (words === undefined && watched.setupDoubt !== undefined)
      alarms.clear('METER_SETUP', id, 'it is as it was, as the site file states, or as a person agreed');
    watched.setupDoubt = words;
  }

  #keep(): Promise<void> {
    const all = this.#watched.flatMap(({ meter, known }) =>
      known === undefined ? [] : [[meter.config.id, known] as const],
    );
    return this.#file.keep(Object.fromEntries(all));
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

const doubtIn = (reading: Reading): string | undefined =>
  reading.ok && reading.quality !== 'good' ? reading.why : undefined;

function goodOf(reading: Reading | undefined): { readonly value: number; readonly atMs: number } | undefined {
  const value = numberOf(reading);
  return reading?.ok === true && reading.quality === 'good' && value !== undefined
    ? { value, atMs: reading.atMs }
    : undefined;
}
