/** What stands in for a node's meter that is silent or not believed: the meters below it, or what machines say. */
import { isLearnt, spreadShare } from './calibration.ts';
import type { Calibration } from './calibration.ts';
import type { BalanceMeter, Equation } from './balance.ts';

/** What is known of a node without its own meter, W. */
export interface Sum {
  readonly source: 'meters' | 'machines';
  /** What hangs on it draws. */
  readonly drawnW: number;
  /** What sources on it feed in. */
  readonly fedW: number;
  /** How far `drawnW` may be off, as a share of it. */
  readonly errorShare: number;
  /** What is lost on the way at most, as long as nothing was learnt. */
  readonly lossShare: number;
  /** The share of what can flow that meters show. */
  readonly coverage: number;
  /** Everything in it is known at this moment. */
  readonly isWhole: boolean;
}

/** What flows into the node at most, with its margin: learnt from its meter, or all that may be lost on the way. */
export function standInW(sum: Sum, calibration: Calibration): number {
  const { drawnW, fedW, lossShare } = sum;
  const ratio = isLearnt(calibration) ? calibration.ratio : 1 + lossShare;
  return drawnW * ratio * (1 + marginShare(sum, calibration)) - fedW;
}

/** What is added for safety, as a share. */
export const marginShare = ({ errorShare }: Sum, calibration: Calibration): number =>
  Math.min(MARGIN_MOST, Math.max(errorShare, spreadShare(calibration)));

const MARGIN_MOST = 0.1;
/** Without any meter the machines' own figures count this much more. */
export const WORDS_MARGIN = 0.03;

/** By what the guard or the controller goes on, in words. */
export function standInText(sum: Sum, calibration: Calibration): string {
  const by = sum.source === 'meters' ? 'the meters below it' : 'the machines below it';
  const pct = (share: number): string => (share * 100).toFixed(1);
  const learnt = isLearnt(calibration)
    ? `as much more as its own meter has shown (${calibration.ratio.toFixed(3)})`
    : 'all that may be lost on the way';
  const known = sum.source === 'meters' ? `, ${Math.round(sum.coverage * 100)} % metered` : '';
  return `${by} with ${learnt} and a margin of ${pct(marginShare(sum, calibration))} %${known}`;
}

/** What one part of a sum shows. `isMetered`: by a meter, not by what its machines say. */
export interface Part {
  readonly powerW: number;
  readonly errorShare: number;
  readonly isMetered: boolean;
}

/** What hangs on a node without a meter, W: machines and auxiliaries by their own word, and what may flow there. */
export interface OwnPart {
  readonly drawnW: number;
  readonly ratedW: number;
  readonly errorShare: number;
  readonly isKnown: boolean;
}

interface Parts {
  readonly meters: readonly (BalanceMeter & { readonly capW: number })[];
  /** By place of a meter; undefined: nobody knows. */
  readonly partOf: (meter: number) => Part | undefined;
  readonly ownOf: (node: number) => OwnPart;
  /** A feed has no voltage: all that hangs on two may flow through the other one. */
  readonly isTransferred: boolean;
}

/**
 * The sum that an equation's parts make; undefined when one of them is not known at all. Errors of meters are
 * independent of each other, those of words are not.
 */
export function sumBelow(
  equation: Equation,
  { meters, partOf, ownOf, isTransferred }: Parts,
): Sum | undefined {
  let [drawnW, fedW, squares, wordsErrorW, allW, meteredW] = [0, 0, 0, 0, 0, 0];
  let isWhole = true;
  for (const { meter, share } of equation.parts) {
    const part = partOf(meter);
    if (share < 0) {
      // A source that is not seen feeds in nothing that may be counted on.
      if (part?.isMetered === true) fedW -= share * part.powerW;
      else isWhole = false;
      continue;
    }
    if (part === undefined) return undefined;
    const through = isTransferred ? 1 : share;
    const capW = through * (meters[meter]?.capW ?? 0);
    drawnW += through * part.powerW;
    allW += capW;
    if (part.isMetered) {
      meteredW += capW;
      squares += (through * part.errorShare * part.powerW) ** 2;
    } else {
      isWhole = false;
      wordsErrorW += through * part.errorShare * Math.abs(part.powerW);
    }
  }
  for (const [node, share] of equation.own) {
    const own = ownOf(node);
    const through = isTransferred ? 1 : share;
    drawnW += through * own.drawnW;
    allW += through * own.ratedW;
    wordsErrorW += through * own.errorShare * own.drawnW;
    isWhole &&= own.isKnown;
  }
  return {
    source: equation.against,
    drawnW,
    fedW,
    errorShare:
      equation.against === 'machines'
        ? WORDS_MARGIN
        : drawnW > 0
          ? (Math.sqrt(squares) + wordsErrorW) / drawnW
          : 0,
    lossShare: equation.lossShare,
    coverage: allW > 0 ? meteredW / allW : 0,
    isWhole: isWhole && !isTransferred,
  };
}
