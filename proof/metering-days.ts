/**
 * The judge of meters over days: the agent's own (`agent/metering.ts`), fed with what simulated meters show of simulated
 * machines, sampled every ten seconds. No wire, no bus and no controller: a day costs seconds.
 */
import { makeMetering } from '../agent/metering.ts';
import type { Device } from '../agent/driver.ts';
import { takeReadings } from '../agent/machine.ts';
import { buildPlant, noteHeat } from '../agent/plant.ts';
import type { AsicModel } from '../config/schema/model.ts';
import type { Site, SiteMachine } from '../config/site.ts';
import type { Random } from '../host/deps.ts';
import { seededRandom } from '../host/random.ts';
import type { Reading, Readings } from '../protocols/reading.ts';
import { makeMeter } from '../simulator/devices/meter.ts';
import type { SimulatedMeter } from '../simulator/devices/meter.ts';
import type { Measured } from '../simulator/devices/meter-layouts.ts';
import { AsicPower } from '../simulator/physics/asic.ts';
import type { PlantMachine } from '../simulator/plant.ts';
import { makeSky } from '../simulator/sky.ts';
import { Sums } from '../simulator/sums.ts';
import { isSaid, priceSteps } from './metering.ts';
import type { Said, WrongMeter } from './metering.ts';

export interface DaysOptions {
  readonly site: Site;
  readonly seed: number;
  readonly hours: number;
  readonly wrong?: readonly WrongMeter[];
  /** Prices stay low: all machines work. */
  readonly isCalm?: boolean;
}

const MINUTE_MS = 60_000;
/** The sun shines on the panels from the start. */
const START_WALL_MS = Date.UTC(2026, 5, 1, 15);
const SAMPLE_MS = 10_000;
const TICK_MS = 1_000;
const LOOK_MS = 60_000;
/** Above this price a model does not earn what it takes, USD/MWh: near enough for who rests when. */
const RESTS_FROM: Readonly<Record<string, number>> = {
  'whatsminer-m30s-plus': 51,
  'antminer-s19j-pro': 59,
  'antminer-s19-pro': 59,
  'antminer-s21': 100,
};
/** Machines' own figures are off by this at most, the same for all of one model. */
const WORD_BIAS = 0.06;

/** All that is said of the meters in so many hours. */
export function playDays(options: DaysOptions): Said[] {
  const { site, seed, hours, wrong = [], isCalm = false } = options;
  const prices = isCalm ? [] : priceSteps(seed, hours);
  const world = new MeteredWorld(site, seededRandom(seed * 31 + 7));
  const said: Said[] = [];
  let nowMs = 0;
  const plant = buildPlant(site, site.agents[0] ?? '', () => NO_DEVICE, 0);
  const say =
    (state: Said['state']) =>
    (code: Said['code'], meter: string, text: string): void => {
      const open = said.filter((one) => one.code === code && one.meter === meter).at(-1)?.state === 'raised';
      if (isSaid(code) && open !== (state === 'raised'))
        said.push({ atMin: nowMs / MINUTE_MS, code, meter, state, text });
    };
  const metering = makeMetering({
    site,
    agent: site.agents[0] ?? '',
    plant,
    clock: { monoMs: () => nowMs, wallMs: () => nowMs },
    memory: { onRead: () => undefined, note: () => undefined },
    alarms: { raise: say('raised'), clear: say('cleared') },
  });
  for (; nowMs < hours * 60 * MINUTE_MS; nowMs += TICK_MS) {
    const atMin = nowMs / MINUTE_MS;
    if (nowMs % LOOK_MS === 0) {
      world.faults(wrong, atMin);
      const usdPerMwh = prices.findLast((step) => step.atMin <= atMin)?.usdPerMwh ?? 0;
      world.command(({ model }) => usdPerMwh < (RESTS_FROM[model.id] ?? Infinity), nowMs);
    }
    for (const [place, machine] of plant.machines.entries())
      if ((nowMs / TICK_MS) % (SAMPLE_MS / TICK_MS) === place % (SAMPLE_MS / TICK_MS))
        takeReadings(machine, world.word(machine.config.index, nowMs), 'fast', nowMs);
    for (const [place, { config }] of plant.meters.entries())
      if ((nowMs / TICK_MS) % (SAMPLE_MS / TICK_MS) === (place * 3) % (SAMPLE_MS / TICK_MS))
        metering.take(place, world.sample(config.index, nowMs), nowMs);
    if (nowMs % SAMPLE_MS === 0) noteHeat(plant, nowMs);
    metering.tick();
  }
  return said;
}

const NO_DEVICE: Device = {
  driver: 'none',
  identify: () => Promise.reject(new Error('nobody asks it')),
  read: () => Promise.reject(new Error('nobody asks it')),
  verbs: {},
  close: () => undefined,
};

/** Machines, what flows to them, and the meters that show it. */
class MeteredWorld {
  readonly #site: Site;
  readonly #machines: readonly AsicPower[];
  readonly #meters: readonly SimulatedMeter[];
  readonly #bias: ReadonlyMap<string, number>;

  constructor(site: Site, random: Random) {
    this.#site = site;
    const sky = makeSky({ random, startMs: START_WALL_MS });
    this.#machines = site.machines.map(
      ({ id, model }) => new AsicPower({ id, model: model as AsicModel, random, startMs: 0 }),
    );
    const sums = new Sums(
      site,
      site.machines.map((machine, place) => loadOf(machine, this.#machines[place] as AsicPower)),
      sky,
    );
    this.#meters = site.meters.map(({ nodeIndex, role }) =>
      makeMeter({
        unit: 1,
        layout: 'pm5xxx',
        random,
        powerW: (nowMs) => (role === 'generation' ? sums.generationW(nowMs) : sums.nodeW(nodeIndex, nowMs)),
      }),
    );
    const models = [...new Set(site.machines.map(({ model }) => model.id))];
    this.#bias = new Map(models.map((id) => [id, 1 + WORD_BIAS * (2 * random.next() - 1)]));
  }

  faults(wrong: readonly WrongMeter[], atMin: number): void {
    for (const [place, { id }] of this.#site.meters.entries()) {
      const now = wrong.find((one) => one.meter === id && one.fromMin <= atMin && atMin < one.untilMin);
      const meter = this.#meters[place];
      if (meter !== undefined) meter.fault = now?.fault ?? 'none';
    }
  }

  command(works: (machine: SiteMachine) => boolean, nowMs: number): void {
    for (const [place, machine] of this.#site.machines.entries())
      if (works(machine)) this.#machines[place]?.wake(nowMs);
      else this.#machines[place]?.sleep(nowMs);
  }

  word(machine: number, nowMs: number): Readings {
    const power = this.#machines[machine];
    const model = this.#site.machines[machine]?.model.id ?? '';
    const powerW = (power?.powerW(nowMs) ?? 0) * (this.#bias.get(model) ?? 1);
    const atMs = START_WALL_MS + nowMs;
    return {
      mode: {
        ok: true,
        value: power?.mining === true ? 'mine' : 'sleep',
        unit: 'text',
        quality: 'good',
        atMs,
      },
      power: { ok: true, value: Math.round(powerW), unit: 'W', quality: 'good', atMs, measured: true },
    };
  }

  sample(meter: number, nowMs: number): Readings {
    const measured = this.#meters[meter]?.shown(nowMs);
    return measured === undefined ? {} : readingsOf(measured, START_WALL_MS + nowMs);
  }
}

function readingsOf({ totalW, phaseW, voltageV, currentA }: Measured, atMs: number): Record<string, Reading> {
  const readings: Record<string, Reading> = {};
  const put = (quantity: string, value: number, unit: 'W' | 'V' | 'A'): void => {
    readings[quantity] = Number.isFinite(value)
      ? { ok: true, value, unit, quality: 'good', atMs }
      : { ok: false, why: 'VALUE_INVALID', atMs };
  };
  put('power.active.total', totalW, 'W');
  for (const [place, phase] of (['L1', 'L2', 'L3'] as const).entries()) {
    put(`power.active.${phase}`, phaseW[place] ?? Number.NaN, 'W');
    put(`voltage.${phase}N`, voltageV[place] ?? Number.NaN, 'V');
    put(`current.${phase}`, currentA[place] ?? Number.NaN, 'A');
  }
  return readings;
}

const loadOf = (machine: SiteMachine, power: AsicPower): PlantMachine => ({
  id: machine.id,
  machine,
  host: '',
  endpoints: [],
  powerW: (nowMs) => power.powerW(nowMs),
  behave: () => undefined,
  supply: () => undefined,
  mode: () => (power.mining ? 'mine' : 'sleep'),
  stateCalls: 0,
  doubleOwned: 0,
  settings: () => ({}),
});
