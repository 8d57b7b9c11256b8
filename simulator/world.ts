/** A whole site in software: machines, electrical tree, sun, weather, meters, the utility and the feeds, under anyone's clock. */
import { meterProfile, SUNSPEC } from '../config/meters.ts';
import { isVirtual } from '../protocols/metering/virtual.ts';
import type { Site, SiteMeter } from '../config/site.ts';
import type { Random } from '../host/deps.ts';
import { Fault } from '../protocols/faults.ts';
import type { Mode } from '../protocols/reading.ts';
import type { SimulatedEndpoint } from './device.ts';
import { makeMeter } from './devices/meter.ts';
import { makeModbusLine } from './devices/modbus-line.ts';
import { layoutFor } from './devices/profile-layout.ts';
import type { SimulatedMeter } from './devices/meter.ts';
import { makeUtilityTerminal } from './devices/utility-terminal.ts';
import type { SimulatedUtilityTerminal } from './devices/utility-terminal.ts';
import { SimulatedFeeds } from './feeds.ts';
import { makePlantMachine } from './plant.ts';
import type { PlantMachine } from './plant.ts';
import { CALM_USD_PER_MWH, CALM_USD_PER_PH_DAY, defaultMisbehaviour } from './scenarios.ts';
import type { Misbehaviour, WorldChange } from './scenarios.ts';
import { makeSky } from './sky.ts';
import type { Sky } from './sky.ts';
import { Sums } from './sums.ts';
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
  /** Of it, what hangs on each node itself beside machines, as declared by the site, W. */
  readonly auxiliaryW: readonly number[];
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

/** Builds the plant of a site. Throws CONFIG_INVALID when the site has a device that cannot be simulated. */
export function makeWorld({ site, random, startMs, misbehaving, wakeMaxS }: WorldOptions): World {
  const sky = makeSky({ random, startMs });
  const machines = plantOf(site, { random, sky, wakeMaxS });
  const sums = new Sums(site, machines, sky);
  const meters = new Map(
    site.meters
      .filter(isRead)
      .map((meter): [string, SimulatedMeter] => [
        meter.id,
        meterOf(meter, random, sums, () => works.live(meter.nodeIndex)),
      ]),
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
    ambientC: (nowMs) => sky.ambientC(nowMs),
    supply: (machine, on, nowMs) => machines[machine]?.supply(on, nowMs),
    onSwitch: (cut) => sums.cut(cut),
    address: (target) => ({ ...addressOf(target, 502), unit: unitOf(target) }),
  });
  const devices: Devices = { machines: byId, meters, utility, feeds, switches, sums, works };
  for (const { machine, behaviour } of misbehaving ?? defaultMisbehaviour(site))
    found(byId, machine, 'machine').behave(behaviour);
  const endpoints: SimulatedEndpoint[] = [
    ...machines.flatMap((machine) => machine.endpoints.map((endpoint) => switches.behind(machine, endpoint))),
    ...meterEndpoints(site, meters),
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

interface Devices {
  readonly machines: ReadonlyMap<string, PlantMachine>;
  readonly meters: ReadonlyMap<string, SimulatedMeter>;
  readonly utility: SimulatedUtilityTerminal | undefined;
  readonly feeds: SimulatedFeeds;
  readonly switches: Switches;
  readonly sums: Sums;
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
    case 'electric-feed':
      return devices.works.feed(change.node, change.up, nowMs);
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

const isRead = ({ target }: SiteMeter): boolean => !isVirtual(target);

function meterOf(meter: SiteMeter, random: Random, sums: Sums, isLive: () => boolean): SimulatedMeter {
  const profile = URL.parse(meter.target)?.searchParams.get('profile') ?? '';
  const layout = layoutFor(meterProfile(profile === SUNSPEC ? 'sunspec-213' : profile));
  const powerW =
    meter.role === 'generation'
      ? (nowMs: number): number => sums.generationW(nowMs)
      : (nowMs: number): number => sums.nodeW(meter.nodeIndex, nowMs);
  return makeMeter({ unit: unitOf(meter.target), layout, random, powerW, isLive });
}

/** One port for all meters behind it: a gateway, or a meter alone. */
function meterEndpoints(site: Site, meters: ReadonlyMap<string, SimulatedMeter>): SimulatedEndpoint[] {
  const ports = Map.groupBy(site.meters.filter(isRead), ({ target }) => {
    const { host, port } = addressOf(target, 502);
    return `${target.startsWith('modbus+rtu:') ? 'rtu' : 'tcp'} ${host} ${port}`;
  });
  return [...ports].map(([key, behind]): SimulatedEndpoint => {
    const [framing, host = '', port] = key.split(' ');
    const units = behind.map(({ id }) => found(meters, id, 'meter'));
    const device = makeModbusLine({ framing: framing === 'rtu' ? 'rtu' : 'tcp', units });
    return { host, port: Number(port), kind: 'stream', device };
  });
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
