/** Meters that are not there: what flows into a node by sums and differences of other meters, or by its machines' words. */

/** True for the target of a meter that is worked out, not read. */
export const isVirtual = (target: string): boolean => target.startsWith('virtual:');

/** One part of a virtual meter, W. */
export interface VirtualPart {
  readonly id: string;
  /** -1: it is taken away. */
  readonly sign: 1 | -1;
  /** Undefined: it cannot be used now. */
  readonly powerW: number | undefined;
  /** Of what it shows, its error at most. */
  readonly errorShare: number;
  /** What can flow through it. */
  readonly leastW: number;
  readonly mostW: number;
}

/** What flows, as far as it is known. */
export interface VirtualValue {
  /** The best that can be said; with a part missing the most that may flow, never silently less. */
  readonly powerW: number;
  readonly leastW: number;
  readonly mostW: number;
  /** The share of what can flow through its parts that is known, 0 to 1. */
  readonly coverage: number;
  /** Ids of parts that cannot be used. */
  readonly missing: readonly string[];
}

/** Sums parts up; errors of different parts are independent, what is missing counts in full. */
export function virtualValue(parts: readonly VirtualPart[]): VirtualValue {
  let knownW = 0;
  let squares = 0;
  let missingLeastW = 0;
  let missingMostW = 0;
  let coveredW = 0;
  let allW = 0;
  const missing: string[] = [];
  for (const { id, sign, powerW, errorShare, leastW, mostW } of parts) {
    allW += mostW;
    if (powerW === undefined) {
      missing.push(id);
      missingLeastW += sign === 1 ? leastW : -mostW;
      missingMostW += sign === 1 ? mostW : -leastW;
      continue;
    }
    coveredW += mostW;
    knownW += sign * powerW;
    squares += (errorShare * powerW) ** 2;
  }
  const errorW = Math.sqrt(squares);
  const mostW = knownW + missingMostW + errorW;
  return {
    powerW: missing.length === 0 ? knownW : mostW,
    leastW: knownW + missingLeastW - errorW,
    mostW,
    coverage: allW > 0 ? coveredW / allW : 0,
    missing,
  };
}

/** A band in words: what is known, how well, and what is missing. */
export function virtualText({ leastW, mostW, coverage, missing }: VirtualValue): string {
  const kw = (watts: number): string => (watts / 1_000).toFixed(1);
  const lacks = missing.length === 0 ? '' : `, without ${missing.slice(0, 5).join(', ')}`;
  return `between ${kw(leastW)} and ${kw(mostW)} kW, ${Math.round(coverage * 100)} % known${lacks}`;
}
