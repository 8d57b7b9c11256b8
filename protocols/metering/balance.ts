/**
 * What meters must add up to. One node's meter shows what the meters below it show, and what hangs between them: machines
 * by their own word, auxiliaries by their declaration, generation, losses. And it shows what all machines below it say.
 */

/** A node of the tree as the balance needs it; parents before children. */
export interface BalanceNode {
  readonly feeds: readonly { readonly node: number; readonly share: number }[];
  readonly capW: number;
  /** Of what flows into it, the share that is lost or drawn undeclared before it reaches what hangs on it, at most. */
  readonly lossShare: number;
  /** There is generation at it or below: what flows out of it is no fault. */
  readonly mayExport: boolean;
}

/** A meter of a node, or of a source behind it (`generation`, positive when it produces). */
export interface BalanceMeter {
  readonly id: string;
  readonly node: number;
  /** `virtual`: worked out from others, so it proves nothing. */
  readonly role: 'node' | 'generation' | 'virtual';
  /** Its class and that of its transformers together, as a share of what it shows. */
  readonly errorShare: number;
  readonly periodMs: number;
}

/** What one node's meter must agree with. */
export interface Equation {
  /** Places in the list of meters. */
  readonly meter: number;
  /** Meters on the other side, with the part of each that flows through `meter`; negative: generation. */
  readonly parts: readonly { readonly meter: number; readonly share: number }[];
  /** Per node, the part of what hangs on it by itself that belongs on the other side; absent: none. */
  readonly own: ReadonlyMap<number, number>;
  /** `meters`: with the meters below; `machines`: with nothing but what machines say. */
  readonly against: 'meters' | 'machines';
  readonly capW: number;
  readonly lossShare: number;
}

/** What machines and auxiliaries of one node draw by their own word, over one window. */
export interface Own {
  readonly machinesW: number;
  /** Largest less smallest of it in the window, W. */
  readonly swingW: number;
  /** Of machines that are not known now, by their plates: they draw between nothing and this. */
  readonly unknownW: number;
  /** What some that say they rest may really draw. */
  readonly doubtW: number;
  readonly auxiliaryW: number;
}

/** What one meter showed over one window. */
export interface Shown {
  readonly meanW: number;
  readonly swingW: number;
}

/** How one equation came out: what its meter shows beyond the other side, and between what that may lie, W. */
export interface Balance {
  readonly differenceW: number;
  readonly leastW: number;
  readonly mostW: number;
  /** The larger of both sides, W: what differences are compared with. */
  readonly sizeW: number;
}

/** Machines' own figures are off by this share at most. */
export const WORD_SHARE = 0.1;
/** What is declared of auxiliaries is. */
export const DECLARED_SHARE = 0.3;
/** Cords of one load share it by their lengths and contacts, not by declaration. */
const CORD_SHARE = 0.15;
/** Classes hold down to this share of what a meter is made for; below it the error in W stays. */
const CLASS_FROM = 0.05;
/** Meters below this share of their node's cap say nothing; machines' words need more to be a witness. */
const LOADED = 0.05;
const WORDED = 0.15;

/** Every equation that the meters of a site allow. Of several meters of one node the first counts as what flows in. */
export function equationsOf(
  nodes: readonly BalanceNode[],
  meters: readonly BalanceMeter[],
): readonly Equation[] {
  const meterAt = new Map<number, number>();
  for (const [place, { node, role }] of meters.entries())
    if (role === 'node' && !meterAt.has(node)) meterAt.set(node, place);
  return meters.flatMap(({ node, role }, meter): Equation[] => {
    const top = nodes[node];
    if (role !== 'node' || top === undefined) return [];
    const at = { meter, capW: top.capW, lossShare: top.lossShare };
    const near = flowInto(nodes, node, (one) => one !== node && meterAt.has(one));
    const all = flowInto(nodes, node, () => false);
    const below = [...near].flatMap(([one, share]) => {
      const child = one === node ? undefined : meterAt.get(one);
      return child === undefined ? [] : [{ meter: child, share }];
    });
    const own = new Map([...near].filter(([one]) => one === node || !meterAt.has(one)));
    const sources = (within: ReadonlyMap<number, number>): Equation['parts'] =>
      meters.flatMap((one, place) => {
        const share = one.role === 'generation' ? within.get(one.node) : undefined;
        return share === undefined ? [] : [{ meter: place, share: -share }];
      });
    // What is lost on the way through nodes without a meter belongs to the first one with a meter above.
    const lossShare =
      at.lossShare +
      Math.max(0, ...[...own.keys()].map((one) => (one === node ? 0 : (nodes[one]?.lossShare ?? 0))));
    return [
      ...(below.length === 0
        ? []
        : [{ ...at, lossShare, parts: [...below, ...sources(own)], own, against: 'meters' as const }]),
      { ...at, parts: sources(all), own: all, against: 'machines' },
    ];
  });
}

/** Of what flows into each node, the part that came through `top`; not through what `ends` there already. */
function flowInto(
  nodes: readonly BalanceNode[],
  top: number,
  ends: (node: number) => boolean,
): ReadonlyMap<number, number> {
  const flow = new Map([[top, 1]]);
  for (const [node, { feeds }] of nodes.entries()) {
    if (node === top) continue;
    const share = feeds.reduce(
      (sum, feed) => sum + (ends(feed.node) ? 0 : feed.share * (flow.get(feed.node) ?? 0)),
      0,
    );
    if (share > 0) flow.set(node, share);
  }
  return flow;
}

/**
 * How an equation came out over one window of `windowMs`; undefined when it says nothing: a meter without a value, or
 * too little load. `ownLagMs`: how old machines' words are at most.
 */
export function balanceOf(
  equation: Equation,
  meters: readonly BalanceMeter[],
  shownOf: (meter: number) => Shown | undefined,
  ownOf: (node: number) => Own | undefined,
  windowMs: number,
  ownLagMs: number,
): Balance | undefined {
  const shown = shownOf(equation.meter);
  if (shown === undefined) return undefined;
  const { capW, lossShare } = equation;
  // Classes are independent of each other, all else counts in full.
  let squares = errorW(meters[equation.meter], shown, capW) ** 2;
  let bandW = lateW(meters[equation.meter], shown, windowMs);
  let otherW = 0;
  let oneSidedW = 0;
  let wordsW = 0;
  for (const { meter, share } of equation.parts) {
    const part = shownOf(meter);
    if (part === undefined) return undefined;
    otherW += share * part.meanW;
    squares += (share * errorW(meters[meter], part, 0)) ** 2;
    bandW += Math.abs(share) * lateW(meters[meter], part, windowMs);
    if (Math.abs(share) < 1) bandW += CORD_SHARE * Math.abs(share * part.meanW);
  }
  for (const [node, share] of equation.own) {
    const own = ownOf(node);
    if (own === undefined) return undefined;
    otherW += share * (own.machinesW + own.auxiliaryW);
    wordsW += share * own.machinesW;
    oneSidedW += share * own.unknownW + own.doubtW;
    bandW +=
      share * (WORD_SHARE * own.machinesW + DECLARED_SHARE * own.auxiliaryW) +
      share * own.swingW * Math.min(1, (2 * ownLagMs) / windowMs) +
      (share < 1 ? CORD_SHARE * share * own.machinesW : 0);
  }
  const sizeW = Math.max(Math.abs(shown.meanW), Math.abs(otherW));
  if (sizeW < capW * (equation.against === 'machines' ? WORDED : LOADED)) return undefined;
  if (equation.against === 'machines' && wordsW < sizeW / 2 && oneSidedW > wordsW) return undefined;
  const errW = Math.sqrt(squares) + bandW;
  return {
    differenceW: shown.meanW - otherW,
    leastW: -errW,
    mostW: errW + oneSidedW + lossShare * Math.abs(shown.meanW),
    sizeW,
  };
}

const errorW = (meter: BalanceMeter | undefined, { meanW }: Shown, capW: number): number =>
  (meter?.errorShare ?? 0) * Math.max(Math.abs(meanW), CLASS_FROM * capW);

/** What a change in the window can put into the wrong one of two meters that are not read at the same moment. */
const lateW = (meter: BalanceMeter | undefined, { swingW }: Shown, windowMs: number): number =>
  swingW * Math.min(1, (2 * ((meter?.periodMs ?? 0) + REFRESH_MS)) / windowMs);

/** Meters renew their registers this often, ms. */
const REFRESH_MS = 1_000;

/** How far outside its band an equation is, as a share of its size: positive when its meter shows too much. */
export function excessOf({ differenceW, leastW, mostW, sizeW }: Balance): number {
  if (differenceW > mostW) return (differenceW - mostW) / sizeW;
  return differenceW < leastW ? (differenceW - leastW) / sizeW : 0;
}

/** How far from the middle of its band, in halves of the band. */
export const strainOf = ({ differenceW, leastW, mostW }: Balance): number =>
  Math.abs(differenceW - (leastW + mostW) / 2) / Math.max(1e-9, (mostW - leastW) / 2);
