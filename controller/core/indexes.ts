import type { SiteState } from './state.ts';

type Indexes = {
  readonly nodes: ReadonlyMap<string, number>;
  readonly machines: ReadonlyMap<string, number>;
  readonly meters: ReadonlyMap<string, number>;
};
const indexes = new WeakMap<SiteState, Indexes>();

/** Ids to places, made once per state. */
export function indexesOf(state: SiteState): Indexes {
  let found = indexes.get(state);
  if (found === undefined) {
    found = {
      nodes: new Map(state.site.nodes.map((node) => [node.id, node.index])),
      machines: new Map(state.site.machines.map((machine) => [machine.id, machine.index])),
      meters: new Map(state.site.meters.map((meter) => [meter.id, meter.index])),
    };
    indexes.set(state, found);
  }
  return found;
}
