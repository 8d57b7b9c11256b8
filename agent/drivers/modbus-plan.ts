import type { MeterProfile } from '../../config/schema/profile.ts';
import type { Point, Span } from './modbus-points.ts';

/** One read and what it serves, in the order of addresses. */
export interface Block {
  readonly address: number;
  readonly count: number;
  readonly spans: readonly Span[];
  readonly points: readonly Point[];
}

type Limits = MeterProfile['limits'];

/**
 * The fewest reads for these spans: neighbours are joined while the gap and the length allow. `barriers`: addresses
 * over which the meter refused to read; no block spans the gap before one.
 */
export function planBlocks(
  spans: readonly Span[],
  limits: Limits,
  barriers: ReadonlySet<number>,
): readonly Block[] {
  const blocks: Block[] = [];
  let open: Span[] = [];
  const walls = limits.barriers ?? [];
  for (const span of [...spans].sort((a, b) => a.from - b.from)) {
    const end = endOf(open);
    const joined = [...open, span];
    const fits = lengthOf(joined, limits) <= limits.maxRegisters && span.from - end <= limits.maxGap;
    const walled = barriers.has(span.from) || walls.some((wall) => end <= wall && wall <= span.from);
    if (open.length > 0 && (!fits || walled)) {
      blocks.push(blockOf(open, limits));
      open = [span];
    } else open = joined;
  }
  if (open.length > 0) blocks.push(blockOf(open, limits));
  return blocks;
}

/** Where to cut a block that the meter refused as a whole: before the span after the widest gap, else in the middle. */
export function cutOf({ spans }: Block): number | undefined {
  let widest = 0;
  let cut: number | undefined;
  for (const [index, span] of spans.entries()) {
    const before = spans[index - 1];
    if (!before) continue;
    const gap = span.from - before.to;
    if (gap > widest) {
      widest = gap;
      cut = span.from;
    }
  }
  return cut ?? (spans.length > 1 ? spans[spans.length >> 1]?.from : undefined);
}

function endOf(spans: readonly Span[]): number {
  return Math.max(...spans.map(({ to }) => to));
}

function lengthOf(spans: readonly Span[], limits: Limits): number {
  const length = endOf(spans) - (spans[0]?.from ?? 0);
  return limits.evenCount ? length + (length % 2) : length;
}

function blockOf(spans: readonly Span[], limits: Limits): Block {
  return {
    address: spans[0]?.from ?? 0,
    count: lengthOf(spans, limits),
    spans,
    points: spans.flatMap(({ points }) => points),
  };
}
