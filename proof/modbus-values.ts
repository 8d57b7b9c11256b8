/**
 * What no framer can see: a value changed inside a valid frame. A meter is read twice at the same moments, once as it
 * is and once with the change, and what differs is marked by the checks of driver and agent, or passed as good.
 */
import type { Device, DeviceIo } from '../agent/driver.ts';
import { modbusMeter } from '../agent/drivers/modbus-meter.ts';
import { makeKeeper } from '../agent/kept.ts';
import { makeMeterWatch } from '../agent/meter-watch.ts';
import type { MeterWatch } from '../agent/meter-watch.ts';
import { buildPlant } from '../agent/plant.ts';
import { parseTarget } from '../agent/target.ts';
import { siteSchema } from '../config/schema/site.ts';
import { resolveSite } from '../config/site.ts';
import { makeLines } from '../host/line.ts';
import { MemoryDisk } from '../host/memory-disk.ts';
import { seededRandom } from '../host/random.ts';
import type { Log, Random } from '../host/deps.ts';
import { Fault } from '../protocols/faults.ts';
import { numberOf } from '../protocols/reading.ts';
import type { Readings } from '../protocols/reading.ts';
import type { StreamDevice } from '../simulator/device.ts';
import { makeMeter } from '../simulator/devices/meter.ts';
import { METER_LAYOUTS } from '../simulator/devices/meter-layouts.ts';
import type { Measured } from '../simulator/devices/meter-layouts.ts';
import { makeMemoryFront } from '../simulator/fronts/memory.ts';
import { VirtualClock } from './virtual-clock.ts';

type Three = Measured['phaseW'];
type Change = (measured: Measured) => Measured;

const first = (values: Three, by: number): Three => [values[0] * by, values[1], values[2]];
const all = (values: Three, by: number): Three => [values[0] * by, values[1] * by, values[2] * by];

/** Changes of what the registers say; `bit`: one bit of one answer instead. */
const CHANGES: Readonly<Record<string, Change | 'bit' | 'stale'>> = {
  'total power × 2': (m) => ({ ...m, totalW: m.totalW * 2 }),
  'total power × 1.1': (m) => ({ ...m, totalW: m.totalW * 1.1 }),
  'total power 0': (m) => ({ ...m, totalW: 0 }),
  'sign of total power': (m) => ({ ...m, totalW: -m.totalW }),
  'one phase’s power × 2': (m) => ({ ...m, phaseW: first(m.phaseW, 2) }),
  'sign of one phase’s power': (m) => ({ ...m, phaseW: first(m.phaseW, -1) }),
  'one phase’s power and the total': (m) => ({
    ...m,
    phaseW: first(m.phaseW, 2),
    totalW: m.totalW + m.phaseW[0],
  }),
  'all powers × 2': (m) => ({ ...m, phaseW: all(m.phaseW, 2), totalW: m.totalW * 2 }),
  'all powers × 0.5': (m) => ({ ...m, phaseW: all(m.phaseW, 0.5), totalW: m.totalW * 0.5 }),
  'sign of all powers': (m) => ({ ...m, phaseW: all(m.phaseW, -1), totalW: -m.totalW }),
  'all powers and currents × 2': (m) => ({
    ...m,
    phaseW: all(m.phaseW, 2),
    totalW: m.totalW * 2,
    currentA: all(m.currentA, 2),
  }),
  'a voltage × 2': (m) => ({ ...m, voltageV: first(m.voltageV, 2) }),
  'a voltage × 0.7': (m) => ({ ...m, voltageV: first(m.voltageV, 0.7) }),
  'a current × 2': (m) => ({ ...m, currentA: first(m.currentA, 2) }),
  'a current × 0.5': (m) => ({ ...m, currentA: first(m.currentA, 0.5) }),
  'power factor × 0.5': (m) => ({ ...m, powerFactor: m.powerFactor * 0.5 }),
  'frequency × 1.1': (m) => ({ ...m, frequencyHz: m.frequencyHz * 1.1 }),
  'frequency × 2': (m) => ({ ...m, frequencyHz: m.frequencyHz * 2 }),
  'energy + 1 MWh': (m) => ({ ...m, importWh: m.importWh + 1e6 }),
  'energy × 0.5': (m) => ({ ...m, importWh: m.importWh * 0.5 }),
  'a gateway’s cache that stands still': 'stale',
  'one bit anywhere': 'bit',
};

/**
 * `samples`: with a quantity off by more than a hundredth. `noticed`: in which a check marked something. `power…`: of
 * those samples whose total power, by which control steers, is off, how many have it marked.
 */
interface Marks {
  samples: number;
  noticed: number;
  powerSamples: number;
  powerMarked: number;
}

export interface ChangeResult {
  readonly change: string;
  /** The first sample of each change. */
  readonly once: Readonly<Marks>;
  /** Ten samples in a row as one: in any of them. */
  readonly lasting: Readonly<Marks>;
}

const PERIOD_MS = 1_000;
const CLEAN_READS = 12;
const CHANGED_READS = 10;
const OFF_SHARE = 0.01;
const TIMEOUT_MS = 2_000;
const POWER = 'power.active.total';
const silent: Log = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  child: () => silent,
};

/** Every change so many times, each on a meter of its own, in virtual time. */
export async function playChanges(trials: number, seed: number): Promise<readonly ChangeResult[]> {
  const results: ChangeResult[] = [];
  for (const [change, how] of Object.entries(CHANGES))
    results.push(await playChange(change, how, trials, seed));
  return results;
}

async function playChange(
  change: string,
  how: Change | 'bit' | 'stale',
  trials: number,
  seed: number,
): Promise<ChangeResult> {
  const once: Marks = { samples: 0, noticed: 0, powerSamples: 0, powerMarked: 0 };
  const lasting: Marks = { ...once };
  for (let trial = 0; trial < trials; trial += 1) {
    // One of its own each time: the checks learn what a meter usually does.
    const bench = new Bench(how, seed + trial);
    for (let read = 0; read < CLEAN_READS; read += 1) await bench.sample(false);
    const seen = [];
    for (let read = 0; read < CHANGED_READS; read += 1) seen.push(await bench.sample(true));
    note(once, seen.slice(0, 1));
    note(lasting, seen);
  }
  return { change, once, lasting };
}

/** What of one sample was off, and whether it was marked; undefined: nothing was off. */
interface Seen {
  readonly noticed: boolean | undefined;
  readonly power: boolean | undefined;
}

function note(marks: Marks, seen: readonly Seen[]): void {
  const any = seen.flatMap(({ noticed }) => noticed ?? []);
  const power = seen.flatMap(({ power: marked }) => marked ?? []);
  if (any.length > 0) marks.samples += 1;
  if (any.includes(true)) marks.noticed += 1;
  if (power.length > 0) marks.powerSamples += 1;
  if (power.includes(true)) marks.powerMarked += 1;
}

const targetOf = (host: string): string => `modbus://${host}:502/1?profile=schneider-pm5xxx`;

/** Two of the same meter, of which one is told to change. */
class Bench {
  readonly #clock = new VirtualClock({ startWallMs: 1_700_000_000_000 });
  readonly #random: Random;
  readonly #how: Change | 'bit' | 'stale';
  readonly #devices: readonly [right: Device, changed: Device];
  readonly #watch: MeterWatch;
  #isOn = false;
  /** Answers until a bit is flipped. */
  #flipIn = -1;
  #stale: Measured | undefined;

  constructor(how: Change | 'bit' | 'stale', seed: number) {
    this.#how = how;
    this.#random = seededRandom(seed);
    const endpoint = (
      host: string,
      device: StreamDevice,
    ): { host: string; port: number; kind: 'stream'; device: StreamDevice } => ({
      host,
      port: 502,
      kind: 'stream',
      device,
    });
    const front = makeMemoryFront({
      endpoints: [endpoint('right', this.#meter(seed, false)), endpoint('changed', this.#meter(seed, true))],
      clock: this.#clock,
      random: this.#random,
      latencyMs: () => 2,
    });
    const lines = makeLines({ net: front.net, clock: this.#clock, random: this.#random });
    const io: DeviceIo = { ...front, lines, clock: this.#clock, random: this.#random, log: silent };
    const open = (host: string): Device => modbusMeter.open(parseTarget(targetOf(host), { env: {} }), io);
    this.#devices = [open('right'), open('changed')];
    this.#watch = watchOf(this.#clock);
  }

  #meter(seed: number, canChange: boolean): StreamDevice {
    const base = METER_LAYOUTS.pm5xxx;
    const load = seededRandom(seed + 1);
    const meter = makeMeter({
      unit: 1,
      random: seededRandom(seed),
      // Machines come and go.
      powerW: (nowMs) => 90_000 + 30_000 * Math.sin(nowMs / 7_000) + 4_000 * load.next(),
      layout: canChange ? { ...base, fields: (measured) => base.fields(this.#changed(measured)) } : base,
    });
    if (!canChange) return meter;
    return {
      respond: (bytes, nowMs) => {
        const answer = meter.respond(bytes, nowMs);
        return answer.kind === 'bytes' ? { ...answer, bytes: this.#flipped(answer.bytes) } : answer;
      },
    };
  }

  #changed(measured: Measured): Measured {
    if (!this.#isOn || typeof this.#how === 'string') {
      if (this.#how !== 'stale') return measured;
      if (!this.#isOn) this.#stale = measured;
      return this.#stale ?? measured;
    }
    return this.#how(measured);
  }

  /** Behind the header, unit, function and count. */
  #flipped(bytes: Uint8Array): Uint8Array {
    if (this.#how !== 'bit' || !this.#isOn || this.#flipIn < 0) return bytes;
    this.#flipIn -= 1;
    if (this.#flipIn >= 0 || bytes.length < 11) return bytes;
    const bit = Math.floor(this.#random.next() * 8 * (bytes.length - 9));
    const flipped = Uint8Array.from(bytes);
    flipped[9 + (bit >>> 3)] = (flipped[9 + (bit >>> 3)] ?? 0) ^ (1 << (bit & 7));
    return flipped;
  }

  async sample(isOn: boolean): Promise<Seen> {
    this.#isOn = isOn;
    this.#flipIn = Math.floor(this.#random.next() * 3);
    const beganMs = this.#clock.monoMs();
    const both = Promise.all([
      this.#devices[0].read('full', TIMEOUT_MS),
      this.#devices[1].read('full', TIMEOUT_MS),
    ]);
    await this.#clock.advance(PERIOD_MS);
    const [right, changed] = await both;
    return seenOf(this.#watch.take(0, right, beganMs), this.#watch.take(1, changed, beganMs));
  }
}

/** The agent's watch over both, as the first and the second meter of a site. */
function watchOf(clock: VirtualClock): MeterWatch {
  const meters = ['right', 'changed'].map((id) => ({ id, node: 'main', target: targetOf(id) }));
  const config = siteSchema.parse({
    schema: 1,
    site: 'values',
    nodes: [{ id: 'main', kind: 'site', capKw: 200 }],
    meters,
    machines: [],
    prices: { hash: { url: 'http://127.0.0.1/h', periodMs: 60_000, maxAgeS: 600, fallbackUsdPerPhDay: 50 } },
  });
  const site = resolveSite(config, new Map());
  const refuse = (): Promise<never> => Promise.reject(new Fault('INTERNAL'));
  const unread: Device = {
    driver: 'none',
    identify: refuse,
    read: refuse,
    verbs: {},
    close: () => undefined,
  };
  const plant = buildPlant(site, site.agents[0] ?? '', () => unread, 0);
  const alarms = { raise: () => undefined, clear: () => undefined, tell: () => undefined };
  const keeper = makeKeeper({
    disk: new MemoryDisk({ clock }),
    clock,
    alarms,
    agent: 'a1',
    dataDir: '/data',
  });
  const memory = { isReady: true, onRead: () => undefined, note: () => undefined };
  return makeMeterWatch({ site, plant, clock, alarms, keeper, memory });
}

function seenOf(right: Readings, changed: Readings): Seen {
  const off = Object.keys(right).filter((q) => {
    const [is, shown] = [numberOf(right[q]), changed[q]];
    if (is === undefined || shown === undefined) return false;
    const value = numberOf(shown);
    return value === undefined || Math.abs(value - is) > OFF_SHARE * Math.max(Math.abs(is), 1);
  });
  const isMarked = (readings: Readings, q: string): boolean => {
    const shown = readings[q];
    return !shown?.ok || shown.quality !== 'good';
  };
  const noticed = Object.keys(right).some((q) => isMarked(changed, q) && !isMarked(right, q));
  return {
    noticed: off.length === 0 ? undefined : noticed,
    power: off.includes(POWER) ? isMarked(changed, POWER) : undefined,
  };
}
