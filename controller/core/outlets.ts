/** Of what gets its power through an open outlet all starts at once: it is decided together, or not at all. */
import type { Because } from '../../protocols/mqtt/desired.ts';
import type { Increment } from './allocate.ts';
import { isKnown, modeAt } from './state.ts';
import type { SiteState } from './state.ts';

export interface Grouped {
  /** What is decided: one for each outlet that may be closed, and whoever has its power. */
  readonly increments: readonly Increment[];
  /** As the choices: the place of what decides it; -1: its outlet stays open. */
  readonly places: readonly number[];
  /** By machine, why its outlet stays open. */
  readonly waits: ReadonlyMap<number, Because>;
}

/**
 * Puts together the choices of machines that are off behind the same open outlet. Who is not known there may have its
 * power already, and the agent's word about the outlet be old: the others neither start nor rest for that.
 */
export function groupByOutlet(state: SiteState, choices: readonly Increment[]): Grouped {
  const open = state.site.outlets.filter(({ id, agent }) =>
    state.agents.get(agent)?.openOutlets.includes(id),
  );
  if (open.length === 0) return { increments: choices, places: [...choices.keys()], waits: new Map() };
  const isDark = (machine: number): boolean => modeAt(state.mode[machine] ?? -1) === 'off';
  const outletOf = new Map(
    open.flatMap((outlet) => outlet.machines.filter(isDark).map((machine) => [machine, outlet] as const)),
  );
  const byMachine = new Map(choices.map((choice) => [choice.machine, choice]));
  const increments: Increment[] = [];
  const placeOf = new Map<string, number>();
  const waits = new Map<number, Because>();
  for (const { id, nodeIndex, machines } of open) {
    const dark = machines.filter(isDark);
    if (dark.length === 0) continue;
    const group = dark.flatMap((machine) => byMachine.get(machine) ?? []);
    const missing = dark.find((machine) => !byMachine.has(machine));
    const unknown = machines.find((machine) => !isKnown(state, machine));
    if (missing === undefined && (unknown === undefined || group.every(({ held }) => held))) {
      placeOf.set(id, increments.length);
      increments.push({
        ...together(group),
        path: state.site.nodes[nodeIndex]?.path ?? [],
        growth: state.auxiliaries.growth[nodeIndex] ?? [],
      });
      continue;
    }
    const [one, what] = missing === undefined ? [unknown, 'is not known'] : [missing, 'shall rest'];
    const text = `behind '${id}', which is open and starts all or none: ${state.site.machines[one ?? -1]?.id} ${what}`;
    for (const { machine } of group) waits.set(machine, { owner: 'protection', rule: 'outlet-open', text });
  }
  const places = choices.map((choice) => {
    const outlet = outletOf.get(choice.machine);
    return outlet === undefined ? increments.push(choice) - 1 : (placeOf.get(outlet.id) ?? -1);
  });
  return { increments, places, waits };
}

function together(group: readonly Increment[]): Omit<Increment, 'path' | 'growth'> {
  const sum = (of: (one: Increment) => number): number => group.reduce((total, one) => total + of(one), 0);
  return {
    machine: group[0]?.machine ?? 0,
    rung: 0,
    addW: sum(({ addW }) => addW),
    newW: sum(({ newW = 0 }) => newW),
    usdPerHour: sum(({ usdPerHour }) => usdPerHour),
    grossUsdPerHour: sum(({ usdPerHour, grossUsdPerHour = usdPerHour }) => grossUsdPerHour),
    held: group.every(({ held }) => held),
  };
}
