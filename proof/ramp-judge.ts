import type { Site } from '../config/site.ts';
import type { Mode } from '../protocols/reading.ts';
import type { Truth } from '../simulator/world.ts';
import { drawnW } from './draws.ts';
import { Excuse } from './excuse.ts';
import type { Invariant } from './invariants.ts';

/** Ramps are judged by means over this long. */
const WINDOW_MS = 10_000;
const RAMP_SHARE = 0.05;
/** A machine whose mean changes by less than this share of its rating has not moved. */
const STILL_SHARE = 0.01;
/** From power to the first sign of life of what is behind a contactor, at most, ms. */
const POWERED_MS = 60_000;
/** A node so near its cap may be shed by its guard, and by whoever sees the same. */
const AT_CAP = 0.99;

type Violate = (invariant: Invariant, atMs: number, text: string) => void;

/** Why the machines of a look are where they are, one entry per machine. */
export interface Asked {
  /** What each was last asked for; undefined: by nobody, or what it does it does by itself. */
  readonly modes: readonly (Mode | undefined)[];
  /** Whether it may leave its work without regard to any ramp: it died, it is locked out. */
  readonly falls: (machine: number) => boolean;
}

/**
 * Watches how fast the load moves for which the product is answerable: what is told to work rises, and what is told to
 * rest falls, no faster than the site's ramps, over 10 s means and beyond one machine. Who stands above the ramp in the
 * order of who decides, an emergency, a cap, a protection, a lockout, is known from what happens and never from what
 * the product says of its reasons.
 */
export class RampJudge {
  readonly #site: Site;
  readonly #violate: Violate;
  readonly #stake: (invariant: Invariant) => void;
  /** What a shed for a cap has brought down by then, ms. */
  readonly #settleMs: number;
  #window: { readonly startMs: number; count: number; readonly sums: Float64Array };
  #means: Float64Array | undefined;
  readonly #freed = new Set<string>();
  readonly #fallsFree = new Excuse();
  /** Machines that were given their power in one act, until they have come up: one quantum together. */
  readonly #together = new Map<number, { readonly machines: readonly number[]; readonly untilMs: number }>();

  constructor(site: Site, settleMs: number, violate: Violate, stake: (invariant: Invariant) => void) {
    this.#site = site;
    this.#settleMs = settleMs;
    this.#violate = violate;
    this.#stake = stake;
    this.#window = { startMs: 0, count: 0, sums: new Float64Array(site.machines.length) };
  }

  /** Something goes on for which load may fall as fast as it must: an emergency, a meter that guards must not trust. */
  frees(what: string, goesOn: boolean): void {
    if (goesOn) this.#freed.add(what);
    else this.#freed.delete(what);
  }

  /** The load of an agent's machines, or of all, may fall as fast as it must until then. */
  excuseFall(untilMs: number, agent?: string): void {
    this.#fallsFree.add(untilMs, agent);
  }

  /** One contactor gave all of these their power. */
  powered(machines: readonly number[], atMs: number): void {
    for (const machine of machines) {
      const wakeS = this.#site.machines[machine]?.model.wakeS ?? 0;
      this.#together.set(machine, { machines, untilMs: atMs + POWERED_MS + 2_000 * wakeS });
    }
  }

  look(truth: Truth, asked: Asked, atMs: number): void {
    const atCap = this.#site.nodes.some(
      (node) => (truth.nodeW[node.index] ?? 0) >= node.capKw * 1_000 * AT_CAP,
    );
    if (atCap || this.#freed.size > 0) this.excuseFall(atMs + this.#settleMs);
    const window = this.#window;
    for (const [machine, watts] of truth.machineW.entries())
      window.sums[machine] = (window.sums[machine] ?? 0) + watts;
    window.count += 1;
    if (atMs - window.startMs < WINDOW_MS) return;
    const means = window.sums.map((sum) => sum / window.count);
    const before = this.#means;
    this.#means = means;
    this.#window = { startMs: atMs, count: 0, sums: new Float64Array(means.length) };
    if (before === undefined) return;
    const { rampUpKwPerMin, rampDownKwPerMin } = this.#site.nodes[0] ?? {};
    this.#judge('rose', this.#rise(before, means, asked, atMs), rampUpKwPerMin, atMs);
    this.#judge('fell', this.#fall(before, means, asked, atMs), rampDownKwPerMin, atMs);
  }

  #judge(what: 'rose' | 'fell', moved: Moved, kwPerMin: number | undefined, atMs: number): void {
    if (kwPerMin === undefined) return;
    const mostW = ((kwPerMin * 1_000) / 60_000) * WINDOW_MS;
    if (moved.watts > mostW / 2) this.#stake('ramp');
    if (moved.watts <= mostW * (1 + RAMP_SHARE) + moved.quantumW) return;
    const text = `load ${what} ${Math.round(moved.watts / 1_000)} kW in 10 s; the ramp allows ${Math.round(mostW / 1_000)} kW`;
    this.#violate('ramp', atMs, text);
  }

  #rise(before: Float64Array, means: Float64Array, { modes }: Asked, atMs: number): Moved {
    const moved: Moved = { watts: 0, quantumW: 0 };
    for (const { index, model } of this.#site.machines) {
      const mode = modes[index];
      const changeW = (means[index] ?? 0) - (before[index] ?? 0);
      // What rises by itself was raised by nobody.
      const works = mode === 'mine' || mode === 'ai';
      moved.watts += works ? changeW : Math.min(0, changeW);
      if (works && changeW > model.ratedW * STILL_SHARE)
        moved.quantumW = Math.max(moved.quantumW, this.#stepW(index, mode, atMs));
    }
    return moved;
  }

  /** What rises with this machine at once, W. */
  #stepW(machine: number, mode: Mode, atMs: number): number {
    const together = this.#together.get(machine);
    const machines = together === undefined || atMs > together.untilMs ? [machine] : together.machines;
    return machines.reduce((watts, one) => {
      const model = this.#site.machines[one]?.model;
      return model === undefined ? watts : watts + drawnW(model, mode) - drawnW(model, 'idle');
    }, 0);
  }

  #fall(before: Float64Array, means: Float64Array, { modes, falls }: Asked, atMs: number): Moved {
    const moved: Moved = { watts: 0, quantumW: 0 };
    // A mean is made of what was before its window too.
    const sinceMs = atMs - 2 * WINDOW_MS;
    for (const { index, model, agent } of this.#site.machines) {
      const mode = modes[index];
      const wasW = before[index] ?? 0;
      const fellW = wasW - (means[index] ?? 0);
      if (fellW < 0) moved.watts += fellW;
      if (fellW <= 0 || mode === undefined || falls(index) || sinceMs < this.#fallsFree.until(agent))
        continue;
      // Below what it is told to draw it goes by itself: a hand-over passes through rest.
      const toldW = Math.min(fellW, Math.max(0, wasW - drawnW(model, mode)));
      moved.watts += toldW;
      if (toldW > model.ratedW * STILL_SHARE)
        moved.quantumW = Math.max(moved.quantumW, model.ratedW - drawnW(model, mode));
    }
    return moved;
  }
}

interface Moved {
  watts: number;
  /** The largest step of one machine among those that moved, W. */
  quantumW: number;
}
