import type { Site, SiteMachine } from '../config/site.ts';
import { isVirtual } from '../protocols/metering/virtual.ts';
import { drawersOf, growthAlong } from '../protocols/auxiliary.ts';
import type { ConsoleView, MeterView } from '../protocols/console/view.ts';
import { Fault } from '../protocols/faults.ts';
import type { Wiring } from '../protocols/metering/topology.ts';

/** The site file's word on meters and paths. */
export function wiringOf(site: Site): Wiring {
  const meters = site.meters.filter(({ role, target }) => role === 'node' && !isVirtual(target));
  const drawers = drawersOf(site.nodes);
  const place = (machine: number, meter: number): { at: number; path: readonly number[]; node: number } => {
    const node = site.machines[machine]?.nodeIndex ?? -1;
    const path = site.nodes[node]?.path ?? [];
    return { at: path.indexOf(meters[meter]?.nodeIndex ?? -1), path, node };
  };
  return {
    meters: meters.map(({ id, nodeIndex }) => ({ id, isRoot: nodeIndex === 0 })),
    share: (machine, meter) => {
      const { at, node } = place(machine, meter);
      return at < 0 ? 0 : (site.nodes[node]?.shares[at] ?? 0);
    },
    growth: (machine, meter) => {
      const { at, path } = place(machine, meter);
      return growthAlong(drawers, path)[at] ?? 1;
    },
    nameOf: (machine) => site.machines[machine]?.id ?? '',
  };
}

/** The fewest node, rack and machine ids that name exactly these machines. */
export function coverOf(site: Site, machines: ReadonlySet<number>): string[] {
  const scope: string[] = [];
  const left = new Set(machines);
  for (const node of site.nodes) {
    const below = site.machines.filter(({ nodeIndex }) =>
      (site.nodes[nodeIndex]?.path ?? []).includes(node.index),
    );
    if (below.length < 2 || !below.every(({ index }) => machines.has(index))) continue;
    if (!below.some(({ index }) => left.has(index))) continue;
    scope.push(node.id);
    for (const { index } of below) left.delete(index);
  }
  return [...scope, ...[...left].map((index) => site.machines[index]?.id ?? '')];
}

export interface Plan {
  readonly rack: string;
  readonly machines: readonly number[];
  readonly left: readonly string[];
  readonly from: 'mine' | 'rest';
}

/** By how much a machine's draw changes between rest and work, by its model, W. */
export const changeW = ({ model }: SiteMachine): number =>
  model.kind === 'asic'
    ? (model.rungs.at(-1)?.powerW ?? model.ratedW) - model.sleepW
    : model.mineW - model.idleW;

/** Throws CONFIG_INVALID when the running product has another site file. */
export function checkSame(site: Site, view: ConsoleView, meters: readonly MeterView[]): void {
  const parents = (nodes: readonly { readonly id: string; readonly parent: string | null }[]): string =>
    nodes.map(({ id, parent }) => `${id}<${parent ?? ''}`).join(' ');
  const placed = (list: readonly { readonly id: string; readonly node: string }[]): string =>
    list.map(({ id, node }) => `${id}@${node}`).join(' ');
  const same =
    placed(meters) === placed(site.meters) &&
    view.site.id === site.id &&
    parents(view.nodes) ===
      parents(
        site.nodes.map(({ id, parentIndex }) => ({ id, parent: site.nodes[parentIndex]?.id ?? null })),
      ) &&
    view.machines.map(({ id, rack }) => `${id}@${rack}`).join(' ') ===
      site.machines.map(({ id, rack }) => `${id}@${rack}`).join(' ');
  if (!same)
    throw new Fault(
      'CONFIG_INVALID',
      'the running controller has another site file: name the one it was started with',
    );
}

/** Beyond so many periods without a sample a meter is not read, ms. */
const OLD_MS = 30_000;
export const unreadable = (meter: MeterView | undefined, nowMs: number): boolean =>
  meter === undefined || meter.powerW === null || meter.atMs === null || nowMs - meter.atMs > OLD_MS;

/** What a machine that this run may switch or hold does. GPU hosts are held by nobody: AI work comes before a proof. */
export function stateOf(view: ConsoleView, index: number): 'mine' | 'rest' | undefined {
  const { mode, wanted, kind } = view.machines[index] ?? {};
  if (kind !== 'asic' || mode !== wanted) return undefined;
  return mode === 'mine' ? 'mine' : mode === 'sleep' ? 'rest' : undefined;
}

/** Machines that automation commands and no person holds. */
export const freeMachines = (site: Site, view: ConsoleView): ReadonlySet<number> =>
  new Set(
    site.machines
      .filter(({ index, authority }) => {
        const { owner } = view.machines[index] ?? {};
        return authority === 'automatic' && owner !== 'manual' && owner !== 'lockout';
      })
      .map(({ index }) => index),
  );

/** Those of a rack that work are put to rest; where none does, those that rest are woken. */
export function planOf(site: Site, view: ConsoleView, rack: string, free: ReadonlySet<number>): Plan {
  const all = site.racks.find(({ id }) => id === rack)?.machines ?? [];
  const mining = all.filter(
    (index) =>
      free.has(index) && view.machines[index]?.mode === 'mine' && view.machines[index]?.wanted === 'mine',
  );
  const machines =
    mining.length > 0 ? mining : all.filter((index) => free.has(index) && stateOf(view, index) === 'rest');
  const left = all
    .filter((index) => !machines.includes(index))
    .map((index) => site.machines[index]?.id ?? '');
  return { rack, machines, left, from: mining.length > 0 ? 'mine' : 'rest' };
}
