import { encodeTable, FrameDecoder } from '../../protocols/mqtt/frame.ts';
import type { FrameTable } from '../../protocols/mqtt/frame.ts';
import type { Stream } from '../../protocols/mqtt/backlog.ts';
import type { SpoolRecord } from './spool-record.ts';

/** One frame of a group is kept per this time, ms, at each step of thinning. */
const THIN_MS: readonly number[] = [10_000, 60_000];

/** A frame that stands by itself at least this often per group: what damage can take with it ends there. */
const KEY_EVERY = 15;

/** Makes a run of records that needs nothing from outside it: the first frame of each group stands by itself. */
export class Chain {
  readonly #last = new Map<string, { readonly table: FrameTable; readonly since: number }>();

  next(table: FrameTable): SpoolRecord {
    const { seq, tickMs, group } = table;
    const before = this.#last.get(group);
    const base = before !== undefined && before.since + 1 < KEY_EVERY ? before.table : undefined;
    const payload = encodeTable(table, base);
    // The encoder says in the third byte whether it could make a difference: other rows need a key frame.
    const isDelta = base !== undefined && payload[2] === 1;
    this.#last.set(group, { table, since: isDelta ? (before?.since ?? 0) + 1 : 0 });
    return { kind: 'frame', seq, back: isDelta ? seq - base.seq : 0, tickMs, group, payload };
  }
}

/** The records that `keep` wants, as a run of their own again. Those that cannot be read are left out. */
export function rechain(
  records: readonly SpoolRecord[],
  keep: (record: SpoolRecord) => boolean,
): SpoolRecord[] {
  const decoder = new FrameDecoder();
  const chain = new Chain();
  return records.flatMap((record) => {
    if (record.kind !== 'frame') return keep(record) ? [record] : [];
    const decoded = decoder.decodeTable(record.payload);
    if (decoded.kind !== 'frame' || !keep(record)) return [];
    return [chain.next(decoded.frame)];
  });
}

/** One frame per group and `everyMs`, and the last of all: a run keeps the number it ends with. */
export function thinned(records: readonly SpoolRecord[], everyMs: number): SpoolRecord[] {
  const keptMs = new Map<string, number>();
  const last = records.at(-1);
  return rechain(records, (record) => {
    const before = keptMs.get(record.group);
    // A clock that was set back must not thin what came after.
    if (record !== last && before !== undefined && Math.abs(record.tickMs - before) < everyMs) return false;
    keptMs.set(record.group, record.tickMs);
    return true;
  });
}

/** What the planner needs to know of a piece of the spool. */
export interface Piece {
  readonly stream: Stream;
  /** On the disk, or else in memory. */
  readonly onDisk: boolean;
  readonly bytes: number;
  /** How far it was thinned: the steps of THIN_MS taken. */
  readonly level: number;
  /** It is still written to, or cannot be thinned now: it may only be let go. */
  readonly busy: boolean;
  /** ms since it was begun. */
  readonly ageMs: number;
}

export interface Limits {
  readonly diskBytes: number;
  readonly memoryBytes: number;
  readonly ageMs: number;
  /** The disk has little room left for others: whatever is on it is thinned, however little. */
  readonly isPressed?: boolean;
}

export type Relief<P> =
  | { readonly kind: 'thin'; readonly piece: P; readonly everyMs: number }
  | { readonly kind: 'drop'; readonly piece: P }
  | undefined;

/** Above this share of a limit pieces are thinned, so that nothing need be let go at once. */
const THIN_FROM = 0.8;
/** What gives way first: machines, then meters. Results and events are never thinned. */
const THIN_ORDER: readonly Stream[] = ['machines', 'meters'];
const DROP_ORDER: readonly Stream[] = ['machines', 'meters', 'messages'];

/** The next thing to do so that the spool stays within its limits; `pieces` by age, the oldest first. */
export function relieve<P extends Piece>(pieces: readonly P[], limits: Limits): Relief<P> {
  const old = pieces.find((piece) => piece.ageMs > limits.ageMs);
  if (old !== undefined) return { kind: 'drop', piece: old };
  return (
    relieveOne(
      pieces.filter((piece) => piece.onDisk),
      limits.diskBytes,
      limits.isPressed,
    ) ??
    relieveOne(
      pieces.filter((piece) => !piece.onDisk),
      limits.memoryBytes,
    )
  );
}

function relieveOne<P extends Piece>(pieces: readonly P[], limitBytes: number, isPressed = false): Relief<P> {
  const bytes = pieces.reduce((sum, piece) => sum + piece.bytes, 0);
  if (isPressed || bytes > THIN_FROM * limitBytes)
    for (const stream of THIN_ORDER)
      for (const [level, everyMs] of THIN_MS.entries()) {
        const piece = pieces.find((one) => one.stream === stream && one.level === level && !one.busy);
        if (piece !== undefined) return { kind: 'thin', piece, everyMs };
      }
  if (bytes <= limitBytes) return undefined;
  for (const stream of DROP_ORDER) {
    const piece = pieces.find((one) => one.stream === stream);
    if (piece !== undefined) return { kind: 'drop', piece };
  }
  return undefined;
}
