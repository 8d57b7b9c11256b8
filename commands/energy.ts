import { parseArgs } from 'node:util';
import type { LedgerRecord } from '../controller/core/events.ts';
import { readLog } from '../host/disklog-format.ts';
import { Fault } from '../protocols/faults.ts';
import { dayStart, nextBoundary, offsetAt } from '../protocols/metering/calendar.ts';
import type { IntervalEnergy } from '../protocols/mqtt/energy.ts';
import { ledgerFile, mustBeLedger } from './ledger-file.ts';

const help = `Usage: ./switchyard energy FILE [--meter ID] [--from TIME] [--to TIME] [--revisions] [--json | --csv]

What revenue meters counted per interval of the market, from a ledger (DATA/ledger.log) whose chain is checked first.
Times are 2026-03-08 (the beginning of that day by the meter's market) or 2026-03-08T06:00:00Z; --to is not included.
Of each interval the newest revision; one of which nothing stands in the ledger is shown as missing.
--revisions: every revision as it was published, and no others; sums are of the newest all the same.
`;

const MINUTE_MS = 60_000;

/** `./switchyard energy`. */
export async function run(argv: string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args: argv,
    allowPositionals: true,
    options: {
      meter: { type: 'string' },
      from: { type: 'string' },
      to: { type: 'string' },
      revisions: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      csv: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h' },
    },
  });
  if (values.help === true) {
    process.stdout.write(help);
    return 0;
  }
  const [file, ...rest] = positionals;
  if (file === undefined || rest.length > 0) throw new Fault('USAGE', 'energy takes one ledger file');
  if (values.json && values.csv) throw new Fault('USAGE', '--json or --csv, not both');
  process.stdout.write(reportOf(await ledgerFile(file), values));
  return 0;
}

export interface ReportOptions {
  readonly meter?: string | undefined;
  readonly from?: string | undefined;
  readonly to?: string | undefined;
  readonly revisions?: boolean;
  readonly json?: boolean;
  readonly csv?: boolean;
}

/** What the command prints of a ledger. Throws USAGE, and LEDGER_BROKEN where its chain is. */
export function reportOf(ledger: Uint8Array, options: ReportOptions): string {
  const { meter: wanted, from, to } = options;
  const stored = intervalsIn(ledger).filter(({ meter }) => wanted === undefined || meter === wanted);
  if (stored.length === 0)
    throw new Fault(
      'USAGE',
      wanted === undefined
        ? 'the ledger has no intervals: `revenue` at a meter of the site file makes them, the first one when it ends'
        : `the ledger has no intervals of ${wanted}`,
    );
  const within = (one: IntervalEnergy): boolean =>
    one.startMs >= momentOf(from, one, -Infinity) && one.startMs < momentOf(to, one, Infinity);
  const last = newest(stored).filter(within);
  const shown = options.revisions === true ? stored.filter(within) : last;
  // Of what was corrected only the last word flowed.
  const sums = sumsOf(last);
  if (options.json === true) return `${JSON.stringify({ intervals: shown, sums })}\n`;
  return options.csv === true ? csvOf(shown) : textOf(shown, sums);
}

function intervalsIn(ledger: Uint8Array): IntervalEnergy[] {
  const decoder = new TextDecoder();
  const { records, tornBytes } = readLog(ledger);
  mustBeLedger(records.length, tornBytes);
  return records.flatMap((payload) => {
    const record = JSON.parse(decoder.decode(payload)) as LedgerRecord;
    return record.t === 'energy' ? [record.interval] : [];
  });
}

function momentOf(text: string | undefined, { timeZone }: IntervalEnergy, otherwise: number): number {
  if (text === undefined) return otherwise;
  const moment = dayStart(text, timeZone) ?? (/Z$|[+-]\d\d:\d\d$/.test(text) ? Date.parse(text) : Number.NaN);
  if (Number.isNaN(moment))
    throw new Fault(
      'USAGE',
      `'${text}' is neither a day (2026-03-08) nor a time with its zone (2026-03-08T06:00:00Z)`,
    );
  return moment;
}

/** The last word on every interval from a meter's first to its last, by meter and time; without one, that it is missing. */
export function newest(stored: readonly IntervalEnergy[]): IntervalEnergy[] {
  return [...Map.groupBy(stored, ({ meter }) => meter).values()].flatMap((own) => {
    const last = new Map<number, IntervalEnergy>();
    for (const one of own)
      if ((last.get(one.startMs)?.revision ?? 0) < one.revision) last.set(one.startMs, one);
    const sorted = [...last.values()].toSorted((a, b) => a.startMs - b.startMs);
    return sorted.flatMap((one, place) => [...missingBetween(sorted[place - 1], one), one]);
  });
}

function missingBetween(before: IntervalEnergy | undefined, next: IntervalEnergy): IntervalEnergy[] {
  const missing: IntervalEnergy[] = [];
  if (before === undefined) return missing;
  const { meter, intervalMin, timeZone, method } = before;
  for (let startMs = before.endMs; startMs < next.startMs;) {
    const endMs = Math.min(next.startMs, nextBoundary(startMs, { intervalMin, timeZone }));
    const why = 'nothing of it stands in the ledger';
    const nothing = { quality: 'missing', method, estimatedWh: 0, boundWh: 0, why } as const;
    missing.push({ meter, revision: 0, startMs, endMs, intervalMin, timeZone, ...nothing });
    startMs = endMs;
  }
  return missing;
}

/** Per meter; `missing`: intervals that are not in the sums. */
function sumsOf(intervals: readonly IntervalEnergy[]): Record<string, Record<string, number>> {
  return Object.fromEntries(
    [...Map.groupBy(intervals, ({ meter }) => meter)].map(([meter, own]) => {
      const sum = (of: (one: IntervalEnergy) => number): number =>
        own.reduce((total, one) => total + of(one), 0);
      return [
        meter,
        {
          intervals: own.length,
          missing: own.filter(({ quality }) => quality === 'missing').length,
          importWh: sum(({ importWh = 0 }) => importWh),
          exportWh: sum(({ exportWh = 0 }) => exportWh),
          estimatedWh: sum(({ estimatedWh }) => estimatedWh),
          settledImportWh: sum(({ importWh = 0, settledImportWh = importWh }) => settledImportWh),
          settledExportWh: sum(({ exportWh = 0, settledExportWh = exportWh }) => settledExportWh),
        },
      ];
    }),
  );
}

const utc = (ms: number): string => new Date(ms).toISOString();

/** By the market's clocks, with their offset. */
function local(ms: number, timeZone: string): string {
  const offsetMs = offsetAt(ms, timeZone);
  const minutes = Math.abs(offsetMs) / MINUTE_MS;
  const two = (value: number): string => String(Math.floor(value)).padStart(2, '0');
  return `${utc(ms + offsetMs).slice(0, 16)}${offsetMs < 0 ? '-' : '+'}${two(minutes / 60)}:${two(minutes % 60)}`;
}

const COLUMNS: readonly (readonly [
  name: string,
  of: (one: IntervalEnergy) => string | number | undefined,
])[] = [
  ['meter', ({ meter }) => meter],
  ['start_utc', ({ startMs }) => utc(startMs)],
  ['end_utc', ({ endMs }) => utc(endMs)],
  ['start_local', ({ startMs, timeZone }) => local(startMs, timeZone)],
  ['revision', ({ revision }) => revision],
  ['quality', ({ quality }) => quality],
  ['method', ({ method }) => method],
  ['import_wh', ({ importWh }) => importWh],
  ['export_wh', ({ exportWh }) => exportWh],
  ['estimated_wh', ({ estimatedWh }) => estimatedWh],
  ['bound_wh', ({ boundWh }) => boundWh],
  ['loss_wh', ({ lossWh }) => lossWh],
  ['settled_import_wh', ({ settledImportWh }) => settledImportWh],
  ['settled_export_wh', ({ settledExportWh }) => settledExportWh],
  ['clock_offset_ms', ({ clock }) => clock?.offsetMs],
  ['clock_bound_ms', ({ clock }) => clock?.boundMs],
  ['clock_error_wh', ({ clock }) => clock?.errorWh],
  ['why', ({ why }) => why],
];

function csvOf(intervals: readonly IntervalEnergy[]): string {
  const cell = (value: string | number | undefined): string => {
    const text = String(value ?? '');
    return /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  const lines = intervals.map((one) => COLUMNS.map(([, of]) => cell(of(one))).join(','));
  return [COLUMNS.map(([name]) => name).join(','), ...lines, ''].join('\n');
}

const kwh = (wh: number | undefined): string =>
  (wh === undefined ? '-' : (wh / 1_000).toFixed(3)).padStart(13);

function textOf(intervals: readonly IntervalEnergy[], sums: ReturnType<typeof sumsOf>): string {
  const lines = intervals.map((one) => {
    const { meter, startMs, timeZone, importWh, exportWh, boundWh, settledImportWh, clock, revision } = one;
    const within =
      one.quality === 'missing' ? '' : `± ${((boundWh + (clock?.errorWh ?? 0)) / 1_000).toFixed(3)}`;
    return [
      meter.padEnd(12),
      local(startMs, timeZone),
      kwh(importWh),
      kwh(exportWh),
      kwh(settledImportWh ?? importWh),
      within.padEnd(11),
      `${one.quality}${revision > 1 ? `, revision ${revision}` : ''}${one.why === undefined ? '' : `: ${one.why}`}`,
    ].join('  ');
  });
  const heads = ['import kWh', 'export kWh', 'settled kWh'].map((name) => name.padStart(13));
  const totals = Object.entries(sums).map(
    ([meter, { intervals: count, missing, importWh, exportWh, estimatedWh, settledImportWh }]) =>
      `${meter}: ${count} intervals, ${missing} missing; import ${kwh(importWh).trim()} kWh, export ${kwh(exportWh).trim()}, settled ${kwh(settledImportWh).trim()}, of it by estimate ${kwh(estimatedWh).trim()}`,
  );
  return [
    `${'meter'.padEnd(12)}  ${'begins'.padEnd(22)}  ${heads.join('  ')}  off by at most`,
    ...lines,
    ...totals,
    '',
  ].join('\n');
}
