/** What stands in for the meters of an agent's nodes: from its plant, by `protocols/metering/stand-in.ts`. */
import type { Site } from '../config/site.ts';
import { GUARD_MAX_AGE_MS } from '../protocols/metering/age.ts';
import { DECLARED_SHARE, equationsOf, WORD_SHARE } from '../protocols/metering/balance.ts';
import type { Equation } from '../protocols/metering/balance.ts';
import { balanceOfSite } from '../protocols/metering/site-balance.ts';
import { standInW, sumBelow } from '../protocols/metering/stand-in.ts';
import type { OwnPart, Part, Sum } from '../protocols/metering/stand-in.ts';
import { sumOfMachines } from './core/guard.ts';
import { knownDrawW } from './machine.ts';
import type { Machine } from './machine.ts';
import { isOwn } from './metering.ts';
import { drawnW } from './plant.ts';
import type { Meter, Plant } from './plant.ts';

/** By places of `Plant.nodes`. */
export interface StandIns {
  /** What the meters below a node, and what is known between them, add up to; undefined: none of them tells now. */
  below(place: number, nowMs: number): Sum | undefined;
  /** What flows into a node at most by that, W. */
  belowW(place: number, nowMs: number): number | undefined;
  /** What sources at a node and below it feed in, W; undefined while one of them is not read. */
  fedW(place: number, nowMs: number): number | undefined;
}

export function makeStandIns(site: Site, agent: string, plant: Plant): StandIns {
  const { nodes, meters: judged } = balanceOfSite(site);
  const placeOf = new Map(plant.nodes.map(({ id }, place) => [id, place]));
  const equations = new Map(
    equationsOf(nodes, judged)
      .filter((one) => one.against === 'meters' && isOwn(site, agent, one))
      .map((one): [number, Equation] => [placeOf.get(site.meters[one.meter]?.node ?? '') ?? -1, one]),
  );
  const meters = judged.map((meter) => ({ ...meter, capW: nodes[meter.node]?.capW ?? 0 }));
  const byIndex = new Map(plant.meters.map((meter) => [meter.config.index, meter]));
  const sources = plant.nodes.map(({ id }) =>
    plant.meters.filter(
      ({ config: { role, nodeIndex } }) =>
        role === 'generation' && site.nodes[nodeIndex]?.path.some((above) => site.nodes[above]?.id === id),
    ),
  );

  const partOf = (index: number, nowMs: number): Part | undefined => {
    const meter = byIndex.get(index);
    const powerW = meter === undefined ? undefined : goodW(meter, nowMs);
    if (powerW !== undefined) return { powerW, errorShare: meters[index]?.errorShare ?? 0, isMetered: true };
    if (meter?.node === undefined) return undefined;
    // One more that is silent: what stands in for it, at most.
    const powerMostW = belowW(meter.node, nowMs) ?? byMachinesW(meter.node, nowMs);
    return powerMostW === undefined ? undefined : { powerW: powerMostW, errorShare: 0, isMetered: false };
  };
  const byMachinesW = (place: number, nowMs: number): number | undefined => {
    const guard = plant.nodes[place]?.guard;
    const sum = sumOfMachines(drawnW(plant, place), fedW(place, nowMs));
    return guard === undefined ? undefined : standInW(sum, guard.byMachines);
  };
  const machinesAt = Map.groupBy(plant.machines, ({ config }) => config.nodeIndex);
  const ownOf = (node: number, toldMs: number): OwnPart =>
    ownPart(machinesAt.get(node) ?? [], plant.auxiliaries, placeOf.get(site.nodes[node]?.id ?? ''), toldMs);
  const below: StandIns['below'] = (place, nowMs) => {
    const equation = equations.get(place);
    if (equation === undefined) return undefined;
    const toldMs = plant.nodes[place]?.meter?.goodMs ?? -Infinity;
    const sum = sumBelow(equation, {
      meters,
      partOf: (index) => partOf(index, nowMs),
      ownOf: (node) => ownOf(node, toldMs),
      isTransferred: plant.lostFeeds.size > 0,
    });
    return sum === undefined || sum.coverage === 0 ? undefined : sum;
  };
  const belowW: StandIns['belowW'] = (place, nowMs) => {
    const guard = plant.nodes[place]?.guard;
    const sum = below(place, nowMs);
    return guard === undefined || sum === undefined ? undefined : standInW(sum, guard.byMeters);
  };
  const fedW: StandIns['fedW'] = (place, nowMs) =>
    (sources[place] ?? []).reduce<number | undefined>((sum, meter) => {
      const powerW = goodW(meter, nowMs);
      return sum === undefined || powerW === undefined ? undefined : sum + powerW;
    }, 0);
  return { below, belowW, fedW };
}

const goodW = ({ goodMs, goodW: watts }: Meter, nowMs: number): number | undefined =>
  nowMs - goodMs > GUARD_MAX_AGE_MS ? undefined : watts;

/** What hangs on a node itself, which stands at `place` in `Plant.nodes`; `toldMs`: when a meter above it told last. */
function ownPart(
  machines: readonly Machine[],
  { drawers, heat }: Plant['auxiliaries'],
  place: number | undefined,
  toldMs: number,
): OwnPart {
  let [drawn, rated, errorW] = [0, 0, 0];
  let isKnown = true;
  for (const machine of machines) {
    const { ratedW } = machine.config.model;
    rated += ratedW;
    const knownW = knownDrawW(machine, toldMs);
    isKnown &&= knownW !== undefined && (machine.reachable || knownW === 0);
    const watts = knownW ?? machine.lastPowerW ?? ratedW;
    drawn += watts;
    errorW += WORD_SHARE * watts;
  }
  for (const [at, drawer] of drawers.entries()) {
    if (drawer.node !== place) continue;
    const watts = drawer.fixedW + drawer.perItW * (heat.itW[at] ?? 0);
    drawn += watts;
    rated += watts;
    errorW += DECLARED_SHARE * watts;
  }
  return { drawnW: drawn, ratedW: rated, errorShare: drawn > 0 ? errorW / drawn : 0, isKnown };
}
