/** What flows through every node of the simulated site. */
import type { Site, SiteNode } from '../config/site.ts';
import { makeFollower } from './physics/auxiliary.ts';
import type { Follower } from './physics/auxiliary.ts';
import type { PlantMachine } from './plant.ts';
import type { Sky } from './sky.ts';
import type { Truth } from './world.ts';

/** Meters renew their registers every second: sums younger than this serve for the next question. */
const SUM_HOLD_MS = 200;
/** What a node loses between its inlet and what hangs on it. */
const LOSS = { site: 0.008, transformer: 0.008, feeder: 0.007, pdu: 0.003, rack: 0 } as const;
/** Installed generation, as a share of the root's cap. */
const SOLAR_SHARE = 0.07;

/** What hangs below a node, itself included: parents before their children. */
interface Subtree {
  readonly nodes: readonly number[];
  readonly has: ReadonlySet<number>;
  readonly machines: readonly number[];
}

/** Power of the nodes, each subtree worked out when it is asked for. */
export class Sums {
  readonly #site: Site;
  readonly #machines: readonly PlantMachine[];
  readonly #sky: Sky;
  readonly #machineW: Float64Array;
  readonly #nodeW: Float64Array;
  /** Of what flows through each node, that which machines draw; and what draws beside them, where something does. */
  readonly #itW: Float64Array;
  readonly #followers: readonly (Follower | undefined)[];
  /** Per node, when its power was last worked out. */
  readonly #atMs: Float64Array;
  readonly #subtrees: readonly Subtree[];
  /** Per node, how many generation meters it has. */
  readonly #generators: Uint8Array;
  readonly #plants: number;
  readonly #solarW: number;
  /** Nodes without voltage, and what flows where because of it. */
  #cut: ReadonlySet<number> = new Set();
  #shares: readonly (readonly number[])[];

  constructor(site: Site, machines: readonly PlantMachine[], sky: Sky) {
    this.#site = site;
    this.#machines = machines;
    this.#sky = sky;
    this.#machineW = new Float64Array(machines.length);
    this.#nodeW = new Float64Array(site.nodes.length);
    this.#itW = new Float64Array(site.nodes.length);
    this.#followers = site.nodes.map(
      ({ auxiliary, capKw }) => auxiliary && makeFollower(auxiliary, capKw * 1_000),
    );
    this.#atMs = new Float64Array(site.nodes.length).fill(Number.NEGATIVE_INFINITY);
    this.#subtrees = subtreesOf(site);
    this.#shares = site.nodes.map((node) => feedShares(node, this.#cut));
    const generation = site.meters.filter(({ role }) => role === 'generation');
    this.#generators = new Uint8Array(site.nodes.length);
    for (const { nodeIndex } of generation)
      this.#generators[nodeIndex] = (this.#generators[nodeIndex] ?? 0) + 1;
    this.#plants = generation.length;
    this.#solarW = (site.nodes[0]?.capKw ?? 0) * 1_000 * SOLAR_SHARE;
  }

  nodeW(nodeIndex: number, nowMs: number): number {
    if (nowMs - (this.#atMs[nodeIndex] ?? 0) >= SUM_HOLD_MS) this.#sum(nodeIndex, nowMs);
    return this.#nodeW[nodeIndex] ?? 0;
  }

  /** Of one generating plant, W, positive when it produces. */
  generationW(nowMs: number): number {
    return this.#solarW * this.#sky.sun(nowMs);
  }

  /** From now on breakers are open at these nodes: what hangs there and elsewhere draws all from elsewhere. */
  cut(open: ReadonlySet<number>): void {
    const dead = new Set<number>();
    for (const { index, feeds } of this.#site.nodes)
      if (open.has(index) || (feeds.length > 0 && feeds.every(({ node }) => dead.has(node)))) dead.add(index);
    this.#cut = dead;
    this.#shares = this.#site.nodes.map((node) => feedShares(node, dead));
  }

  forget(): void {
    this.#atMs.fill(Number.NEGATIVE_INFINITY);
  }

  truth(nowMs: number): Truth {
    this.#sum(0, nowMs);
    return {
      nodeW: listOf(this.#nodeW),
      auxiliaryW: this.#followers.map((follower) => follower?.powerW ?? 0),
      machineW: listOf(this.#machineW),
      modes: this.#machines.map((machine) => machine.mode(nowMs)),
      stateCalls: this.#machines.map((machine) => machine.stateCalls),
      doubleOwned: this.#machines.reduce((sum, machine) => sum + machine.doubleOwned, 0),
      generationW: this.#plants === 0 ? 0 : this.generationW(nowMs) * this.#plants,
    };
  }

  #sum(top: number, nowMs: number): void {
    const subtree = this.#subtrees[top];
    if (subtree === undefined) return;
    const { nodes } = this.#site;
    const nodeW = this.#nodeW;
    const itW = this.#itW;
    for (const index of subtree.nodes) {
      const generators = this.#generators[index] ?? 0;
      itW[index] = 0;
      nodeW[index] = generators === 0 ? 0 : -generators * this.generationW(nowMs);
      this.#atMs[index] = nowMs;
    }
    let loadW = 0;
    for (const index of subtree.machines) {
      const one = this.#machines[index];
      if (one === undefined) continue;
      const { nodeIndex } = one.machine;
      const drawW = one.powerW(nowMs);
      this.#machineW[index] = drawW;
      loadW += drawW;
      nodeW[nodeIndex] = (nodeW[nodeIndex] ?? 0) + drawW;
      itW[nodeIndex] = (itW[nodeIndex] ?? 0) + drawW;
    }
    for (let place = subtree.nodes.length - 1; place >= 0; place -= 1) {
      const index = subtree.nodes[place] ?? 0;
      const node = nodes[index];
      if (node === undefined) continue;
      const heatW = itW[index] ?? 0;
      const followingW = this.#followers[index]?.follow(heatW, nowMs, !this.#cut.has(index)) ?? 0;
      const throughW = (nodeW[index] ?? 0) + followingW;
      const coolingW = node.parentIndex < 0 ? loadW * this.#sky.coolingShare(nowMs) : 0;
      const inW = throughW + Math.abs(throughW) * LOSS[node.kind] + coolingW;
      nodeW[index] = inW;
      if (index === top) continue;
      const { feeds } = node;
      for (let at = 0; at < feeds.length; at += 1) {
        const feed = feeds[at]?.node ?? -1;
        if (!subtree.has.has(feed)) continue;
        const share = this.#shares[index]?.[at] ?? 0;
        nodeW[feed] = (nodeW[feed] ?? 0) + inW * share;
        itW[feed] = (itW[feed] ?? 0) + heatW * share;
      }
    }
  }
}

/** A copy as a plain array: to spread these asks for each value by itself, every second. */
function listOf(values: Float64Array): number[] {
  const list: number[] = [];
  for (let place = 0; place < values.length; place += 1) list.push(values[place] ?? 0);
  return list;
}

function subtreesOf(site: Site): readonly Subtree[] {
  const subtrees = site.nodes.map(() => ({ nodes: [] as number[], machines: [] as number[] }));
  for (const node of site.nodes) for (const above of node.path) subtrees[above]?.nodes.push(node.index);
  for (const { index, nodeIndex } of site.machines)
    for (const above of site.nodes[nodeIndex]?.path ?? []) subtrees[above]?.machines.push(index);
  return subtrees.map((subtree) => ({ ...subtree, has: new Set(subtree.nodes) }));
}

/** What each feed of a node carries of it: with one of two cut, the other one all. Written apart from the product. */
function feedShares({ feeds }: SiteNode, cut: ReadonlySet<number>): number[] {
  const live = feeds.filter(({ node }) => !cut.has(node));
  if (live.length === 1 && feeds.length === 2) return feeds.map(({ node }) => (cut.has(node) ? 0 : 1));
  return feeds.map(({ share }) => share);
}
