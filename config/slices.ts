import { planCapW } from '../protocols/loading.ts';
import { machinesBelow } from './below.ts';
import type { Tree } from './below.ts';
import type { Site, SiteProblem } from './site.ts';

/** What is wrong with declared slices: they are for all agents with machines below, and fit the cap together. */
export function sliceProblems(tree: Tree, agents: readonly string[]): SiteProblem[] {
  const problems: SiteProblem[] = [];
  for (const [place, { id, slices }] of tree.config.nodes.entries()) {
    const node = tree.nodes.find((one) => one.id === id);
    if (slices === undefined || node === undefined) continue;
    const at = (message: string, ...more: string[]): unknown =>
      problems.push({ path: ['nodes', place, 'slices', ...more], message });
    const below = new Set(machinesBelow(tree, node).map(({ agent }) => agent));
    for (const agent of Object.keys(slices))
      if (!agents.includes(agent)) at(`there is no agent '${agent}'`, agent);
      else if (!below.has(agent)) at(`'${agent}' has no machines below '${id}'`, agent);
    for (const agent of below)
      if (!Object.hasOwn(slices, agent)) at(`'${agent}' has machines below '${id}' and no slice`);
    const sumKw = Object.values(slices).reduce((sum, kw) => sum + kw, 0);
    // By all its limits: what is full first may be its kVA or A.
    const capKw = planCapW(node, undefined) / 1_000;
    if (sumKw > capKw)
      at(`the slices are ${sumKw} kW together, more than the ${Math.round(capKw * 10) / 10} kW of '${id}'`);
  }
  return problems;
}

/** Per node of the site the part that an agent's machines are of the ratings below it; 1 where there are none. */
export function plateShares({ nodes, machines }: Site, agent: string): readonly number[] {
  const ratedW = new Float64Array(nodes.length);
  const ownW = new Float64Array(nodes.length);
  for (const machine of machines)
    for (const node of nodes[machine.nodeIndex]?.path ?? []) {
      ratedW[node] = (ratedW[node] ?? 0) + machine.model.ratedW;
      if (machine.agent === agent) ownW[node] = (ownW[node] ?? 0) + machine.model.ratedW;
    }
  return nodes.map(({ index }) => ((ownW[index] ?? 0) > 0 ? (ownW[index] ?? 0) / (ratedW[index] ?? 1) : 1));
}

/** A part of the cap of a node that another agent guards. */
export interface SiteSlice {
  readonly nodeIndex: number;
  /** Who guards it. */
  readonly owner: string;
  readonly capW: number;
}

/** An agent's slices of the nodes above its machines that belong to others. */
export function slicesOf(site: Site, agent: string): readonly SiteSlice[] {
  const shares = plateShares(site, agent);
  const own = site.machines.filter((machine) => machine.agent === agent);
  const above = new Set(own.flatMap(({ nodeIndex }) => site.nodes[nodeIndex]?.path ?? []));
  return site.nodes
    .filter((node) => above.has(node.index) && node.agent !== agent)
    .map((node) => {
      const { slices, index } = node;
      const declaredKw = slices !== undefined && Object.hasOwn(slices, agent) ? slices[agent] : undefined;
      const byPlatesW = planCapW(node, undefined) * (shares[index] ?? 1);
      const capW = declaredKw === undefined ? byPlatesW : declaredKw * 1_000;
      return { nodeIndex: index, owner: node.agent, capW };
    });
}
