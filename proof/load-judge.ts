import type { Site } from '../config/site.ts';
import type { Mode } from '../protocols/reading.ts';
import type { Truth } from '../simulator/world.ts';
import { drawnW } from './draws.ts';
import { Excuse } from './excuse.ts';
import type { Invariant } from './invariants.ts';

type Violate = (invariant: Invariant, atMs: number, text: string) => void;

/** Meters have their class, caps their rounding: an excess below this share is none. */
const TOLERANCE = 0.01;
/** Within this share of a cap, the cap invariant was really at stake. */
const NEAR_CAP = 0.97;
/** What an agent alone may take to see that its node is above the cap and to act (P5), ms. */
const GUARD_MS = 10_000;
/** A limit has its deadline; to find out who lies and take it elsewhere, the controller has its own time, ms. */
const LIMIT_MS = 60_000;
/** A limit asks for so much and no more: the site must not fall further than this below it. */
const OVERSHED_SHARE = 0.06;
/** What moved load before has come to its end by then, ms: shares of the site, dwell times, hand-overs. */
const QUIET_MS = 180_000;
/** Of what the agents that can be told draw, so much can be taken for others: some of it misbehaves. */
const MOVABLE_SHARE = 0.8;
/** What a limit brought about has come by then, ms after its deadline. */
const OVERSHED_MS = 60_000;

const sum = (watts: readonly number[] = []): number => watts.reduce((total, one) => total + one, 0);

/**
 * Watches what the site really draws: caps, the utility's limit, and that every start was admitted against
 * the draw that all starts before it will reach.
 */
export class LoadJudge {
  readonly #site: Site;
  readonly #violate: Violate;
  readonly #stake: (invariant: Invariant) => void;
  readonly #below: readonly (readonly number[])[];
  readonly #overSinceMs: Float64Array;
  /** What an agent alone takes to bring a node below its cap (P5), ms. */
  readonly capMs: number;
  /** The largest machine that is switched as a whole and often, W. */
  readonly #quantumW: number;
  /** Who cannot guard: it is dead, or its devices do not answer, or a meter lies. */
  readonly #unguarded = new Excuse();
  /** Breakers that are open. */
  readonly #open = new Set<string>();
  /** Who cannot be told anything. */
  readonly #deaf = new Excuse();
  /** The most that each machine has drawn so far, W: what it comes to when it works. */
  readonly #mostW: Float64Array;
  readonly #rising = new Map<number, { readonly untilMs: number; readonly targetW: number }>();
  /** The agent on which the utility's terminal hangs. */
  readonly #teller: string;
  #truth: Truth | undefined;
  #limitW: number | undefined;
  #limitFromMs = 0;
  #limitOverMs: number | undefined;
  /** The limit that is watched for taking too much; undefined when something else moves load too. */
  #only:
    | {
        readonly limitW: number;
        readonly beforeW: number;
        readonly auxiliaryW: number;
        readonly untilMs: number;
      }
    | undefined;

  constructor(site: Site, violate: Violate, stake: (invariant: Invariant) => void) {
    this.#site = site;
    this.#violate = violate;
    this.#stake = stake;
    this.#below = site.nodes.map((node) =>
      site.machines
        .filter((machine) => site.nodes[machine.nodeIndex]?.path.includes(node.index) === true)
        .map((machine) => machine.index),
    );
    this.#teller = site.config.utility?.agent ?? site.agents[0] ?? '';
    this.#overSinceMs = new Float64Array(site.nodes.length).fill(Number.NaN);
    const asics = site.machines.flatMap(({ model }) => (model.kind === 'asic' ? [model] : []));
    this.capMs = GUARD_MS + Math.max(0, ...asics.map((model) => model.sleepS)) * 1_500;
    this.#mostW = new Float64Array(site.machines.length);
    this.#quantumW = Math.max(0, ...asics.map((model) => model.ratedW));
  }

  look(truth: Truth, atMs: number): void {
    this.#truth = truth;
    for (const [machine, watts] of truth.machineW.entries())
      this.#mostW[machine] = Math.max(this.#mostW[machine] ?? 0, watts);
    this.#caps(truth, atMs);
    this.#watchLimit(truth, atMs);
    this.#watchOvershed(truth, atMs);
  }

  #caps(truth: Truth, atMs: number): void {
    for (const node of this.#site.nodes) {
      const watts = truth.nodeW[node.index] ?? 0;
      const capW = node.capKw * 1_000;
      if (watts >= capW * NEAR_CAP) this.#stake('cap');
      const since = this.#overSinceMs[node.index] ?? Number.NaN;
      const guardFromMs = this.#unguarded.until(node.agent);
      if (watts <= capW * (1 + TOLERANCE)) this.#overSinceMs[node.index] = Number.NaN;
      else if (Number.isNaN(since) || since < guardFromMs)
        this.#overSinceMs[node.index] = Math.max(atMs, guardFromMs);
      else if (atMs - since > this.capMs) {
        const text = `${node.id} at ${Math.round(watts / 1_000)} kW of ${node.capKw} kW for ${Math.round((atMs - since) / 1_000)} s`;
        this.#violate('cap', atMs, text);
        this.#overSinceMs[node.index] = atMs;
      }
    }
  }

  /** An agent, or all of them, cannot be held to guard its nodes before then. */
  excuseGuard(untilMs: number, agent?: string): void {
    this.#unguarded.add(untilMs, agent);
  }

  /** The utility set a limit: it must hold from its deadline on, as long as the product can know of it. */
  limit(limitW: number | undefined, atMs: number, deadlineMs: number): void {
    this.#limitW = limitW;
    this.#limitFromMs = deadlineMs;
    this.#limitOverMs = undefined;
    const beforeW = this.#truth?.nodeW[0] ?? 0;
    this.#only =
      limitW === undefined || atMs < this.#disturbedMs + QUIET_MS
        ? undefined
        : { limitW, beforeW, auxiliaryW: sum(this.#truth?.auxiliaryW), untilMs: deadlineMs + OVERSHED_MS };
  }

  #disturbedMs = 0;

  /** Something else than the limit moves load, up to then: how far the site falls says nothing about the limit. */
  disturbed(untilMs: number): void {
    this.#disturbedMs = Math.max(this.#disturbedMs, untilMs);
    this.#only = undefined;
  }

  /**
   * The product, or what one agent has of it, is cut off until then. It cannot be held to a limit of which it cannot
   * hear; to one that it knows, as far as the agents that it still reaches can make up for the others.
   */
  excuse(untilMs: number, agent?: string): void {
    this.#deaf.add(untilMs, agent);
  }

  /** Whether what can still be told anything is enough for the limit, by what it really draws. */
  #isFeasible(truth: Truth, limitW: number, atMs: number): boolean {
    const { agents, machines } = this.#site;
    if (agents.every((agent) => this.#deaf.until(agent) <= atMs)) return true;
    let movableW = 0;
    for (const { index, agent, model } of machines) {
      if (this.#deaf.until(agent) > atMs) continue;
      const rest = model.kind === 'asic' ? 'sleep' : 'idle';
      movableW += Math.max(0, (truth.machineW[index] ?? 0) - drawnW(model, rest));
    }
    return (truth.nodeW[0] ?? 0) - movableW * MOVABLE_SHARE <= limitW;
  }

  #watchLimit(truth: Truth, atMs: number): void {
    const watts = truth.nodeW[0] ?? 0;
    const fromMs = Math.max(this.#limitFromMs, this.#deaf.until(this.#teller));
    if (this.#limitW === undefined || atMs < fromMs) return;
    if (!this.#isFeasible(truth, this.#limitW, atMs)) {
      this.#limitOverMs = undefined;
      return;
    }
    this.#stake('limit');
    if (watts <= this.#limitW * (1 + 2 * TOLERANCE)) {
      this.#limitOverMs = undefined;
      return;
    }
    this.#limitOverMs ??= atMs;
    if (atMs - this.#limitOverMs <= LIMIT_MS) return;
    const overS = Math.round((atMs - this.#limitOverMs) / 1_000);
    const text = `${Math.round(watts / 1_000)} kW against a limit of ${Math.round(this.#limitW / 1_000)} kW for ${overS} s`;
    this.#violate('limit', atMs, text);
    this.#limitOverMs = atMs;
  }

  /** A limit takes what it asks for: not what unknown machines might draw, and nothing twice. */
  #watchOvershed({ nodeW, auxiliaryW }: Truth, atMs: number): void {
    const only = this.#only;
    if (only === undefined) return;
    if (atMs > only.untilMs) {
      this.#only = undefined;
      return;
    }
    this.#stake('overshed');
    const leastW = Math.min(only.beforeW, only.limitW) * (1 - OVERSHED_SHARE) - 2 * this.#quantumW;
    // What turns down after the machines does so later, and nobody may shed less because it will.
    const watts = (nodeW[0] ?? 0) + Math.max(0, only.auxiliaryW - sum(auxiliaryW));
    if (watts >= leastW) return;
    const text = `${Math.round(watts / 1_000)} kW under a limit of ${Math.round(only.limitW / 1_000)} kW: more was shed than it asks for`;
    this.#violate('overshed', atMs, text);
    this.#only = undefined;
  }

  /** A machine was started at this moment: with all that was started before it, its nodes must still fit. */
  started(
    machine: number,
    mode: Mode,
    unknown: ReadonlyMap<number, number>,
    obeys: (machine: number) => boolean,
    atMs: number,
  ): void {
    const site = this.#site.machines[machine];
    const truth = this.#truth;
    if (site === undefined || truth === undefined) return;
    const targetW = this.#comesToW(machine, mode);
    this.#rising.set(machine, { untilMs: atMs + site.model.wakeS * 2_000, targetW });
    for (const [one, { untilMs }] of this.#rising) if (untilMs < atMs) this.#rising.delete(one);
    for (const index of this.#site.nodes[site.nodeIndex]?.path ?? [])
      this.#committed(index, unknown, obeys, atMs);
  }

  /** An ASIC that has worked before comes to what it drew then, whatever its plate says. */
  #comesToW(machine: number, mode: Mode): number {
    const model = this.#site.machines[machine]?.model;
    if (model === undefined) return 0;
    const mostW = this.#mostW[machine] ?? 0;
    const hasWorked = model.kind === 'asic' && mode === 'mine' && mostW > model.ratedW / 2;
    return hasWorked ? mostW : drawnW(model, mode);
  }

  #committed(
    index: number,
    unknown: ReadonlyMap<number, number>,
    obeys: (machine: number) => boolean,
    atMs: number,
  ): void {
    const truth = this.#truth;
    const node = this.#site.nodes[index];
    if (truth === undefined || node === undefined) return;
    let watts = truth.nodeW[index] ?? 0;
    const drawsW = (one: number): number => {
      const rising = this.#rising.get(one);
      const nowW = truth.machineW[one] ?? 0;
      if (unknown.has(one)) return Math.max(nowW, this.#site.machines[one]?.model.ratedW ?? 0);
      // Who does not obey is not on its way anywhere, and the product cannot know before it has waited.
      return rising !== undefined && obeys(one) ? Math.max(nowW, rising.targetW) : nowW;
    };
    for (const one of this.#below[index] ?? []) watts += drawsW(one) - (truth.machineW[one] ?? 0);
    watts += this.#following(index, truth, drawsW) + this.#elsewhere(index, truth);
    const capW = node.capKw * 1_000;
    if (watts >= capW * NEAR_CAP) this.#stake('committed');
    if (watts <= capW * (1 + TOLERANCE) + this.#quantumW) return;
    const text = `${node.id} is committed to ${Math.round(watts / 1_000)} kW of ${node.capKw} kW by what was started`;
    this.#violate('committed', atMs, text);
  }

  /** Of machines with two feeds, what flows through the other one and comes here on the day on which that is lost, W. */
  #elsewhere(index: number, { machineW }: Truth): number {
    if (this.#open.size > 0) return 0;
    let watts = 0;
    for (const one of this.#below[index] ?? []) {
      const { path = [], shares = [] } = this.#site.nodes[this.#site.machines[one]?.nodeIndex ?? -1] ?? {};
      const share = shares[path.indexOf(index)] ?? 1;
      if (share < 1) watts += (machineW[one] ?? 0) * (1 - share);
    }
    return watts;
  }

  /** A breaker opens or closes: while one is open, its load may flow elsewhere already. */
  breaker(name: string, isOpen: boolean): void {
    if (isOpen) this.#open.add(name);
    else this.#open.delete(name);
  }

  /** What pumps and fans at a node and below it are still to follow when every machine draws `drawsW`, W. */
  #following(index: number, { auxiliaryW }: Truth, drawsW: (machine: number) => number): number {
    let watts = 0;
    for (const { index: below, path, auxiliary } of this.#site.nodes) {
      if (auxiliary === undefined || !path.includes(index)) continue;
      const itW = (this.#below[below] ?? []).reduce((sum, one) => sum + drawsW(one), 0);
      const reachedW = auxiliary.fixedKw * 1_000 + auxiliary.perItKw * itW;
      watts += Math.max(0, reachedW - (auxiliaryW[below] ?? 0));
    }
    return watts;
  }

  /** The agent was told to want less of a machine than it started it for: it is on its way up no further than that. */
  told(machine: number, mode: Mode): void {
    const rising = this.#rising.get(machine);
    if (rising === undefined) return;
    const targetW = this.#comesToW(machine, mode);
    if (targetW < rising.targetW) this.#rising.set(machine, { ...rising, targetW });
  }

  /** A machine was put to rest: it is on its way up no more. */
  rested(machine: number): void {
    this.#rising.delete(machine);
  }
}
