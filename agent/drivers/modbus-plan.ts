import type { MeterPoint, MeterProfile } from '../../config/schema/profile.ts';
import { wordsOf } from '../../protocols/modbus/registers.ts';

/** One read and the points it serves, in the order of their addresses. */
export interface Block {
  readonly address: number;
  readonly count: number;
  readonly points: readonly MeterPoint[];
}

type Limits = MeterProfile['limits'];

/**
 * The fewest reads for these points: neighbours are joined while the gap and the length allow. `barriers`: addresses
 * over which the meter refused to read; no block spans the gap before one.
 */
export function planBlocks(
  points: readonly MeterPoint[],
  limits: Limits,
  barriers: ReadonlySet<number>,
): readonly Block[] {
  const sorted = [...points].sort((a, b) => a.addr - b.addr);
  const blocks: Block[] = [];
  let open: MeterPoint[] = [];
  for (const point of sorted) {
    const joined = [...open, point];
    const gap = open.length === 0 ? 0 : point.addr - endOf(open);
    const fits = lengthOf(joined, limits) <= limits.maxRegisters && gap <= limits.maxGap;
    if (open.length > 0 && (!fits || barriers.has(point.addr))) {
      blocks.push(blockOf(open, limits));
      open = [point];
    } else open = joined;
  }
  if (open.length > 0) blocks.push(blockOf(open, limits));
  return blocks;
}

/** Where to cut a block that the meter refused as a whole: before the point after the widest gap, else in the middle. */
export function cutOf(block: Block): number | undefined {
  let widest = 0;
  let cut: number | undefined;
  for (const [index, point] of block.points.entries()) {
    const before = block.points[index - 1];
    if (!before) continue;
    const gap = point.addr - (before.addr + wordsOf(before.type));
    if (gap > widest) {
      widest = gap;
      cut = point.addr;
    }
  }
  return cut ?? (block.points.length > 1 ? block.points[block.points.length >> 1]?.addr : undefined);
}

function endOf(points: readonly MeterPoint[]): number {
  return Math.max(...points.map((point) => point.addr + wordsOf(point.type)));
}

function lengthOf(points: readonly MeterPoint[], limits: Limits): number {
  const length = endOf(points) - (points[0]?.addr ?? 0);
  return limits.evenCount ? length + (length % 2) : length;
}

function blockOf(points: readonly MeterPoint[], limits: Limits): Block {
  return { address: points[0]?.addr ?? 0, count: lengthOf(points, limits), points };
}
