import { MODELS } from '../config/models.ts';
import { siteSchema } from '../config/schema/site.ts';
import type { SiteConfigInput } from '../config/schema/site.ts';
import { resolveSite } from '../config/site.ts';
import type { Site } from '../config/site.ts';
import type { PublicEvent } from '../protocols/events.ts';
import type { Mode } from '../protocols/reading.ts';
import { defaultMisbehaviour } from '../simulator/scenarios.ts';
import { simulatedSite } from '../simulator/site.ts';
import type { WorldChange } from '../simulator/scenarios.ts';
import type { Truth } from '../simulator/world.ts';
import type { Planned } from './faults.ts';
import { runSeed } from './harness.ts';
import { NO_KEY } from './site.ts';

/**
 * A site that goes dark and starts again. Half of its machines keep their sleep over the outage; the other half start by
 * themselves when power returns and hang behind contactors that drop out. A price has put all of them to rest before;
 * power comes back at a price at which all work; later a contracted limit takes most of the load away again.
 */
export interface BlackStart {
  readonly seed: number;
  readonly machines: number;
  readonly outlets: number;
  /** 10 s means of the main meter beyond the quantum, % of the ramp: up, of one outlet's group; down, of one machine. */
  readonly upErrorPct: number;
  readonly downErrorPct: number;
  /** The same with the quantum of one machine both ways. */
  readonly upErrorOfMachinePct: number;
  /** The most true load of any node above its cap, kW; 0: never above. */
  readonly overCapKw: number;
  /** The most machines that began to work within 10 s while the load rose, and how many may. */
  readonly startsIn10S: number;
  readonly startsPer10S: number;
  /** Starts at any time after power was back of machines that were not told to work: nobody had let them. */
  readonly unasked: number;
  /** From power to nine tenths of what worked before, s; undefined: it never came to that. */
  readonly backS: number | undefined;
  readonly violations: readonly string[];
  /** Alarms raised, by code. */
  readonly alarms: Readonly<Record<string, number>>;
}

interface BlackStartOptions {
  readonly troubles?: readonly Planned[];
  readonly onProgress?: (atMs: number, kw: number) => void;
}

const PER_RACK = 10;
const RESTS_MS = 30_000;
const DARK_MS = 240_000;
const BACK_MS = 300_000;
const FALLS_MS = 900_000;
const END_MS = 1_080_000;
const RELEASE_S = 10;
/** Of the site's cap per minute. */
const UP_SHARE = 0.2;
const DOWN_SHARE = 0.4;
const LIMIT_SHARE = 0.35;
/** Racks of these two models, in turn: Antminers keep their sleep, Whatsminers start by themselves. */
const KEEPS = {
  model: 'antminer-s19j-pro',
  kw: 3.068,
  target: 'antminer://HOST?http=8180&api=4028&user=root&passwordEnv=SWITCHYARD_SIM_PASSWORD',
} as const;
const STARTS = {
  model: 'whatsminer-m30s-plus',
  kw: 3.4,
  target: 'whatsminer://HOST?api=4028&passwordEnv=SWITCHYARD_SIM_PASSWORD',
} as const;
const FEEDERS = ['f1', 'f2'] as const;
const PLC = 'modbus://127.30.0.30:1502/1';

/** One rack of machines of one kind. */
interface Place {
  readonly id: string;
  readonly feeder: (typeof FEEDERS)[number];
  readonly kind: typeof KEEPS | typeof STARTS;
  readonly host: string;
  /** Where its contactor and its contact are, on the PLC. */
  readonly address: number;
}

/** Two feeders, one main breaker, a contactor for each rack of machines that start by themselves. */
function blackStartSite(machines: number): Site {
  const { utility, prices } = simulatedSite({ hostKey: NO_KEY, keyFile: '/sim/key', machines: 14 });
  const places = Array.from({ length: Math.max(4, Math.round(machines / PER_RACK)) }, (_, place): Place => ({
    id: `r${place + 1}`,
    feeder: FEEDERS[place % 4 < 2 ? 0 : 1],
    kind: place % 2 === 0 ? KEEPS : STARTS,
    host: `127.${30 + Math.floor((place + 1) / 250)}.${(place + 1) % 250}.{n}`,
    address: 100 + place,
  }));
  const capKw = Math.round(kwOf(places) * 1.12);
  const config: SiteConfigInput = {
    schema: 1,
    site: 'black',
    name: 'Black start',
    authority: 'automatic',
    lease: { t1S: 5, t2S: 60, failSafe: 'hold' },
    control: { minOnS: 15, minOffS: 15, maxCyclesPerDay: 1_000, startsPer10S: startsOf(capKw) },
    nodes: nodesOf(places, capKw),
    meters: ['main', ...FEEDERS].map((node, place) => ({
      id: `m-${node}`,
      node,
      target: `modbus://127.30.0.${place + 1}:1502/1?profile=schneider-pm5xxx`,
      periodMs: 1_000,
    })),
    machines: places.map(({ id, kind: { model, target }, host }) => ({
      rack: id,
      model,
      target: target.replace('HOST', host),
      first: 1,
      count: PER_RACK,
      periodMs: 10_000,
    })),
    prices,
    utility,
    plant: plantOf(places.filter(({ kind }) => kind === STARTS)),
  };
  return resolveSite(siteSchema.parse(config), MODELS);
}

const kwOf = (places: readonly Place[]): number =>
  places.reduce((sum, { kind }) => sum + kind.kw * PER_RACK, 0);

const nodesOf = (places: readonly Place[], capKw: number): SiteConfigInput['nodes'] => [
  {
    id: 'main',
    kind: 'site',
    capKw,
    rampUpKwPerMin: capKw * UP_SHARE,
    rampDownKwPerMin: capKw * DOWN_SHARE,
  },
  ...FEEDERS.map((id) => ({
    id,
    parent: 'main',
    kind: 'feeder' as const,
    capKw: Math.round(kwOf(places.filter(({ feeder }) => feeder === id)) * 1.09),
  })),
  ...places.map((place) => ({
    id: place.id,
    parent: place.feeder,
    kind: 'rack' as const,
    capKw: kwOf([place]) * 1.1,
  })),
];

const plantOf = (starting: readonly Place[]): SiteConfigInput['plant'] => ({
  points: [
    { id: 'i-q0', target: PLC, kind: 'discrete', address: 0 },
    ...starting.map(({ id, address }) => ({
      id: `i-${id}`,
      target: PLC,
      kind: 'discrete' as const,
      address,
    })),
  ],
  protections: [
    { id: 'q0', node: 'main', input: 'i-q0', kind: 'breaker', autoRelease: true, releaseS: RELEASE_S },
  ],
  outlets: starting.map(({ id, address }) => ({
    id: `k-${id}`,
    node: id,
    target: PLC,
    kind: 'coil' as const,
    address,
    input: `i-${id}`,
    bootS: 30,
  })),
});

/** A quarter more than the ramp needs: neither of the two alone decides. */
const startsOf = (capKw: number): number =>
  Math.max(PER_RACK, Math.ceil((capKw * UP_SHARE * 1.25) / 6 / KEEPS.kw));

/** Plays one outage on `blackStartSite(machines)`. `troubles`: what else goes wrong. */
export async function playBlackStart(
  seed: number,
  machines: number,
  { troubles = [], onProgress = () => undefined }: BlackStartOptions = {},
): Promise<BlackStart> {
  const site = blackStartSite(machines);
  const capKw = site.nodes[0]?.capKw ?? 0;
  const seen = new Sightings(site);
  const calm = defaultMisbehaviour(site).map(({ machine }): WorldChange => ({
    kind: 'machine',
    machine,
    behaviour: 'none',
  }));
  const limit = { limitKw: Math.round(capKw * LIMIT_SHARE), deadlineS: 120, event: 'contracted' } as const;
  const run = await runSeed({
    seed,
    machines: site.machines.length,
    site,
    unsettled: true,
    hours: END_MS / 3_600_000,
    timeline: [
      ...calm.map((change) => at(0, change)),
      at(RESTS_MS, { kind: 'price', usdPerMwh: 400 }),
      at(DARK_MS, { kind: 'plant', part: 'q0', failed: true }),
      at(DARK_MS + 10_000, { kind: 'price', usdPerMwh: 20 }),
      at(BACK_MS, { kind: 'plant', part: 'q0', failed: false }),
      at(FALLS_MS, { kind: 'utility-limit', ...limit }),
      ...troubles,
    ].sort((a, b) => a.atMs - b.atMs),
    react: (truth, atMs) => {
      seen.look(truth, atMs);
      if (atMs % 60_000 < 1_000) onProgress(atMs, Math.round((truth.nodeW[0] ?? 0) / 1_000));
      return [];
    },
    onEvent: (atMs, event) => seen.hear(event, atMs),
  });
  return {
    seed,
    ...seen.figures(),
    violations: run.violations.map(({ invariant, atMs, text }) => `${invariant} at ${atMs}: ${text}`),
  };
}

const at = (atMs: number, change: WorldChange): Planned => ({
  atMs,
  happening: { kind: 'world', change },
  fault: undefined,
});

const WINDOW_MS = 10_000;

/** What a run looks like from outside. */
class Sightings {
  readonly #site: Site;
  readonly #meter: { readonly atMs: number; readonly kw: number }[] = [];
  readonly #starts: number[] = [];
  readonly #alarms = new Map<string, number>();
  #modes: Truth['modes'] = [];
  #overCapW = 0;
  #unasked = 0;
  /** By machine, what it was last told. */
  readonly #told = new Map<string, Mode>();
  #beforeKw = 0;
  #backMs: number | undefined;

  constructor(site: Site) {
    this.#site = site;
  }

  look({ modes, nodeW }: Truth, atMs: number): void {
    for (const { index, capKw } of this.#site.nodes)
      this.#overCapW = Math.max(this.#overCapW, (nodeW[index] ?? 0) - capKw * 1_000);
    const kw = (nodeW[0] ?? 0) / 1_000;
    if (atMs < RESTS_MS) this.#beforeKw = Math.max(this.#beforeKw, kw);
    if (atMs > BACK_MS && kw >= 0.9 * this.#beforeKw) this.#backMs ??= atMs;
    if (atMs > BACK_MS)
      for (const [machine, mode] of modes.entries())
        if (mode === 'mine' && this.#modes[machine] !== 'mine') {
          this.#starts.push(atMs);
          if (this.#told.get(this.#site.machines[machine]?.id ?? '') !== 'mine') this.#unasked += 1;
        }
    this.#modes = modes;
  }

  hear(event: PublicEvent, atMs: number): void {
    if (event.event === 'desired')
      for (const [id, mode] of Object.entries(event.machines)) this.#told.set(id, mode);
    if (event.event === 'meter' && event.node === 'main' && event.quality === 'good')
      this.#meter.push({ atMs, kw: event.powerW / 1_000 });
    if (event.event === 'alarm' && event.state === 'raised' && atMs > DARK_MS)
      this.#alarms.set(event.code, (this.#alarms.get(event.code) ?? 0) + 1);
  }

  figures(): Omit<BlackStart, 'seed' | 'violations'> {
    const { machines, outlets, nodes, config } = this.#site;
    const { rampUpKwPerMin: up = Infinity, rampDownKwPerMin: down = Infinity } = nodes[0] ?? {};
    const machineKw = Math.max(...machines.map(({ model }) => model.ratedW)) / 1_000;
    const groupKw = Math.max(...outlets.map((outlet) => outlet.machines.length)) * machineKw;
    const back = (quantumKw: number): number => round(this.#errorPct(BACK_MS, FALLS_MS, up, quantumKw, 1));
    return {
      machines: machines.length,
      outlets: outlets.length,
      upErrorPct: back(groupKw),
      upErrorOfMachinePct: back(machineKw),
      downErrorPct: round(this.#errorPct(FALLS_MS, END_MS, down, machineKw, -1)),
      overCapKw: round(this.#overCapW / 1_000),
      startsIn10S: Math.max(
        0,
        ...this.#starts.map(
          (fromMs) => this.#starts.filter((one) => one >= fromMs && one < fromMs + WINDOW_MS).length,
        ),
      ),
      startsPer10S: config.control.startsPer10S,
      unasked: this.#unasked,
      backS: this.#backMs === undefined ? undefined : Math.round((this.#backMs - BACK_MS) / 1_000),
      alarms: Object.fromEntries(this.#alarms),
    };
  }

  /** The worst of all 10 s means against the one before, at every sample of the meter. */
  #errorPct(fromMs: number, untilMs: number, kwPerMin: number, quantumKw: number, sign: 1 | -1): number {
    const mayKw = (kwPerMin * WINDOW_MS) / 60_000;
    let worst = 0;
    for (let startMs = fromMs; startMs + 2 * WINDOW_MS <= untilMs; startMs += 1_000) {
      const before = this.#meanKw(startMs);
      const after = this.#meanKw(startMs + WINDOW_MS);
      if (before === undefined || after === undefined) continue;
      worst = Math.max(worst, ((sign * (after - before) - quantumKw) / mayKw - 1) * 100);
    }
    return worst;
  }

  #meanKw(fromMs: number): number | undefined {
    const window = this.#meter.filter(({ atMs }) => atMs >= fromMs && atMs < fromMs + WINDOW_MS);
    return window.length === 0 ? undefined : window.reduce((sum, { kw }) => sum + kw, 0) / window.length;
  }
}

const round = (value: number): number => Math.round(value * 100) / 100;
