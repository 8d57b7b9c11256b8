import type { MeterProfile } from '../../config/schema/profile.ts';
import type { ReadCost } from '../../host/line-cost.ts';
import type { Urgency } from '../../host/line-queue.ts';
import type { Point, Span } from './modbus-points.ts';

/** One read and what it serves, in the order of addresses. */
export interface Block {
  readonly address: number;
  readonly count: number;
  readonly spans: readonly Span[];
  readonly points: readonly Point[];
  /** That of its most urgent point. */
  readonly urgency: Urgency;
}

type Limits = MeterProfile['limits'];

/**
 * The reads that fetch these spans in the least time, by what a request and a register take: neighbours are joined, with
 * the registers between them, where that is faster than one more request and the device allows it. `barriers`: addresses
 * over which the meter refused to read; no block spans the gap before one. Where one of them lies within another span,
 * a plan may take a read more than it need.
 */
export function planBlocks(
  spans: readonly Span[],
  limits: Limits,
  barriers: ReadonlySet<number>,
  cost: ReadCost,
): readonly Block[] {
  const sorted = [...spans].sort((a, b) => a.from - b.from);
  // The best way to read the first n spans: what it takes, and where its last block begins.
  const bestMs: number[] = [0];
  const begins: number[] = [0];
  for (let n = 1; n <= sorted.length; n += 1) {
    bestMs[n] = Infinity;
    let to = 0;
    for (let first = n - 1; first >= 0; first -= 1) {
      const span = sorted[first] as Span;
      to = Math.max(to, span.to);
      const count = countOf(span.from, to, limits);
      // What must come in one read is one, however long it is; else no longer block will do once one is too long.
      if (first < n - 1 && count > limits.maxRegisters) break;
      const ms = (bestMs[first] ?? 0) + costMs(count, cost);
      if (ms >= (bestMs[n] ?? 0) || !canJoin(sorted.slice(first, n), limits, barriers)) continue;
      bestMs[n] = ms;
      begins[n] = first;
    }
  }
  const blocks: Block[] = [];
  for (let end = sorted.length; end > 0; end = begins[end] ?? 0)
    blocks.unshift(blockOf(sorted.slice(begins[end], end), limits));
  return blocks;
}

/** What these reads take, ms. */
export const planMs = (blocks: readonly Block[], cost: ReadCost): number =>
  blocks.reduce((total, { count }) => total + costMs(count, cost), 0);

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

/** Whether nothing between these spans keeps them from being read together. */
function canJoin(spans: readonly Span[], limits: Limits, barriers: ReadonlySet<number>): boolean {
  let end = spans[0]?.to ?? 0;
  for (const { from, to } of spans.slice(1)) {
    if (from - end > limits.maxGap || barriers.has(from)) return false;
    const isWalled = limits.barriers?.some((wall) => end <= wall && wall <= from);
    if (isWalled === true) return false;
    end = Math.max(end, to);
  }
  return true;
}

const costMs = (count: number, { requestMs, registerMs }: ReadCost): number => requestMs + registerMs * count;

function countOf(from: number, to: number, limits: Limits): number {
  const count = to - from;
  return limits.evenCount ? count + (count % 2) : count;
}

const URGENCY = { fast: 'fast', normal: 'normal', slow: 'slow', constant: 'slow' } as const;

function blockOf(spans: readonly Span[], limits: Limits): Block {
  const from = spans[0]?.from ?? 0;
  const points = spans.flatMap((span) => span.points);
  const classes = points.map((point) => URGENCY[point.class]);
  return {
    address: from,
    count: countOf(from, Math.max(...spans.map(({ to }) => to)), limits),
    spans,
    points,
    urgency: (['fast', 'normal'] as const).find((urgency) => classes.includes(urgency)) ?? 'slow',
  };
}
