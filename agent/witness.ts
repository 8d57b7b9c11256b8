import type { SiteOutlet } from '../config/outlets.ts';
import type { Site } from '../config/site.ts';
import { drawW, restMode } from './core/draw.ts';
import { drawnBehindW } from './core/staging.ts';
import type { Flowing } from './core/staging.ts';
import { isOff, reachingW } from './machine.ts';
import type { Machine } from './machine.ts';
import type { Outlet } from './outlet.ts';
import { auxiliaryOf, meterW } from './plant.ts';
import type { Plant } from './plant.ts';

/** The meters above outlets, as witnesses of what flows behind those that are read as open. */
export interface Witness {
  /** Looks at all meters; called before anything is asked. */
  look(outlets: readonly Outlet[], nowMs: number): void;
  /**
   * What flows behind one of the outlets that are read as open and answer nothing, or behind others of them at the same
   * node: by the nearest meter that can tell, 0 W for nothing; undefined when none can.
   */
  behind(outlet: SiteOutlet, nowMs: number): { readonly node: string; readonly watts: number } | undefined;
}

export function makeWitness({
  site,
  agent,
  plant,
}: {
  readonly site: Site;
  readonly agent: string;
  readonly plant: Plant;
}): Witness {
  const places = witnesses(site, agent, plant);
  const beside = new Map<number, Beside>();
  let suspects: ReadonlySet<Machine> = new Set();
  const flowing = new Map<number, Flowing | undefined>();
  const flowAt = (place: number, nowMs: number): Flowing | undefined => {
    if (!flowing.has(place))
      flowing.set(place, flowOf(plant, place, suspects, beside.get(place)?.watts, nowMs));
    return flowing.get(place);
  };
  return {
    look: (outlets, nowMs) => {
      suspects = new Set(outlets.flatMap((outlet) => (outlet.isSuspect ? outlet.machines : [])));
      flowing.clear();
      const open = new Set(
        outlets.flatMap(({ readOpenMs, machines }) => (readOpenMs === undefined ? [] : machines)),
      );
      for (const place of new Set([...places.values()].flat())) {
        const isQuiet = plant.nodes[place]?.machines.every(
          (machine) => !open.has(machine) && reachingW(machine, nowMs) === undefined,
        );
        const flow = isQuiet === true ? flowAt(place, nowMs) : undefined;
        if (flow !== undefined) beside.set(place, learn(beside.get(place), flow, nowMs));
      }
    },
    behind: ({ index, machines }, nowMs) => {
      const leastW = Math.min(...machines.map((machine) => site.machines[machine]?.model.ratedW ?? Infinity));
      for (const place of places.get(index) ?? []) {
        const flow = flowAt(place, nowMs);
        if (flow !== undefined)
          return { node: plant.nodes[place]?.id ?? '', watts: drawnBehindW(flow, leastW) };
      }
      return undefined;
    },
  };
}

/** What a meter shows beyond all that is known, W; undefined until it was seen for long enough. */
interface Beside {
  readonly watts: number | undefined;
  /** What will stand for it, if nothing happens for a while. */
  readonly nextW: number;
  readonly sinceMs: number;
}

/** A contactor that drops out is seen at the meter first: what it shows then is not what else there is. */
const SETTLED_MS = 10_000;

function learn(known: Beside | undefined, { meterW: shownW, knownW }: Flowing, nowMs: number): Beside {
  if (known !== undefined && nowMs - known.sinceMs < SETTLED_MS) return known;
  return { watts: known?.nextW, nextW: Math.max(0, shownW - knownW), sinceMs: nowMs };
}

/** Per outlet of the agent the metered nodes at and above it, nearest first, below which all machines are its own. */
function witnesses(site: Site, agent: string, plant: Plant): ReadonlyMap<number, readonly number[]> {
  const shared = new Set(
    site.machines.flatMap((machine) =>
      machine.agent === agent ? [] : (site.nodes[machine.nodeIndex]?.path ?? []),
    ),
  );
  const placeOf = new Map(
    plant.nodes.flatMap(({ id, meter }, place) => (meter === undefined ? [] : [[id, place] as const])),
  );
  const own = site.outlets.filter((outlet) => outlet.agent === agent);
  return new Map(
    own.map(({ index, nodeIndex }) => [
      index,
      (site.nodes[nodeIndex]?.path ?? [])
        .filter((node) => !shared.has(node))
        .flatMap((node) => placeOf.get(site.nodes[node]?.id ?? '') ?? []),
    ]),
  );
}

/** Undefined when the meter there is lost, or a machine that is behind none of those outlets cannot be seen. */
function flowOf(
  plant: Plant,
  place: number,
  suspects: ReadonlySet<Machine>,
  besideW: number | undefined,
  nowMs: number,
): Flowing | undefined {
  const node = plant.nodes[place];
  const shownW = node === undefined ? undefined : meterW(node, nowMs);
  if (node === undefined || shownW === undefined) return undefined;
  let knownW = auxiliaryOf(plant, place, true);
  let behindW = 0;
  for (const machine of node.machines) {
    const share = machine.shares[machine.path.indexOf(place)] ?? 1;
    if (suspects.has(machine)) {
      behindW += machine.config.model.ratedW * share;
      continue;
    }
    const drawn = mostW(machine, nowMs);
    if (drawn === undefined) return undefined;
    knownW += drawn * share;
  }
  return { meterW: shownW, knownW, besideW, behindW };
}

/** What a machine may draw at this moment; undefined when nobody knows. */
function mostW(machine: Machine, nowMs: number): number | undefined {
  if (isOff(machine)) return 0;
  const { model } = machine.config;
  const seenW = machine.powerW ?? (machine.mode === restMode(model) ? drawW(model, machine.mode) : undefined);
  return seenW === undefined ? undefined : Math.max(seenW, reachingW(machine, nowMs) ?? 0);
}
