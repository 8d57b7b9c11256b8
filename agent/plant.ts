import type { Site, SiteMeter, SiteNode } from '../config/site.ts';
import { slicesOf } from '../config/slices.ts';
import { isVirtual } from '../protocols/metering/virtual.ts';
import { drawersOf, followHeat, makeHeat } from '../protocols/auxiliary.ts';
import type { Drawer, DrawerShares, Heat } from '../protocols/auxiliary.ts';
import { Fault } from '../protocols/faults.ts';
import { flowShares, lostFeeds } from '../protocols/feeds.ts';
import { flowOf, planCapW } from '../protocols/loading.ts';
import type { Flow, Rating } from '../protocols/loading.ts';
import { GUARD_MAX_AGE_MS } from '../protocols/metering/age.ts';
import { Rows } from '../protocols/mqtt/rows.ts';
import { numberOf } from '../protocols/reading.ts';
import type { Readings } from '../protocols/reading.ts';
import type { Device } from './driver.ts';
import { makeGuard } from './core/guard.ts';
import type { GuardState } from './core/guard.ts';
import { isOff, newMachine } from './machine.ts';
import type { Machine } from './machine.ts';
import { borrowedFrom, partsOf, virtualDevice } from './virtual.ts';

/** A meter and its newest readings. */
export interface Meter {
  readonly config: SiteMeter;
  /** Place of the node in the agent's list, when it measures an own node. */
  readonly node: number | undefined;
  device: Device;
  /** What it is worked out from; none: it is read. */
  readonly parts: () => readonly Meter[];
  readings: Readings;
  powerW: number | undefined;
  /** By the newest good sample. */
  goodW: number | undefined;
  /** What flowed by the newest good sample. */
  flow: Flow | undefined;
  /** It has told all it has at least once. */
  isWhole: boolean;
  /** Monotonic ms of the newest good sample's beginning. */
  goodMs: number;
}

/** An electrical node of this agent. */
export interface PlantNode {
  readonly id: string;
  readonly rating: Rating;
  /** What its limits in kVA and A come to by its meter, W; undefined before it has told. */
  learntW: number | undefined;
  readonly machines: readonly Machine[];
  readonly meter: Meter | undefined;
  readonly guard: GuardState | undefined;
  short: boolean;
  /** It belongs to another agent, and this one has a slice of it; undefined: it is this agent's own. */
  readonly slice: Slice | undefined;
}

/** The agent's part of a node that another agent guards. */
export interface Slice {
  readonly owner: string;
  readonly capW: number;
  /** As `SliceSight.heldW`. */
  heldW: number | undefined;
  /** What binds raises, and what is drawn, at this moment, W; Infinity: nothing does. */
  raiseW: number;
  holdW: number;
}

export interface Rack {
  readonly id: string;
  /** What its machines say, in their order. */
  readonly rows: Rows;
  readonly machines: readonly Machine[];
}

/** The agent's part of the site, with what is known of it. */
export interface Plant {
  readonly machines: readonly Machine[];
  readonly byId: ReadonlyMap<string, Machine>;
  readonly racks: readonly Rack[];
  readonly meters: readonly Meter[];
  /** Its own; behind them those of others above its machines, of which it has slices. */
  readonly nodes: readonly PlantNode[];
  /** What draws beside machines, by places of `nodes`, and the heat it has followed. */
  readonly auxiliaries: { readonly drawers: readonly Drawer[]; readonly heat: Heat; shares: DrawerShares };
  /** Of `Site.nodes`, those that are feeds without voltage. */
  lostFeeds: ReadonlySet<number>;
}

/** Builds the agent's part of the site; a device whose target cannot be used stands for itself as one that never answers. */
export function buildPlant(
  site: Site,
  agent: string,
  open: (target: string) => Device,
  nowMs: number,
): Plant {
  const ownNodes = site.nodes.filter((node) => node.agent === agent);
  const nodePlace = placesOf(site, agent);
  const along = alongTree(site, nodePlace);
  const machines: Machine[] = [];
  const racks = site.racks
    .filter((rack) => rack.agent === agent)
    .map((rack, place): Rack => {
      const rows = new Rows(rack.machines.length);
      const own = rack.machines.flatMap((index, row) => {
        const config = site.machines[index];
        if (config === undefined) return [];
        const at = machines.length + row;
        return newMachine(
          { at, config, rack: place, rows, row, ...along(config.nodeIndex) },
          tryOpen(open, config.target),
          nowMs,
        );
      });
      machines.push(...own);
      return { id: rack.id, rows, machines: own };
    });
  const meters: readonly Meter[] = site.meters
    .filter((meter) => meter.agent === agent)
    .map((config): Meter => ({
      config,
      node: config.role === 'node' ? nodePlace.get(config.nodeIndex) : undefined,
      device: isVirtual(config.target)
        ? virtualDevice({ site, config, meters: () => meters, machines: () => machines, nodes: () => own })
        : tryOpen(open, config.target),
      parts: () => partsOf(config, meters),
      readings: {},
      powerW: undefined,
      goodW: undefined,
      flow: undefined,
      isWhole: false,
      goodMs: Number.NEGATIVE_INFINITY,
    }));
  const own: PlantNode[] = [];
  for (const [place, node] of ownNodes.entries()) {
    const meter = meters.find((candidate) => candidate.node === place);
    own.push({
      id: node.id,
      rating: node,
      learntW: undefined,
      machines: machines.filter((machine) => machine.path.includes(place)),
      meter,
      guard: meter && guardOf(site, node, meter, own),
      short: false,
      slice: undefined,
    });
  }
  const nodes = [...own, ...sliceNodes(site, agent, machines, nodePlace)];
  return {
    machines,
    auxiliaries: auxiliariesOf(site, ownNodes, nodePlace),
    byId: new Map(machines.map((machine) => [machine.config.id, machine])),
    racks,
    meters,
    nodes,
    lostFeeds: new Set(),
  };
}

const guardOf = (site: Site, node: SiteNode, { config }: Meter, above: readonly PlantNode[]): GuardState =>
  makeGuard(planCapW(node, undefined), node.trip, borrowedFrom(site, config, above));

/** Places of `Plant.nodes` by indexes of `Site.nodes`: the agent's own first, then those of which it has slices. */
function placesOf(site: Site, agent: string): ReadonlyMap<number, number> {
  const own = site.nodes.filter((node) => node.agent === agent).map(({ index }) => index);
  const others = slicesOf(site, agent).map(({ nodeIndex }) => nodeIndex);
  return new Map([...own, ...others].map((node, place) => [node, place]));
}

const sliceNodes = (
  site: Site,
  agent: string,
  machines: readonly Machine[],
  placeOf: ReadonlyMap<number, number>,
): PlantNode[] =>
  slicesOf(site, agent).flatMap(({ nodeIndex, owner, capW }) => {
    const node = site.nodes[nodeIndex];
    const place = placeOf.get(nodeIndex);
    if (node === undefined || place === undefined) return [];
    return {
      id: node.id,
      rating: node,
      learntW: undefined,
      machines: machines.filter((machine) => machine.path.includes(place)),
      meter: undefined,
      guard: makeGuard(capW, node.trip),
      short: false,
      slice: { owner, capW, heldW: undefined, raiseW: Infinity, holdW: Infinity },
    };
  });

function auxiliariesOf(
  site: Site,
  own: readonly SiteNode[],
  placeOf: ReadonlyMap<number, number>,
): Plant['auxiliaries'] {
  const drawers = drawersOf(
    own.map(({ path, auxiliary }) => ({ path: path.flatMap((node) => placeOf.get(node) ?? []), auxiliary })),
  );
  const declared = site.nodes.map(({ shares }) => shares);
  return { drawers, heat: makeHeat(drawers), shares: drawerShares(site, drawers, own, declared, placeOf) };
}

/** Of each drawer's shares those at the nodes of `Plant`, as `Drawer.above`. */
const drawerShares = (
  site: Site,
  drawers: readonly Drawer[],
  own: readonly SiteNode[],
  shares: readonly (readonly number[])[],
  placeOf: ReadonlyMap<number, number>,
): DrawerShares => drawers.map(({ node }) => ownShares(site, shares, own[node]?.index ?? -1, placeOf));

/** Places of the nodes of `Plant` along a node's path, and its shares there: the same arrays for all machines of a rack. */
function alongTree(
  site: Site,
  placeOf: ReadonlyMap<number, number>,
  shares: readonly (readonly number[])[] = site.nodes.map((node) => node.shares),
): (nodeIndex: number) => Pick<Machine, 'path' | 'shares'> {
  const known = new Map<number, Pick<Machine, 'path' | 'shares'>>();
  return (nodeIndex) => {
    let along = known.get(nodeIndex);
    if (along === undefined) {
      const path = (site.nodes[nodeIndex]?.path ?? []).flatMap((node) => placeOf.get(node) ?? []);
      along = { path, shares: ownShares(site, shares, nodeIndex, placeOf) };
      known.set(nodeIndex, along);
    }
    return along;
  };
}

/** Of the shares along a node's path those at the nodes of `Plant`, as `Machine.path`. */
const ownShares = (
  site: Site,
  shares: readonly (readonly number[])[],
  nodeIndex: number,
  placeOf: ReadonlyMap<number, number>,
): readonly number[] =>
  (site.nodes[nodeIndex]?.path ?? []).flatMap((node, place) =>
    placeOf.has(node) ? [shares[nodeIndex]?.[place] ?? 1] : [],
  );

/** Feeds lost or back, of what hangs on two: what it draws flows through the other one from then on. */
export function noteFeeds(site: Site, plant: Plant, nowMs: number): void {
  if (!site.nodes.some(({ feeds }) => feeds.length > 1)) return;
  const agent = plant.machines[0]?.config.agent ?? '';
  const own = site.nodes.filter((node) => node.agent === agent);
  const nodeOf = new Map(own.map(({ index }, place) => [index, plant.nodes[place]]));
  const lost = lostFeeds(
    site.nodes,
    (index) => {
      const node = nodeOf.get(index);
      return node === undefined ? undefined : meterW(node, nowMs);
    },
    (index) => (nodeOf.get(index)?.machines ?? []).reduce((sum, { powerW }) => sum + (powerW ?? 0), 0),
  );
  if (lost.size === plant.lostFeeds.size && [...lost].every((node) => plant.lostFeeds.has(node))) return;
  plant.lostFeeds = lost;
  const shares = flowShares(site.nodes, lost);
  const placeOf = placesOf(site, agent);
  const along = alongTree(site, placeOf, shares);
  for (const machine of plant.machines) machine.shares = along(machine.config.nodeIndex).shares;
  plant.auxiliaries.shares = drawerShares(site, plant.auxiliaries.drawers, own, shares, placeOf);
}

/**
 * What the machines below each node draw through it by their own word, W; the last one while they are silent.
 * `unheardW`: of who was never heard.
 */
const flowByNode = (plant: Part, unheardW: (machine: Machine) => number): Float64Array =>
  sumByNode(plant, (machine) =>
    isOff(machine) ? 0 : (machine.powerW ?? machine.lastPowerW ?? unheardW(machine)),
  );

type Part = Pick<Plant, 'machines' | 'nodes'>;

/** Of a draw that each machine has, what flows through each node, W. */
function sumByNode({ machines, nodes }: Part, wattsOf: (machine: Machine) => number): Float64Array {
  const flowW = new Float64Array(nodes.length);
  for (const machine of machines) {
    const watts = wattsOf(machine);
    const { path, shares } = machine;
    for (let place = 0; place < path.length; place += 1) {
      const node = path[place] ?? -1;
      flowW[node] = (flowW[node] ?? 0) + watts * (shares[place] ?? 1);
    }
  }
  return flowW;
}

const ratedW = ({ config }: Machine): number => config.model.ratedW;

/** Time has passed: what draws beside the machines follows them. */
export function noteHeat(plant: Plant, nowMs: number): void {
  const { drawers, heat } = plant.auxiliaries;
  if (drawers.length === 0) return;
  followHeat(
    heat,
    drawers,
    flowByNode(plant, () => 0),
    nowMs,
  );
}

/**
 * What a node draws beside its machines by declaration, W. Where a meter tells, that which has followed the machines;
 * where none does, also that which still will.
 */
export function auxiliaryOf(plant: Plant, node: number, isMetered: boolean): number {
  const { drawers, heat, shares } = plant.auxiliaries;
  if (drawers.length === 0) return 0;
  const flowW = isMetered ? undefined : flowByNode(plant, ratedW);
  return drawers.reduce((sum, drawer, place) => {
    const step = drawer.above.indexOf(node);
    if (step < 0) return sum;
    const share = shares[place]?.[step] ?? 1;
    const itW = Math.max(heat.itW[place] ?? 0, flowW?.[drawer.node] ?? 0);
    return sum + (drawer.fixedW + drawer.perItW * itW) * share;
  }, 0);
}

/**
 * What is drawn beside some of the agent's machines where no meter tells, W: what follows them, and their share by
 * plates of what is always there and of what lags behind.
 */
export function auxiliaryBeside(plant: Plant, machines: readonly Machine[]): number {
  const { drawers, heat } = plant.auxiliaries;
  if (drawers.length === 0) return 0;
  const part = { machines, nodes: plant.nodes };
  const flowW = flowByNode(part, ratedW);
  const plateW = sumByNode(part, ratedW);
  const allPlateW = sumByNode(plant, ratedW);
  const ofAll = sumRated(machines) / sumRated(plant.machines);
  return drawers.reduce((sum, { node, fixedW, perItW }, place) => {
    const belowW = allPlateW[node] ?? 0;
    // What has none of the agent's machines below it follows no one in particular.
    const share = belowW > 0 ? (plateW[node] ?? 0) / belowW : ofAll;
    return sum + share * fixedW + perItW * Math.max(share * (heat.itW[place] ?? 0), flowW[node] ?? 0);
  }, 0);
}

const sumRated = (machines: readonly Machine[]): number =>
  machines.reduce((sum, machine) => sum + ratedW(machine), 0);

/** Opens a device; one that cannot be opened answers every question with the reason. */
export function tryOpen(open: (target: string) => Device, target: string): Device {
  try {
    return open(target);
  } catch (error) {
    const fault =
      error instanceof Fault
        ? error
        : new Fault('TARGET_INVALID', error instanceof Error ? error.message : String(error));
    const refuse = (): Promise<never> => Promise.reject(fault);
    return { driver: 'none', identify: refuse, read: refuse, verbs: {}, close: () => undefined };
  }
}

/** Takes a meter's sample in; true when it is a good one. */
export function takeSample(
  meter: Meter,
  readings: Readings,
  scope: 'fast' | 'full',
  beganMs: number,
): boolean {
  meter.isWhole ||= scope === 'full';
  meter.readings = { ...meter.readings, ...readings };
  const power = readings['power.active.total'];
  meter.powerW = numberOf(power);
  meter.flow = flowOf(readings);
  if (meter.powerW === undefined || power?.ok !== true || power.quality !== 'good') return false;
  // A value worked out now from samples of then is as old as the oldest of them.
  meter.goodMs = Math.min(beganMs, ...meter.parts().map(({ goodMs }) => goodMs));
  meter.goodW = meter.powerW;
  return true;
}

/** The cap to plan with, W: the first of its limits in kW, kVA and A that will be full; of a slice what binds raises. */
export const nodeCapW = ({ slice, rating, learntW }: PlantNode): number =>
  slice?.raiseW ?? planCapW(rating, learntW);

/** What is drawn below a node by the machines' own word, with all that follows them, W; at their ratings before it. */
export const drawnW = (plant: Plant, place: number): number =>
  (flowByNode(plant, ratedW)[place] ?? 0) + auxiliaryOf(plant, place, false);

/** What a node's meter says, W, when it is good and fresh; undefined otherwise. */
export function meterW({ meter }: Pick<PlantNode, 'meter'>, nowMs: number): number | undefined {
  if (meter === undefined || nowMs - meter.goodMs > GUARD_MAX_AGE_MS) return undefined;
  return meter.goodW;
}
