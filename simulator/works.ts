/** What the PLCs of the simulated site see and switch: cooling circuits, breakers, relays. */
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
  /** Gives or takes a machine's supply. */
  readonly supply: (machine: number, on: boolean, nowMs: number) => void;
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
  /** False while open breakers leave the machine no way to the site. */
  supplied(machine: number): boolean;
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
  readonly #cooling: ReadonlyMap<string, Cooling>;
  readonly #plcs: readonly SimulatedPlc[];

  constructor(options: WorksOptions) {
    this.#options = options;
    const { site, address } = options;
    const { points, permissives, watchdogs } = site.config.plant;
    this.#cooling = new Map(permissives.map(({ node }) => [node, circuitOf(options, node)]));
    const targets = [...new Set([...points, ...watchdogs].map(({ target }) => target))];
    const made = targets.map((target) => ({ ...address(target), plc: this.#makePlc(target) }));
    this.#plcs = made.map(({ plc }) => plc);
    this.endpoints = made.map(({ host, port, plc }) => ({ host, port, kind: 'stream', device: plc }));
  }

  supplied(machine: number): boolean {
    const { site } = this.#options;
    if (this.#open.size === 0) return true;
    return !isCutOff(site.nodes, site.machines[machine]?.nodeIndex ?? -1, this.#open);
  }

  fail(part: string, failed: boolean, nowMs: number): void {
    if (part === 'plc') {
      for (const plc of this.#plcs) plc.silent = failed;
      return;
    }
    const { permissives, protections } = this.#options.site.config.plant;
    const permissive = permissives.find(({ id }) => id === part);
    const protection = protections.find(({ id }) => id === part);
    if (permissive === undefined && protection === undefined)
      throw new Fault('USAGE', `there is no permissive or protection '${part}' in this site`);
    if (failed) this.#failed.add(part);
    else this.#failed.delete(part);
    const circuit = this.#cooling.get(permissive?.node ?? '');
    if (circuit !== undefined && permissive?.about === 'pump') circuit.running = !failed;
    if (circuit !== undefined && permissive?.about === 'flow') circuit.blocked = failed;
    if (protection !== undefined && cuts(protection)) this.#switch(protection.node, failed, nowMs);
  }

  #makePlc(target: string): SimulatedPlc {
    const { site, address } = this.#options;
    const { points, watchdogs } = site.config.plant;
    return makePlc({
      unit: address(target).unit,
      inputs: points
        .filter((point) => point.target === target)
        .map((point) => ({
          area: point.kind,
          address: point.address,
          words: (nowMs) => wordsOf(point, this.#seen(point, nowMs)),
        })),
      onWrite: (area, place, _value, nowMs) => {
        const isWatchdog = watchdogs.some(
          (one) => one.target === target && one.kind === area && one.address === place,
        );
        if (isWatchdog) this.movedMs = nowMs;
      },
    });
  }

  /** What an input shows: the first thing that watches it says what it is wired to. */
  #seen(point: PlantPoint, nowMs: number): number {
    const { permissives, protections } = this.#options.site.config.plant;
    const switched = protections.find(({ input }) => input === point.id);
    if (switched !== undefined) return Number(this.#failed.has(switched.id) === switched.trippedWhen);
    const watched = permissives.find(({ input }) => input === point.id);
    const circuit = this.#cooling.get(watched?.node ?? '');
    return watched === undefined || circuit === undefined
      ? 0
      : sensed(watched, circuit, this.#failed.has(watched.id), nowMs);
  }

  #switch(node: string, isOpen: boolean, nowMs: number): void {
    const { site, supply } = this.#options;
    const before = site.machines.map(({ index }) => this.supplied(index));
    const place = site.nodes.findIndex(({ id }) => id === node);
    if (isOpen) this.#open.add(place);
    else this.#open.delete(place);
    for (const { index } of site.machines)
      if (this.supplied(index) !== before[index]) supply(index, this.supplied(index), nowMs);
  }
}

export const makeWorks = (options: WorksOptions): Works => new PlantWorks(options);

/** A circuit made for the whole load of its node. */
function circuitOf({ site, nodeW }: WorksOptions, node: string): Cooling {
  const place = site.nodes.find(({ id }) => id === node);
  if (place === undefined) return makeCooling(() => 0);
  return makeCooling((nowMs) => Math.max(0, nodeW(place.index, nowMs)) / (place.capKw * 1_000));
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
      about === 'pump' ? circuit.running : about === 'flow' ? circuit.flow(nowMs) > 0.5 : !isFailed;
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
