import type { IntervalEnergy } from '../../protocols/mqtt/energy.ts';
import type { Book, BookRules, Cell } from './interval-book.ts';
import { reach } from './interval-book.ts';

const MS_PER_HOUR = 3_600_000;
/** Power read for this share of what no count covers stands in for it until there is one. */
const ENOUGH_SHARE = 0.5;
/** Of the square of the flow this much must have been read; else that of the mean counts. */
const SQUARE_SHARE = 0.1;

/** The agent's clock against the controller's. */
export interface ClockError {
  readonly offsetMs: number;
  readonly boundMs: number;
}

/**
 * What is to be published now, and takes it as published: intervals whose end is counted, for good; and those that
 * wait for it for longer than `graceMs`, by power or as missing, to be corrected when it comes.
 */
export function settle(
  book: Book,
  rules: BookRules,
  nowMs: number,
  clock: ClockError | undefined,
): IntervalEnergy[] {
  const { countMs } = book;
  if (countMs === null || !reach(book, rules, Math.max(nowMs, countMs))) return [];
  const published: IntervalEnergy[] = [];
  for (const cell of book.cells) {
    const isCounted = cell.endMs <= countMs;
    if (!isCounted && (cell.published > 0 || cell.endMs + rules.graceMs > nowMs)) continue;
    cell.published += 1;
    const revision = book.base + cell.published;
    book.highest = Math.max(book.highest, revision);
    const energy = isCounted ? counted(cell, rules) : waiting(cell, rules, countMs);
    published.push({ ...head(cell, rules, revision), ...energy, ...clockOf(cell, energy, clock) });
  }
  book.cells = book.cells.filter(({ endMs }) => endMs > countMs);
  return published;
}

type Head = Pick<IntervalEnergy, 'meter' | 'revision' | 'startMs' | 'endMs' | 'intervalMin' | 'timeZone'>;
type Energy = Omit<IntervalEnergy, keyof Head | 'clock'>;

const head = ({ startMs, endMs }: Cell, { meter, calendar }: BookRules, revision: number): Head => ({
  meter,
  revision,
  startMs,
  endMs,
  ...calendar,
});

function counted(cell: Cell, rules: BookRules): Energy {
  const why = cell.why === '' ? {} : { why: cell.why };
  if (cell.unknown) return { quality: 'missing', method: rules.source, estimatedWh: 0, boundWh: 0, ...why };
  const { importWh, exportWh, boundWh, setMs, startMs, endMs } = cell;
  const shiftedWh = (importWh + exportWh) * Math.min(1, setMs / (endMs - startMs));
  const estimatedWh = Math.max(cell.estimatedWh, shiftedWh);
  return {
    quality: estimatedWh > 0 || setMs > 0 ? 'estimated' : 'good',
    method: rules.source,
    importWh: rounded(importWh),
    exportWh: rounded(exportWh),
    estimatedWh: rounded(estimatedWh),
    boundWh: rounded(boundWh),
    ...settled(cell, rules, importWh, exportWh),
    ...why,
  };
}

/** Of one whose end is not counted yet: by power, when enough of it was read. */
function waiting(cell: Cell, rules: BookRules, countMs: number): Energy {
  const openMs = cell.endMs - Math.max(cell.startMs, countMs);
  const seenMs = Math.min(cell.seenMs, openMs);
  const why = { why: 'its end is not counted yet; what is counted then corrects this' };
  if (cell.unknown || seenMs < ENOUGH_SHARE * openMs)
    return { quality: 'missing', method: rules.source, estimatedWh: 0, boundWh: 0, ...why };
  const scale = openMs / cell.seenMs / MS_PER_HOUR;
  const [importWh, exportWh] = [cell.importWms * scale, cell.exportWms * scale];
  const [allImportWh, allExportWh] = [cell.importWh + importWh, cell.exportWh + exportWh];
  return {
    quality: 'estimated',
    method: 'power',
    importWh: rounded(allImportWh),
    exportWh: rounded(allExportWh),
    estimatedWh: rounded(cell.estimatedWh + importWh + exportWh),
    // Nothing is proven of it but what can flow at most.
    boundWh: rounded(cell.boundWh + Math.max(importWh + exportWh, (rules.mostW * openMs) / MS_PER_HOUR)),
    ...settled(cell, rules, allImportWh, allExportWh),
    ...why,
  };
}

/** As the market settles: losses add to what is taken and lessen what is given. */
function settled(
  cell: Cell,
  { transformer, lossFactor }: BookRules,
  importWh: number,
  exportWh: number,
): Pick<IntervalEnergy, 'lossWh' | 'settledImportWh' | 'settledExportWh'> {
  if (transformer === undefined && lossFactor === 1) return {};
  const lossWh = transformer === undefined ? 0 : lossOf(cell, transformer, importWh + exportWh);
  const flowWh = importWh + exportWh;
  // What export cannot bear, all of it when nothing flows, is taken from the grid.
  const lostExportWh = flowWh > 0 ? Math.min(exportWh, (lossWh * exportWh) / flowWh) : 0;
  return {
    lossWh: rounded(lossWh),
    settledImportWh: rounded((importWh + lossWh - lostExportWh) * lossFactor),
    settledExportWh: rounded((exportWh - lostExportWh) / lossFactor),
  };
}

/** No-load losses all the time; load losses by the mean square of what flowed against the rating. */
function lossOf(
  { startMs, endMs, squares, squareSeenMs }: Cell,
  { ratedKva, noLoadKw, loadLossPct }: NonNullable<BookRules['transformer']>,
  flowWh: number,
): number {
  const lengthMs = endMs - startMs;
  const hours = lengthMs / MS_PER_HOUR;
  const ratedVa = ratedKva * 1_000;
  const meanSquare = squareSeenMs >= SQUARE_SHARE * lengthMs ? squares / squareSeenMs : (flowWh / hours) ** 2;
  return (noLoadKw * 1_000 + (loadLossPct / 100) * ratedVa * (meanSquare / ratedVa ** 2)) * hours;
}

/** A clock that is off moves both ends of the interval. */
function clockOf(
  { startMs, endMs, startW, endW }: Cell,
  { importWh = 0, exportWh = 0 }: Energy,
  clock: ClockError | undefined,
): Pick<IntervalEnergy, 'clock'> {
  if (clock === undefined) return {};
  const meanW = ((importWh + exportWh) / (endMs - startMs)) * MS_PER_HOUR;
  const edgesW = Math.abs(startW ?? meanW) + Math.abs(endW ?? meanW);
  const offMs = Math.abs(clock.offsetMs) + clock.boundMs;
  return {
    clock: {
      offsetMs: Math.round(clock.offsetMs),
      boundMs: Math.round(clock.boundMs),
      errorWh: rounded((offMs * edgesW) / MS_PER_HOUR),
    },
  };
}

/** Micro-watt-hours: far below any register, so that sums stay what they are. */
const rounded = (wh: number): number => Math.round(wh * 1e6) / 1e6;
