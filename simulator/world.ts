/** A whole site in software: machines, electrical tree, sun, weather, meters, the utility and the feeds, under anyone's clock. */
import type { Site, SiteMeter } from '../config/site.ts';
import type { Random } from '../host/deps.ts';
import { Fault } from '../protocols/faults.ts';
import type { Mode } from '../protocols/reading.ts';
import type { SimulatedEndpoint } from './device.ts';
import { makeMeter } from './devices/meter.ts';
import type { SimulatedMeter } from './devices/meter.ts';
import type { MeterLayoutId } from './devices/meter-layouts.ts';
import { makeUtilityTerminal } from './devices/utility-terminal.ts';
import type { SimulatedUtilityTerminal } from './devices/utility-terminal.ts';
import { SimulatedFeeds } from './feeds.ts';
import { makePlantMachine } from './plant.ts';
import type { PlantMachine } from './plant.ts';
import { CALM_USD_PER_MWH, CALM_USD_PER_PH_DAY, defaultMisbehaviour } from './scenarios.ts';
import type { Misbehaviour, WorldChange } from './scenarios.ts';
import { makeSky } from './sky.ts';
import type { Sky } from './sky.ts';
import { Switches } from './switches.ts';
import { makeWorks } from './works.ts';
import type { Works } from './works.ts';

export interface WorldOptions {
  readonly site: Site;
  readonly random: Random;
  /** UTC at time 0 of the clock that devices are asked with. */
  readonly startMs: number;
  /** Absent: the three that `defaultMisbehaviour` names. */
  readonly misbehaving?: readonly { readonly machine: string; readonly behaviour: Misbehaviour }[];
  /** ASICs wake within this many seconds, whatever their model says: for a tour that lasts minutes. */
  readonly wakeMaxS?: number;
}

/** What is really so, for judges of a simulation: nothing here has passed a wire. */
export interface Truth {
  /** W into each node, as `Site.nodes`; net of generation at or below it. */
  readonly nodeW: readonly number[];
  /** W of each machine at its plug, as `Site.machines`. */
  readonly machineW: readonly number[];
  /** What each machine really does, as `Site.machines`. */
  readonly modes: readonly Mode[];
  /** Calls that changed or set a state, per machine. */
  readonly stateCalls: readonly number[];
  /** How often two workloads held the same GPUs. */
  readonly doubleOwned: number;
  readonly generationW: number;
}

export interface World {
  readonly endpoints: readonly SimulatedEndpoint[];
  /** Carries a change out. `process` changes nothing here. Throws USAGE when it names what the site does not have. */
  apply(change: WorldChange, nowMs: number): void;
  /** True W into a node, losses included, net of generation; asked with times that do not go back. */
  nodePowerW(nodeIndex: number, nowMs: number): number;
  truth(nowMs: number): Truth;
  /** What the owner of a machine has set, by name, as its device holds it now; what its mode hides is absent. */
  settings(machine: number): Readonly<Record<string, string | number>>;
  /** False while the switch of the host's rack is down: then nothing of it answers. */
  linkUp(host: string): boolean;
  /** False while a machine has no power, a breaker above it being open. */
  supplied(machine: number): boolean;
  /** The utility's terminal, with what the site reported to it; undefined when the site has none. */
  readonly utility: SimulatedUtilityTerminal | undefined;
  readonly feeds: SimulatedFeeds;
}

/** Meters renew their registers every second: sums younger than this serve for the next question. */
const SUM_HOLD_MS = 200;
/** What a node loses between its inlet and what hangs on it. */
const LOSS = { site: 0.008, transformer: 0.008, feeder: 0.007, pdu: 0.003, rack: 0 } as const;
/** Installed generation, as a share of the root's cap. */
const SOLAR_SHARE = 0.07;

const LAYOUTS: Readonly<Record<string, MeterLayoutId>> = {
  'schneider-pm5xxx': 'pm5xxx',
  'eastron-sdm630': 'sdm630',
  'abb-b2x': 'b2x',
  'siemens-pac2200': 'pac2200',
};

/** Builds the plant of a site. Throws CONFIG_INVALID when the site has a device that cannot be simulated. */
export function makeWorld({ site, random, startMs, misbehaving, wakeMaxS }: WorldOptions): World {
  const sky = makeSky({ random, startMs });
  const machines = plantOf(site, { random, sky, wakeMaxS });
  const sums = new Sums(site, machines, sky);
  const meters = new Map(
    site.meters.map((meter): [string, SimulatedMeter] => [meter.id, meterOf(meter, random, sums)]),
  );
  const config = site.config.utility;
  const utility = config && makeUtilityTerminal({ unit: unitOf(config.target) });
  const feeds = new SimulatedFeeds({
    startMs,
    usdPerMwh: CALM_USD_PER_MWH,
    usdPerPhDay: CALM_USD_PER_PH_DAY,
  });
  const byId = new Map(machines.map((machine) => [machine.machine.id, machine]));
  const switches = new Switches(machines);
  const works = makeWorks({
    site,
    nodeW: (nodeIndex, nowMs) => sums.nodeW(nodeIndex, nowMs),
    supply: (machine, on, nowMs) => machines[machine]?.supply(on, nowMs),
    address: (target) => ({ ...addressOf(target, 502), unit: unitOf(target) }),
  });
  const devices: Devices = { machines: byId, meters, utility, feeds, switches, works };
  for (const { machine, behaviour } of misbehaving ?? defaultMisbehaviour(site))
    found(byId, machine, 'machine').behave(behaviour);
  const endpoints: SimulatedEndpoint[] = [
    ...machines.flatMap((machine) => machine.endpoints.map((endpoint) => switches.behind(machine, endpoint))),
    ...site.meters.map((meter): SimulatedEndpoint => ({
      ...addressOf(meter.target, 502),
      kind: 'stream',
      device: found(meters, meter.id, 'meter'),
    })),
    ...(config && utility
      ? [{ ...addressOf(config.target, 502), kind: 'stream' as const, device: utility }]
      : []),
    ...feedEndpoints(site, feeds),
    ...works.endpoints,
  ];
  return {
    endpoints,
    apply: (change, nowMs) => {
      applyChange(devices, change, nowMs);
      sums.forget();
    },
    nodePowerW: (nodeIndex, nowMs) => sums.nodeW(nodeIndex, nowMs),
    truth: (nowMs) => sums.truth(nowMs),
    settings: (machine) => machines[machine]?.settings() ?? {},
    linkUp: (host) => switches.linkUp(host),
    supplied: (machine) => works.supplied(machine),
    utility,
    feeds,
  };
}

interface PlantMeans {
  readonly random: Random;
  readonly sky: Sky;
  readonly wakeMaxS: number | undefined;
}

function plantOf(site: Site, { random, sky, wakeMaxS = Infinity }: PlantMeans): readonly PlantMachine[] {
  return site.machines.map((machine) => {
    const { model } = machine;
    // At the calm price mining pays on every host: the site starts where the controller would bring it.
    const gpuStart = 'mine';
    const hurried = model.kind === 'asic' ? { ...model, wakeS: Math.min(model.wakeS, wakeMaxS) } : model;
    return makePlantMachine({
      machine: { ...machine, model: hurried },
      random,
      gpuStart,
      ambientC: (nowMs) => sky.ambientC(nowMs),
    });
  });
}

/** What hangs below a node, itself included: parents before their children. */
interface Subtree {
  readonly nodes: readonly number[];
  readonly machines: readonly number[];
}

/** Power of the nodes, each subtree worked out when it is asked for. */
class Sums {
  readonly #site: Site;
  readonly #machines: readonly PlantMachine[];
  readonly #sky: Sky;
  readonly #machineW: Float64Array;
  readonly #nodeW: Float64Array;
  /** Per node, when its power was last worked out. */
  readonly #atMs: Float64Array;
  readonly #subtrees: readonly Subtree[];
  /** Per node, how many generation meters it has. */
  readonly #generators: Uint8Array;
  readonly #plants: number;
  readonly #solarW: number;

  constructor(site: Site, machines: readonly PlantMachine[], sky: Sky) {
    this.#site = site;
    this.#machines = machines;
    this.#sky = sky;
    this.#machineW = new Float64Array(machines.length);
    this.#nodeW = new Float64Array(site.nodes.length);
    this.#atMs = new Float64Array(site.nodes.length).fill(Number.NEGATIVE_INFINITY);
    this.#subtrees = subtreesOf(site);
    const generation = site.meters.filter(({ role }) => role === 'generation');
    this.#generators = new Uint8Array(site.nodes.length);
    for (const { nodeIndex } of generation)
      this.#generators[nodeIndex] = (this.#generators[nodeIndex] ?? 0) + 1;
    this.#plants = generation.length;
    this.#solarW = (site.nodes[0]?.capKw ?? 0) * 1_000 * SOLAR_SHARE;
  }

  nodeW(nodeIndex: number, nowMs: number): number {
    if (nowMs - (this.#atMs[nodeIndex] ?? 0) >= SUM_HOLD_MS) this.#sum(nodeIndex, nowMs);
    return this.#nodeW[nodeIndex] ?? 0;
  }

  /** Of one generating plant, W, positive when it produces. */
  generationW(nowMs: number): number {
    return this.#solarW * this.#sky.sun(nowMs);
  }

  forget(): void {
    this.#atMs.fill(Number.NEGATIVE_INFINITY);
  }

  truth(nowMs: number): Truth {
    this.#sum(0, nowMs);
    return {
      nodeW: [...this.#nodeW],
      machineW: [...this.#machineW],
      modes: this.#machines.map((machine) => machine.mode(nowMs)),
      stateCalls: this.#machines.map((machine) => machine.stateCalls),
      doubleOwned: this.#machines.reduce((sum, machine) => sum + machine.doubleOwned, 0),
      generationW: this.#plants === 0 ? 0 : this.generationW(nowMs) * this.#plants,
    };
  }

  #sum(top: number, nowMs: number): void {
    const subtree = this.#subtrees[top];
    if (subtree === undefined) return;
    const { nodes } = this.#site;
    const nodeW = this.#nodeW;
    for (const index of subtree.nodes) {
      const generators = this.#generators[index] ?? 0;
      nodeW[index] = generators === 0 ? 0 : -generators * this.generationW(nowMs);
      this.#atMs[index] = nowMs;
    }
    let loadW = 0;
    for (const index of subtree.machines) {
      const one = this.#machines[index];
      if (one === undefined) continue;
      const { nodeIndex } = one.machine;
      const drawW = one.powerW(nowMs);
      this.#machineW[index] = drawW;
      loadW += drawW;
      nodeW[nodeIndex] = (nodeW[nodeIndex] ?? 0) + drawW;
    }
    for (let place = subtree.nodes.length - 1; place >= 0; place -= 1) {
      const index = subtree.nodes[place] ?? 0;
      const node = nodes[index];
      if (node === undefined) continue;
      const throughW = nodeW[index] ?? 0;
      const coolingW = node.parentIndex < 0 ? loadW * this.#sky.coolingShare(nowMs) : 0;
      const inW = throughW + Math.abs(throughW) * LOSS[node.kind] + coolingW;
      nodeW[index] = inW;
      if (index !== top && node.parentIndex >= 0)
        nodeW[node.parentIndex] = (nodeW[node.parentIndex] ?? 0) + inW;
    }
  }
}

function subtreesOf(site: Site): readonly Subtree[] {
  const subtrees = site.nodes.map(() => ({ nodes: [] as number[], machines: [] as number[] }));
  for (const node of site.nodes) for (const above of node.path) subtrees[above]?.nodes.push(node.index);
  for (const { index, nodeIndex } of site.machines)
    for (const above of site.nodes[nodeIndex]?.path ?? []) subtrees[above]?.machines.push(index);
  return subtrees;
}

interface Devices {
  readonly machines: ReadonlyMap<string, PlantMachine>;
  readonly meters: ReadonlyMap<string, SimulatedMeter>;
  readonly utility: SimulatedUtilityTerminal | undefined;
  readonly feeds: SimulatedFeeds;
  readonly switches: Switches;
  readonly works: Works;
}

function applyChange(devices: Devices, change: WorldChange, nowMs: number): void {
  const { feeds } = devices;
  switch (change.kind) {
    case 'price':
      return feeds.setPrice(change.usdPerMwh, change.nextUsdPerMwh ?? change.usdPerMwh, nowMs);
    case 'hashprice':
      return feeds.setHashprice(change.usdPerPhDay);
    case 'ai-job':
      return feeds.startJob(change, nowMs);
    case 'ai-end':
      return feeds.endJob(change.id);
    case 'feed':
      return feeds.setFault(change.feed, change.fault, nowMs);
    case 'utility-limit': {
      const kind = ({ none: 0, contracted: 1, emergency: 2 } as const)[change.event];
      utilityOf(devices).instruct({ limitKw: change.limitKw, deadlineS: change.deadlineS, kind });
      return undefined;
    }
    case 'utility-heartbeat':
      utilityOf(devices).alive = change.alive;
      return undefined;
    case 'machine':
      return found(devices.machines, change.machine, 'machine').behave(change.behaviour);
    case 'rack-switch':
      return devices.switches.set(change.rack, change.up);
    case 'plant':
      return devices.works.fail(change.part, change.failed, nowMs);
    case 'meter':
      found(devices.meters, change.meter, 'meter').fault = change.fault;
      return undefined;
    case 'process':
      return undefined;
  }
}

function utilityOf({ utility }: Devices): SimulatedUtilityTerminal {
  if (utility === undefined) throw new Fault('USAGE', 'this site has no utility terminal');
  return utility;
}

function found<T>(known: ReadonlyMap<string, T>, id: string, what: string): T {
  const one = known.get(id);
  if (one === undefined) throw new Fault('USAGE', `there is no ${what} '${id}' in this site`);
  return one;
}

function meterOf(meter: SiteMeter, random: Random, sums: Sums): SimulatedMeter {
  const profile = URL.parse(meter.target)?.searchParams.get('profile') ?? '';
  const layout = LAYOUTS[profile];
  if (layout === undefined)
    throw new Fault('CONFIG_INVALID', `meter '${meter.id}': profile '${profile}' is not simulated`);
  const powerW =
    meter.role === 'generation'
      ? (nowMs: number): number => sums.generationW(nowMs)
      : (nowMs: number): number => sums.nodeW(meter.nodeIndex, nowMs);
  return makeMeter({ unit: unitOf(meter.target), layout, random, powerW });
}

function feedEndpoints(site: Site, feeds: SimulatedFeeds): SimulatedEndpoint[] {
  const { prices, ai } = site.config;
  const urls = [prices.energy?.url, prices.hash.url, ai?.demand?.url].flatMap((url) => url ?? []);
  const places = new Map(urls.map((url) => [URL.parse(url)?.host ?? '', addressOf(url, 80)]));
  return [...places.values()].map((place) => ({ ...place, kind: 'http', device: feeds }));
}

function addressOf(target: string, defaultPort: number): { readonly host: string; readonly port: number } {
  const url = URL.parse(target);
  if (url === null || url.hostname === '')
    throw new Fault('CONFIG_INVALID', `${target}: no address to simulate`);
  return { host: url.hostname, port: url.port === '' ? defaultPort : Number(url.port) };
}

/** The Modbus unit, the first segment of the path; 1 when there is none. */
function unitOf(target: string): number {
  const unit = Number(URL.parse(target)?.pathname.split('/')[1] ?? '');
  return Number.isInteger(unit) && unit > 0 ? unit : 1;
}
