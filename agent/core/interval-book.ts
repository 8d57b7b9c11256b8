/**
 * From the counts of a revenue meter to the energy of the market's intervals. The sum of all intervals is the
 * difference of the counter: over a gap it is exact, and its split among the intervals is shaped by power where power
 * was read, even otherwise, and marked as an estimate.
 */
import { intervalAt, nextBoundary } from '../../protocols/metering/calendar.ts';
import type { Calendar, Interval } from '../../protocols/metering/calendar.ts';

/** No-load losses while it is live, and load losses that grow with the square of what flows through it. */
export interface TransformerLoss {
  readonly ratedKva: number;
  readonly noLoadKw: number;
  readonly loadLossPct: number;
}

export interface BookRules {
  readonly meter: string;
  readonly calendar: Calendar;
  readonly source: 'counter' | 'pulses';
  /** An interval that ended so long ago is published without the reading that would end it. */
  readonly graceMs: number;
  /** More than this cannot flow. */
  readonly mostW: number;
  readonly lossFactor: number;
  readonly transformer?: TransformerLoss | undefined;
}

/** One interval that is not done with. All energies Wh. */
export interface Cell extends Interval {
  /** How often it was published. */
  published: number;
  importWh: number;
  exportWh: number;
  estimatedWh: number;
  boundWh: number;
  /** What the agent's clock went by within it, ms: by so much it is shorter or longer than its boundaries say. */
  setMs: number;
  /** Some of its energy nobody counted, nor will. */
  unknown: boolean;
  /** What power says since the newest count: for how long it was read, and W × ms. */
  seenMs: number;
  importWms: number;
  exportWms: number;
  /** Over all of it: for how long, and VA² × ms. */
  squareSeenMs: number;
  squares: number;
  /** What flowed at its ends, W; null: not read. */
  startW: number | null;
  endW: number | null;
  why: string;
}

/** What is kept of a meter: plain data, so that it can be written down. Times are UTC ms. */
export interface Book {
  /** When the counter was read last; null: it never was. */
  countMs: number | null;
  /** That moment is known no better than this. */
  countHalfMs: number;
  /** Without a gap, the oldest first; the last one is not over at the newest moment seen. */
  cells: Cell[];
  power: { atMs: number; activeW: number; apparentVa: number } | null;
  /** Revisions from here on: those before are of a time that the clock showed once already. */
  base: number;
  highest: number;
}

export interface PowerSample {
  readonly atMs: number;
  /** Import positive. */
  readonly activeW: number;
  readonly apparentVa: number;
}

/** What flowed since the count before. */
export interface EnergySample {
  readonly atMs: number;
  /** `atMs` is off by no more. */
  readonly halfMs: number;
  readonly importWh: number;
  /** Undefined where the meter counts none. */
  readonly exportWh: number | undefined;
  /** The least step of the counters. */
  readonly stepWh: number;
  /** Undefined: the counters say it; otherwise why it is a guess. */
  readonly doubt?: string | undefined;
}

const MS_PER_HOUR = 3_600_000;
/** Power read further apart says nothing of what was between. */
const POWER_GAP_MS = 15_000;
/** Counts further apart are a gap: the split over its boundaries is an estimate. */
const COUNT_GAP_MS = 60_000;
/** Within a gap, less than this without power is counted at the mean of the rest. */
const SLIVER_MS = 10_000;
/** A clock that goes back by more has shown wrong time before. */
const BACK_MS = 3_600_000;
/** What was not read for longer is begun anew. */
const MOST_GAP_MS = 31 * 86_400_000;
const WHY_MOST = 300;

export const makeBook = (): Book => ({
  countMs: null,
  countHalfMs: 0,
  cells: [],
  power: null,
  base: 0,
  highest: 0,
});

/** Power shapes what is counted. */
export function takePower(book: Book, rules: BookRules, sample: PowerSample): void {
  const before = book.power;
  if (before !== null && sample.atMs <= before.atMs && before.atMs - sample.atMs <= BACK_MS) return;
  book.power = { ...sample };
  if (book.countMs === null || before === null || !reach(book, rules, sample.atMs)) return;
  const lengthMs = sample.atMs - before.atMs;
  if (lengthMs <= 0 || lengthMs > POWER_GAP_MS) return;
  const at = (ms: number, from: number, to: number): number =>
    from + ((to - from) * (ms - before.atMs)) / lengthMs;
  for (const cell of book.cells) {
    const fromMs = Math.max(before.atMs, cell.startMs);
    const toMs = Math.min(sample.atMs, cell.endMs);
    if (toMs <= fromMs) continue;
    const activeAt = (ms: number): number => at(ms, before.activeW, sample.activeW);
    const middleVa = at((fromMs + toMs) / 2, before.apparentVa, sample.apparentVa);
    cell.squareSeenMs += toMs - fromMs;
    cell.squares += middleVa ** 2 * (toMs - fromMs);
    if (fromMs === cell.startMs) cell.startW = activeAt(fromMs);
    if (toMs === cell.endMs) cell.endW = activeAt(toMs);
    // What a count covers already is not weighed a second time.
    const openMs = Math.max(fromMs, book.countMs);
    if (toMs <= openMs) continue;
    const watts = activeAt((openMs + toMs) / 2);
    cell.seenMs += toMs - openMs;
    cell.importWms += Math.max(0, watts) * (toMs - openMs);
    cell.exportWms += Math.max(0, -watts) * (toMs - openMs);
  }
}

/** What the counters say flowed since the count before; the first one only begins. */
export function takeEnergy(book: Book, rules: BookRules, sample: EnergySample): void {
  const { countMs } = book;
  if (countMs === null || countMs - sample.atMs > BACK_MS) return begin(book, rules, sample);
  const toMs = Math.max(sample.atMs, countMs);
  if (!reach(book, rules, toMs)) return begin(book, rules, sample);
  const touched = book.cells.filter(
    ({ startMs, endMs }) => startMs <= toMs && endMs > countMs && (startMs < toMs || startMs === countMs),
  );
  const spans = touched.map(({ startMs, endMs }) => Math.min(endMs, toMs) - Math.max(startMs, countMs));
  const imports = split(sample.importWh, touched, spans, ({ importWms }) => importWms);
  const exports = split(sample.exportWh ?? 0, touched, spans, ({ exportWms }) => exportWms);
  const aheadMs = toMs - sample.atMs;
  const backMs = aheadMs > sample.halfMs + book.countHalfMs ? aheadMs : 0;
  const isGap = toMs - countMs > COUNT_GAP_MS && touched.length > 1;
  for (const [place, cell] of touched.entries()) {
    const [importWh = 0, exportWh = 0] = [imports[place], exports[place]];
    cell.importWh += importWh;
    cell.exportWh += exportWh;
    if (isGap || sample.doubt !== undefined) cell.estimatedWh += importWh + exportWh;
    if (isGap) say(cell, `not read for ${seconds(toMs - countMs)}: the sum is counted, its split estimated`);
    if (sample.doubt !== undefined) say(cell, sample.doubt);
    // Set back while this agent was down, or it would be known already.
    if (backMs > cell.setMs) shift(cell, rules, cell.setMs - backMs);
    [cell.seenMs, cell.importWms, cell.exportWms] = [0, 0, 0];
  }
  const sums = imports.map((wh, place) => wh + (exports[place] ?? 0));
  boundEdges(book, rules, sample, { toMs, touched, sums });
  book.countMs = toMs;
  book.countHalfMs = sample.halfMs;
}

function begin(book: Book, rules: BookRules, { atMs, halfMs }: EnergySample): void {
  book.base = book.highest;
  book.countMs = atMs;
  book.countHalfMs = halfMs;
  const cell = newCell(intervalAt(atMs, rules.calendar));
  cell.unknown = atMs > cell.startMs;
  if (cell.unknown) say(cell, `counting began ${seconds(atMs - cell.startMs)} after its beginning`);
  book.cells = [cell];
}

/** Has cells up to a moment. False when it is further away than is made up for. */
export function reach(book: Book, { calendar }: BookRules, atMs: number): boolean {
  let last = book.cells.at(-1);
  if (last === undefined || atMs - last.endMs > MOST_GAP_MS) return false;
  while (last.endMs <= atMs) {
    last = newCell({ startMs: last.endMs, endMs: nextBoundary(last.endMs, calendar) });
    book.cells.push(last);
  }
  return true;
}

const newCell = ({ startMs, endMs }: Interval): Cell => ({
  startMs,
  endMs,
  published: 0,
  importWh: 0,
  exportWh: 0,
  estimatedWh: 0,
  boundWh: 0,
  setMs: 0,
  unknown: false,
  seenMs: 0,
  importWms: 0,
  exportWms: 0,
  squareSeenMs: 0,
  squares: 0,
  startW: null,
  endW: null,
  why: '',
});

/** Shares a count out over the cells it spans: by power where it was read, else evenly over the time without. */
function split(
  deltaWh: number,
  cells: readonly Cell[],
  spansMs: readonly number[],
  wmsOf: (cell: Cell) => number,
): number[] {
  const seen = cells.map((cell, place) => {
    const spanMs = spansMs[place] ?? 0;
    const seenMs = Math.min(cell.seenMs, spanMs);
    return {
      seenMs,
      unseenMs: spanMs - seenMs,
      wms: seenMs === 0 ? 0 : (wmsOf(cell) * seenMs) / cell.seenMs,
    };
  });
  const total = (of: (one: (typeof seen)[number]) => number): number =>
    seen.reduce((sum, one) => sum + of(one), 0);
  const [seenMs, unseenMs, wms] = [
    total((one) => one.seenMs),
    total((one) => one.unseenMs),
    total((one) => one.wms),
  ];
  const restWms = deltaWh * MS_PER_HOUR - wms;
  const levelW = unseenMs > SLIVER_MS ? Math.max(0, restWms) / unseenMs : seenMs > 0 ? wms / seenMs : 1;
  const weights = seen.map((one) => one.wms + levelW * one.unseenMs);
  const weight = weights.reduce((sum, one) => sum + one, 0);
  // No power at all, but energy: by time; and in no time at all, where it ended.
  const parts = weight > 0 ? weights : spansMs;
  const whole = weight > 0 ? weight : total((one) => one.seenMs + one.unseenMs);
  const shares = parts.map((part) => (whole > 0 ? (deltaWh * part) / whole : 0));
  const given = shares.slice(0, -1).reduce((sum, wh) => sum + wh, 0);
  return shares.map((wh, place) => (place === shares.length - 1 ? Math.max(0, deltaWh - given) : wh));
}

/** How far the split at each boundary may be off, by what can flow in the time between it and the counts around it. */
function boundEdges(
  { cells, countMs, countHalfMs }: Book,
  { mostW }: BookRules,
  { halfMs, stepWh }: EnergySample,
  found: { readonly toMs: number; readonly touched: readonly Cell[]; readonly sums: readonly number[] },
): void {
  const { toMs, touched, sums } = found;
  const wholeWh = sums.reduce((sum, wh) => sum + wh, 0);
  const most = (ms: number): number => (mostW * Math.max(0, ms)) / MS_PER_HOUR;
  let beforeWh = 0;
  for (const [place, cell] of touched.entries()) {
    beforeWh += sums[place] ?? 0;
    if (cell.endMs > toMs) break;
    const [sinceMs, untilMs] = [cell.endMs - (countMs ?? 0), toMs - cell.endMs];
    const leastWh = Math.max(-most(countHalfMs - sinceMs), wholeWh - most(untilMs + halfMs));
    const mostWh = Math.min(wholeWh + most(halfMs - untilMs), most(sinceMs + countHalfMs));
    const edgeWh = Math.max(0, beforeWh - leastWh, mostWh - beforeWh) + stepWh;
    cell.boundWh += edgeWh;
    const next = cells[cells.indexOf(cell) + 1];
    if (next !== undefined) next.boundWh += edgeWh;
  }
}

/**
 * The agent's clock went by so many ms beside the time that passed, and shows `nowMs` now: it was set, or the box stood
 * still. All that lies between what it showed and what it shows is longer or shorter than it should be.
 */
export function noteClockSet(book: Book, rules: BookRules, byMs: number, nowMs: number): void {
  const [fromMs, toMs] = [Math.min(nowMs, nowMs - byMs), Math.max(nowMs, nowMs - byMs)];
  // Power of before is of another time.
  book.power = null;
  reach(book, rules, toMs);
  for (const cell of book.cells)
    if (cell.endMs > fromMs && cell.startMs <= toMs)
      shift(cell, rules, Math.min(byMs, cell.endMs - cell.startMs));
}

/** What lies at its ends may be another interval's: as much as can flow in that time. */
function shift(cell: Cell, { mostW }: BookRules, byMs: number): void {
  cell.setMs += Math.abs(byMs);
  cell.boundWh += (mostW * Math.abs(byMs)) / MS_PER_HOUR;
  say(cell, `the agent's clock went by ${(byMs / 1_000).toFixed(1)} s`);
}

function say(cell: Cell, text: string): void {
  if (!cell.why.includes(text))
    cell.why = (cell.why === '' ? text : `${cell.why}; ${text}`).slice(0, WHY_MOST);
}

const seconds = (ms: number): string => `${Math.round(ms / 1_000)} s`;
