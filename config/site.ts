import { Fault } from '../protocols/faults.ts';
import { flowShares, pathOf } from '../protocols/feeds.ts';
import type { FedNode } from '../protocols/feeds.ts';
import { giveCredentials } from './credentials.ts';
import { thereIsNo } from './nearest.ts';
import { resolveOutlets } from './outlets.ts';
import type { SiteOutlet } from './outlets.ts';
import { plantProblems } from './plant.ts';
import { sliceProblems } from './slices.ts';
import type { MeterConfig } from './schema/meter.ts';
import type { Model } from './schema/model.ts';
import type { NodeConfig } from './schema/node.ts';
import { virtualProblems } from './virtual.ts';
import type { Authority, SiteConfig } from './schema/site.ts';

/** A node with its place in the tree; `index` is its place in `Site.nodes`, parents before children. */
export interface SiteNode extends Omit<NodeConfig, 'feeds'>, FedNode {
  /** -1 for the root; of two feeds the first. */
  readonly parentIndex: number;
  /** As `path`: the share of its draw that flows there while nothing is lost. */
  readonly shares: readonly number[];
  readonly agent: string;
}

export interface SiteMachine {
  readonly index: number;
  readonly id: string;
  readonly rack: string;
  readonly nodeIndex: number;
  readonly agent: string;
  readonly model: Model;
  readonly target: string;
  readonly periodMs: number;
  readonly authority: Authority;
  /** Least times at work and at rest, s. */
  readonly minOnS: number;
  readonly minOffS: number;
  /** Starts in any 24 h. */
  readonly maxCyclesPerDay: number;
}

export interface SiteMeter extends MeterConfig {
  readonly index: number;
  readonly nodeIndex: number;
  readonly agent: string;
}

/** The site as every part works with it: flat lists with indexes, every reference resolved. */
export interface Site {
  readonly id: string;
  readonly config: SiteConfig;
  readonly nodes: readonly SiteNode[];
  readonly machines: readonly SiteMachine[];
  readonly meters: readonly SiteMeter[];
  readonly agents: readonly string[];
  readonly outlets: readonly SiteOutlet[];
  /** Racks that hold machines, in order. */
  readonly racks: readonly {
    readonly id: string;
    readonly agent: string;
    readonly machines: readonly number[];
  }[];
}

/** What is wrong with a site file, and where: `path` leads to the entry. */
export interface SiteProblem {
  readonly path: readonly (string | number)[];
  readonly message: string;
}

export class SiteInvalid extends Fault {
  readonly problems: readonly SiteProblem[];
  constructor(problems: readonly SiteProblem[]) {
    super(
      'CONFIG_INVALID',
      problems.map((problem) => `${problem.path.join('.')}: ${problem.message}`).join('; '),
    );
    this.problems = problems;
  }
}

/** Resolves a valid site file; throws SiteInvalid with every broken reference. */
export function resolveSite(config: SiteConfig, models: ReadonlyMap<string, Model>): Site {
  const problems: SiteProblem[] = [];
  const nodes = resolveNodes(config, problems);
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const machines = giveCredentials(
    config.credentials,
    resolveMachines(config, models, byId, problems),
    nodes,
    problems,
  );
  const meters = config.meters.flatMap((meter, index): SiteMeter[] => {
    const node = byId.get(meter.node);
    if (node === undefined) {
      problems.push({ path: ['meters', index, 'node'], message: `there is no node '${meter.node}'` });
      return [];
    }
    return [{ ...meter, index, nodeIndex: node.index, agent: node.agent }];
  });
  findDuplicates(config.meters, 'meters', problems);
  problems.push(...virtualProblems(meters, nodes));
  if (config.lease.failSafe === 'shed-to-firm-cap' && config.lease.firmCapKw === undefined)
    problems.push({
      path: ['lease', 'firmCapKw'],
      message: 'the fail-safe shed-to-firm-cap needs firmCapKw',
    });
  if (config.utility?.onLoss === 'firm-cap' && config.utility.firmCapKw === undefined)
    problems.push({ path: ['utility', 'firmCapKw'], message: 'onLoss: firm-cap needs firmCapKw' });
  const agents = config.agents?.map((agent) => agent.id) ?? ['a1'];
  problems.push(...plantProblems({ config, nodes, machines }, byId, agents));
  problems.push(...sliceProblems({ config, nodes, machines }, agents));
  const outlets = resolveOutlets({ config, nodes, machines }, problems);
  if (problems.length > 0) throw new SiteInvalid(problems);
  const rackIds = [...new Set(machines.map((machine) => machine.rack))];
  return {
    id: config.site,
    config,
    nodes,
    machines,
    meters,
    agents,
    outlets,
    racks: rackIds.map((id) => ({
      id,
      agent: byId.get(id)?.agent ?? 'a1',
      machines: machines.filter((machine) => machine.rack === id).map((machine) => machine.index),
    })),
  };
}

function findDuplicates(list: readonly { id: string }[], where: string, problems: SiteProblem[]): void {
  const seen = new Set<string>();
  for (const [index, item] of list.entries()) {
    if (seen.has(item.id))
      problems.push({ path: [where, index, 'id'], message: `'${item.id}' stands twice` });
    seen.add(item.id);
  }
}

/** What a node hangs on: its parent, its two feeds, or nothing. */
const aboveOf = (node: NodeConfig): readonly string[] =>
  node.feeds ?? (node.parent === undefined ? [] : [node.parent]);

/** Parents before children, each with its path to the root and its agent. */
function resolveNodes(config: SiteConfig, problems: SiteProblem[]): SiteNode[] {
  findDuplicates(config.nodes, 'nodes', problems);
  const known = new Set(config.nodes.map((node) => node.id));
  for (const [index, node] of config.nodes.entries())
    for (const [place, above] of aboveOf(node).entries())
      if (!known.has(above))
        problems.push({ path: pathTo(index, node, place), message: `there is no node '${above}'` });
  const roots = config.nodes.filter((node) => aboveOf(node).length === 0);
  if (roots.length !== 1)
    problems.push({
      path: ['nodes'],
      message: `one node must have no parent (the site), not ${roots.length}`,
    });
  const nodes = placeNodes(config, roots, problems);
  const reached = new Set(nodes.map((node) => node.id));
  for (const [index, node] of config.nodes.entries())
    if (roots.length === 1 && !reached.has(node.id) && aboveOf(node).every((above) => known.has(above)))
      problems.push({ path: pathTo(index, node, 0), message: `'${node.id}' is not connected to the site` });
  const shares = flowShares(nodes, new Set());
  return nodes.map((node, place) => ({ ...node, shares: shares[place] ?? [] }));
}

const pathTo = (index: number, node: NodeConfig, place: number): (string | number)[] =>
  node.feeds === undefined ? ['nodes', index, 'parent'] : ['nodes', index, 'feeds', place];

/** Level by level: a node comes when all that it hangs on has come. */
function placeNodes(
  config: SiteConfig,
  roots: readonly NodeConfig[],
  problems: SiteProblem[],
): Omit<SiteNode, 'shares'>[] {
  const owner = ownersOf(config, problems);
  const firstAgent = config.agents?.[0]?.id ?? 'a1';
  const below = new Map<string, NodeConfig[]>();
  for (const node of config.nodes)
    for (const above of aboveOf(node)) {
      const siblings = below.get(above);
      if (siblings === undefined) below.set(above, [node]);
      else siblings.push(node);
    }
  const nodes: Omit<SiteNode, 'shares'>[] = [];
  const placed = new Map<string, Omit<SiteNode, 'shares'>>();
  // An id that stands twice may name itself as its parent: each entry is placed once.
  const placedOnce = new Set<NodeConfig>();
  let level = roots;
  while (level.length > 0) {
    const next: NodeConfig[] = [];
    for (const node of level) {
      const index = nodes.length;
      const above = aboveOf(node).flatMap((id) => placed.get(id) ?? []);
      const shares = above.length === 2 ? [node.feedShare ?? 0.5, 1 - (node.feedShare ?? 0.5)] : [1];
      const one = {
        ...node,
        index,
        parentIndex: above[0]?.index ?? -1,
        feeds: above.map((each, place) => ({ node: each.index, share: shares[place] ?? 0 })),
        path: pathOf(index, above),
        agent: owner.get(node.id) ?? above[0]?.agent ?? firstAgent,
      };
      if (above.some(({ agent }) => agent !== above[0]?.agent))
        problems.push({
          path: ['nodes', config.nodes.indexOf(node), 'feeds'],
          message: `both feeds of '${node.id}' must belong to one agent: it guards them together`,
        });
      nodes.push(one);
      placed.set(node.id, one);
      for (const child of below.get(node.id) ?? []) {
        if (placedOnce.has(child) || !aboveOf(child).every((id) => placed.has(id))) continue;
        placedOnce.add(child);
        next.push(child);
      }
    }
    level = next;
  }
  return nodes;
}

/** Agents by the nodes they are given. */
function ownersOf(config: SiteConfig, problems: SiteProblem[]): ReadonlyMap<string, string> {
  const known = new Set(config.nodes.map((node) => node.id));
  for (const [index, agent] of (config.agents ?? []).entries())
    for (const [place, node] of agent.nodes.entries())
      if (!known.has(node))
        problems.push({ path: ['agents', index, 'nodes', place], message: `there is no node '${node}'` });
  return new Map(config.agents?.flatMap((agent) => agent.nodes.map((node) => [node, agent.id] as const)));
}

function resolveMachines(
  config: SiteConfig,
  models: ReadonlyMap<string, Model>,
  nodes: ReadonlyMap<string, SiteNode>,
  problems: SiteProblem[],
): SiteMachine[] {
  const machines: SiteMachine[] = [];
  const counts = new Map<string, number>();
  for (const [index, group] of config.machines.entries()) {
    const node = nodes.get(group.rack);
    const model = models.get(group.model);
    if (node === undefined)
      problems.push({ path: ['machines', index, 'rack'], message: `there is no node '${group.rack}'` });
    else if (node.kind !== 'rack')
      problems.push({
        path: ['machines', index, 'rack'],
        message: `'${group.rack}' is a ${node.kind}, not a rack`,
      });
    if (model === undefined)
      problems.push({
        path: ['machines', index, 'model'],
        message: thereIsNo('model', group.model, models.keys()),
      });
    if (node === undefined || model === undefined) continue;
    const first = group.first ?? 1;
    const targets =
      group.hosts?.map((host) => group.target.replaceAll('{host}', host)) ??
      Array.from({ length: group.count ?? 0 }, (_, n) => group.target.replaceAll('{n}', String(first + n)));
    for (const target of targets) {
      const number = (counts.get(group.rack) ?? 0) + 1;
      counts.set(group.rack, number);
      machines.push({
        index: machines.length,
        id: `${group.rack}-${String(number).padStart(2, '0')}`,
        rack: group.rack,
        nodeIndex: node.index,
        agent: node.agent,
        model,
        target,
        periodMs: group.periodMs,
        authority: group.authority ?? config.authority,
        minOnS: config.control.minOnS ?? model.minOnS,
        minOffS: config.control.minOffS ?? model.minOffS,
        maxCyclesPerDay: group.maxCyclesPerDay ?? config.control.maxCyclesPerDay,
      });
    }
  }
  return machines;
}
