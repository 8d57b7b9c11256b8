import type { RunningInterval } from '../../protocols/mqtt/energy.ts';
import type { Book, BookRules, Cell } from './interval-book.ts';

const MS_PER_HOUR = 3_600_000;
/** Power that is older says nothing of now. */
const POWER_OLD_MS = 15_000;
/** The counters are read every half minute; silent for longer, what flowed since is a guess. */
const COUNT_OLD_MS = 60_000;

/** The interval that is not over: what flowed so far, by the counters and since their last reading by power, and what it comes to at its end if nothing changes. */
export function runningOf(
  book: Book,
  { meter, calendar }: BookRules,
  nowMs: number,
  hasExport: boolean,
): RunningInterval | undefined {
  const { countMs, power } = book;
  const cell = book.cells.find(({ startMs, endMs }) => startMs <= nowMs && nowMs < endMs);
  if (cell === undefined || countMs === null) return undefined;
  const { startMs, endMs } = cell;
  const head = { meter, startMs, endMs, intervalMin: calendar.intervalMin };
  const sinceMs = Math.max(0, nowMs - Math.max(startMs, countMs));
  const isGuess = cell.estimatedWh > 0 || cell.setMs > 0 || sinceMs > COUNT_OLD_MS;
  // An interval that began uncounted, or before the counter fell silent, has no energy that is known.
  if (cell.unknown || (sinceMs > COUNT_OLD_MS && cell.seenMs === 0)) return { ...head, quality: 'missing' };
  const quality = isGuess ? 'estimated' : 'good';
  const soFar = {
    importWh: soFarWh(cell, cell.importWh, cell.importWms, sinceMs),
    ...(hasExport && { exportWh: soFarWh(cell, cell.exportWh, cell.exportWms, sinceMs) }),
  };
  if (power === null || Math.abs(nowMs - power.atMs) > POWER_OLD_MS) return { ...head, quality, ...soFar };
  const restWh = (power.activeW * (endMs - nowMs)) / MS_PER_HOUR;
  return {
    ...head,
    quality,
    ...soFar,
    endImportWh: soFar.importWh + Math.max(0, restWh),
    ...(soFar.exportWh !== undefined && { endExportWh: soFar.exportWh + Math.max(0, -restWh) }),
  };
}

/** Of a moment without power in between: as in the rest of it. */
const soFarWh = ({ seenMs }: Cell, countedWh: number, wms: number, sinceMs: number): number =>
  countedWh + (seenMs > 0 ? (wms * (sinceMs / seenMs)) / MS_PER_HOUR : 0);
