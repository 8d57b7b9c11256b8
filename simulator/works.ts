/** What the PLCs of the simulated site see and switch: cooling circuits, breakers, relays. */
import type { SiteOutlet } from '../config/outlets.ts';
import type { Permissive, PlantPoint, Protection } from '../config/schema/plant.ts';
import type { Site } from '../config/site.ts';
import { Fault } from '../protocols/faults.ts';
import { isCutOff } from '../protocols/feeds.ts';
import { encodeNumber } from '../protocols/modbus/registers.ts';
import type { SimulatedEndpoint } from './device.ts';
import { makePlc } from './devices/plc.ts';
import type { SimulatedPlc } from './devices/plc.ts';
import { makeCooling } from './physics/cooling.ts';
import type { Cooling } from './physics/cooling.ts';

export interface WorksOptions {
  readonly site: Site;
  /** W into a node, losses included. */
  readonly nodeW: (nodeIndex: number, nowMs: number) => number;
  readonly ambientC: (nowMs: number) => number;
  /** Gives or takes a machine's supply. */
  readonly supply: (machine: number, on: boolean, nowMs: number) => void;
  /** Where a breaker or an outlet is open, as indexes of nodes: what hangs there on two feeds draws from the other one. */
  readonly onSwitch: (cut: ReadonlySet<number>) => void;
  readonly address: (target: string) => {
    readonly host: string;
    readonly port: number;
    readonly unit: number;
  };
}

export interface Works {
  readonly endpoints: readonly SimulatedEndpoint[];
  /** What a permissive or protection watches breaks, or is whole again; `plc`: all PLCs fall silent. Throws USAGE. */
  fail(part: string, failed: boolean, nowMs: number): void;
  /** Opens or closes the breaker of a node beside which what hangs on it has another feed. Throws USAGE for any other. */
  feed(node: string, up: boolean, nowMs: number): void;
  /** False while open breakers and outlets leave the machine, or the node, no way to the site. */
  supplied(machine: number): boolean;
  live(nodeIndex: number): boolean;
  /** When the watchdog output of any agent last moved; undefined: never. */
  readonly movedMs: number | undefined;
}

class PlantWorks implements Works {
  readonly endpoints: readonly SimulatedEndpoint[];
  movedMs: number | undefined;
  readonly #options: WorksOptions;
  readonly #failed = new Set<string>();
  /** Nodes whose breaker is open, as indexes. */
  readonly #open = new Set<number>();
  /** Nodes where a breaker or an outlet is open. */
  #cut: ReadonlySet<number> = new Set();
  /** Per outlet its output, as last written: true is closed. All of them are at the start. */
  readonly #outputs: boolean[];
  /** Contactors that do not move any more, by outlet: true is welded shut. */
  readonly #stuck = new Map<string, boolean>();
  readonly #cooling: ReadonlyMap<string, Cooling>;
  readonly #plcs: readonly SimulatedPlc[];

  constructor(options: WorksOptions) {
    this.#options = options;
    const { site, address } = options;
    const { points, permissives, loops, watchdogs } = site.config.plant;
    this.#outputs = site.outlets.map(() => true);
    this.#cooling = new Map([...permissives, ...loops].map(({ node }) => [node, circuitOf(options, node)]));
    const targets = [
      ...new Set([...points, ...loops, ...watchdogs, ...site.outlets].map(({ target }) => target)),
    ];
    const made = targets.map((target) => ({ ...address(target), plc: this.#makePlc(target) }));
    this.#plcs = made.map(({ plc }) => plc);
    this.endpoints = made.map(({ host, port, plc }) => ({ host, port, kind: 'stream', device: plc }));
  }

  supplied(machine: number): boolean {
    return this.live(this.#options.site.machines[machine]?.nodeIndex ?? -1);
  }

  live(nodeIndex: number): boolean {
    return this.#cut.size === 0 || !isCutOff(this.#options.site.nodes, nodeIndex, this.#cut);
  }

  /** Where a contactor would be, its coil being fed from what it switches: without supply it drops out. */
  #isIn({ id, index, nodeIndex }: SiteOutlet): boolean {
    const isFed = !isCutOff(this.#options.site.nodes, nodeIndex, this.#open);
    return this.#stuck.get(id) ?? (isFed && this.#outputs[index] === true);
  }

  fail(part: string, failed: boolean, nowMs: number): void {
    if (part === 'plc') {
      for (const plc of this.#plcs) plc.silent = failed;
      return;
    }
    const { permissives, protections } = this.#options.site.config.plant;
    const outlet = this.#options.site.outlets.find(({ id }) => id === part);
    if (outlet !== undefined) {
      const isIn = this.#isIn(outlet);
      return this.#switch(nowMs, () =>
        failed ? void this.#stuck.set(part, isIn) : void this.#stuck.delete(part),
      );
    }
    const permissive = permissives.find(({ id }) => id === part);
    const protection = protections.find(({ id }) => id === part);
    if (permissive === undefined && protection === undefined)
      throw new Fault('USAGE', `there is no permissive, protection or outlet '${part}' in this site`);
    if (failed) this.#failed.add(part);
    else this.#failed.delete(part);
    const circuit = this.#cooling.get(permissive?.node ?? '');
    if (circuit !== undefined && permissive?.about === 'pump') circuit.running = !failed;
    if (circuit !== undefined && permissive?.about === 'flow') circuit.blocked = failed;
    if (protection === undefined || !cuts(protection)) return;
    const place = this.#options.site.nodes.findIndex(({ id }) => id === protection.node);
    this.#switch(nowMs, () => (failed ? void this.#open.add(place) : void this.#open.delete(place)));
  }

  feed(id: string, up: boolean, nowMs: number): void {
    const { nodes } = this.#options.site;
    const feed = nodes.find((node) => node.id === id);
    const alone = nodes.some(({ feeds }) => feeds.length === 1 && feeds[0]?.node === feed?.index);
    if (feed === undefined || alone) throw new Fault('USAGE', `'${id}' is no feed beside another one`);
    this.#switch(nowMs, () => (up ? void this.#open.delete(feed.index) : void this.#open.add(feed.index)));
  }

  #makePlc(target: string): SimulatedPlc {
    const { site, address } = this.#options;
    const { points, loops, watchdogs } = site.config.plant;
    const outlets = site.outlets.filter((outlet) => outlet.target === target);
    return makePlc({
      unit: address(target).unit,
      inputs: [
        ...outlets.map((outlet) => ({
          area: outlet.state.kind,
          address: outlet.state.address,
          words: () => [this.#outputs[outlet.index] === true ? outlet.state.on : outlet.state.off],
        })),
        ...points
          .filter((point) => point.target === target)
          .map((point) => ({
            area: point.kind,
            address: point.address,
            words: (nowMs: number) => wordsOf(point, this.#seen(point, nowMs)),
          })),
      ],
      onWrite: (area, place, value, nowMs) => {
        const outlet = outlets.find((one) => one.kind === area && one.address === place);
        if (outlet !== undefined)
          this.#switch(nowMs, () => (this.#outputs[outlet.index] = value === outlet.on));
        for (const { node, target: output, address: coil } of loops) {
          const circuit = this.#cooling.get(node);
          if (circuit !== undefined && output === target && area === 'coil' && coil === place)
            circuit.demanded = value !== 0;
        }
        const isWatchdog = watchdogs.some(
          (one) => one.target === target && one.kind === area && one.address === place,
        );
        if (isWatchdog) this.movedMs = nowMs;
      },
    });
  }

  /** What an input shows: the first thing that watches it says what it is wired to. */
  #seen(point: PlantPoint, nowMs: number): number {
    const { permissives, protections, loops } = this.#options.site.config.plant;
    const loop = loops.find(({ temperature }) => temperature === point.id);
    if (loop !== undefined) return this.#cooling.get(loop.node)?.waterC(nowMs) ?? 0;
    const switched = protections.find(({ input }) => input === point.id);
    if (switched !== undefined) return Number(this.#failed.has(switched.id) === switched.trippedWhen);
    const outlet = this.#options.site.outlets.find(({ input }) => input === point.id);
    if (outlet !== undefined) return Number(this.#isIn(outlet) === outlet.closedWhen);
    const watched = permissives.find(({ input }) => input === point.id);
    const circuit = this.#cooling.get(watched?.node ?? '');
    return watched === undefined || circuit === undefined
      ? 0
      : sensed(watched, circuit, this.#failed.has(watched.id), nowMs);
  }

  /** Carries a change of switches out, and gives or takes the supply of whom it concerns. */
  #switch(nowMs: number, change: () => void): void {
    const { site, supply, onSwitch } = this.#options;
    const before = site.machines.map(({ index }) => this.supplied(index));
    change();
    const apart = site.outlets.filter((outlet) => !this.#isIn(outlet));
    this.#cut = new Set([...this.#open, ...apart.map(({ nodeIndex }) => nodeIndex)]);
    onSwitch(this.#cut);
    for (const { index } of site.machines) {
      const is = this.supplied(index);
      if (is !== before[index]) supply(index, is, nowMs);
    }
  }
}

export const makeWorks = (options: WorksOptions): Works => new PlantWorks(options);

/** A circuit made for the whole load of its node. */
function circuitOf({ site, nodeW, ambientC }: WorksOptions, node: string): Cooling {
  const place = site.nodes.find(({ id }) => id === node);
  if (place === undefined) return makeCooling(() => 0);
  return makeCooling((nowMs) => Math.max(0, nodeW(place.index, nowMs)) / (place.capKw * 1_000), ambientC);
}

/** An under-frequency relay only says that load must go; the others are the switch, or open it. */
const cuts = ({ kind }: Protection): boolean => kind !== 'under-frequency';

function sensed(
  { about, is, min, max }: Permissive,
  circuit: Cooling,
  isFailed: boolean,
  nowMs: number,
): number {
  if (is !== undefined) {
    const good =
      about === 'pump'
        ? circuit.running && circuit.demanded
        : about === 'flow'
          ? circuit.flow(nowMs) > 0.5
          : !isFailed;
    return Number(good === is);
  }
  if (about === 'flow') return circuit.flow(nowMs) * 2 * (min ?? 1);
  if (about === 'temperature') return circuit.waterC(nowMs);
  const bound = min ?? max ?? 0;
  return isFailed === (min !== undefined) ? bound - 1 - Math.abs(bound) : bound + 1 + Math.abs(bound);
}

function wordsOf({ kind, type, wordOrder, scale, offset }: PlantPoint, value: number): number[] {
  if (kind === 'coil' || kind === 'discrete') return [value];
  const raw = (value - offset) / scale;
  return [...encodeNumber(type.startsWith('float') ? raw : Math.round(raw), type, wordOrder)];
}
