/** One window of a site's meters, with what is known of each of them: how equations come out, and which gain would mend them. */
import { balanceOf, excessOf, strainOf } from './balance.ts';
import type { Balance, BalanceMeter, BalanceNode, Equation, Own, Shown } from './balance.ts';
import { isDistrusted } from './finding.ts';
import type { MeterFinding } from './finding.ts';
import { ownOf } from './windows.ts';
import type { OwnCourse } from './windows.ts';

/** Of a reconciler's state what a window is looked at with. */
interface Sight {
  readonly nodes: readonly BalanceNode[];
  readonly meters: readonly BalanceMeter[];
  readonly owns: readonly OwnCourse[];
  readonly ownLagMs: number;
  readonly found: ReadonlyMap<number, MeterFinding>;
  /** A feed has no voltage: what hangs on two flows otherwise than declared. */
  readonly isTransferred: boolean;
}

/** After so many steps a gain stands; a smaller one is a meter that shows nothing. */
const ROUNDS = 4;
const LEAST_GAIN = 1e-3;

/** One that is used as it is may be right. */
const correctionOf = (finding: MeterFinding | undefined): number =>
  finding !== undefined && isDistrusted(finding) ? finding.gain : 1;

/** One window as every question sees it. */
export class Look {
  readonly #state: Sight;
  readonly #shown: readonly (Shown | undefined)[];
  readonly #owns: readonly (Own | undefined)[];
  readonly #windowMs: number;

  constructor(state: Sight, shown: readonly (Shown | undefined)[], windowMs: number) {
    this.#state = state;
    this.#shown = shown;
    this.#owns = state.owns.map(ownOf);
    this.#windowMs = windowMs;
  }

  /** By what meters show, but for those whose gain is known, and `meter` with `gain`. */
  balance(equation: Equation, meter?: number, gain = 1): Balance | undefined {
    const { meters, ownLagMs, found, isTransferred } = this.#state;
    if (isTransferred && isSplit(equation)) return undefined;
    const shownOf = (one: number): Shown | undefined => {
      const shown = this.#shown[one];
      const known = one === meter ? gain : correctionOf(found.get(one));
      return shown === undefined || known === 1
        ? shown
        : { meanW: shown.meanW / known, swingW: shown.swingW / Math.abs(known) };
    };
    return balanceOf(equation, meters, shownOf, (node) => this.#owns[node], this.#windowMs, ownLagMs);
  }

  shownW(meter: number): number {
    return this.#shown[meter]?.meanW ?? Number.NaN;
  }

  /**
   * The gain of a meter with which all equations it stands in hold, and what strain is left in `around`; undefined:
   * there is none, or none that its node could carry.
   */
  explain(meter: number, own: readonly Equation[], around: readonly Equation[]): Explained | undefined {
    const shownW = this.shownW(meter);
    let best: Explained | undefined;
    for (const equation of own) {
      const gain = this.#gainFor(equation, meter, shownW);
      if (gain === undefined || !this.#isPossible(meter, shownW / gain)) continue;
      const balances = own.flatMap((one) => this.balance(one, meter, gain) ?? []);
      if (balances.some((balance) => excessOf(balance) !== 0)) continue;
      const strain = around.reduce((sum, one) => {
        const balance = this.balance(one, meter, gain);
        return sum + (balance === undefined ? 0 : strainOf(balance) ** 2);
      }, 0);
      if (best === undefined || strain < best.strain) best = { gain, strain };
    }
    return best;
  }

  /** The gain that brings one equation into the middle of its band; the band follows what is right, so step by step. */
  #gainFor(equation: Equation, meter: number, shownW: number): number | undefined {
    const part =
      equation.meter === meter ? -1 : (equation.parts.find((one) => one.meter === meter)?.share ?? 0);
    if (part === 0) return undefined;
    let gain = 1;
    for (let round = 0; round < ROUNDS; round++) {
      const balance = this.balance(equation, meter, gain);
      if (balance === undefined) return undefined;
      const { differenceW, leastW, mostW } = balance;
      gain = shownW / (shownW / gain + (differenceW - (leastW + mostW) / 2) / part);
      if (!Number.isFinite(gain) || Math.abs(gain) < LEAST_GAIN) return undefined;
    }
    return gain;
  }

  #isPossible(meter: number, powerW: number): boolean {
    const { meters, nodes } = this.#state;
    const { node = -1, role = 'node' } = meters[meter] ?? {};
    const { capW = Infinity, mayExport = false } = nodes[node] ?? {};
    const leastW = role === 'node' && mayExport ? -capW : -0.02 * capW;
    return powerW >= leastW && powerW <= 1.3 * capW;
  }
}

/** A gain of one meter that makes its equations hold, and how well those around it fit then. */
export interface Explained {
  readonly gain: number;
  readonly strain: number;
}

export const metersIn = (equation: Equation): readonly number[] => [
  equation.meter,
  ...equation.parts.map(({ meter }) => meter),
];

/** A part of what hangs on two feeds stands in it. */
const isSplit = ({ parts, own }: Equation): boolean =>
  parts.some(({ share }) => Math.abs(share) < 1) || [...own.values()].some((share) => share < 1);

export const standsIn = (equation: Equation, meter: number): boolean => metersIn(equation).includes(meter);

export const isOutside = (balance: Balance | undefined): boolean =>
  balance !== undefined && excessOf(balance) !== 0;
