/**
 * What nvidia-smi prints, as text: query field lists, CSV cells, the `--help-query-gpu` list, compute
 * processes, and frames of N lines out of a `--loop-ms` stream. Written from captures of drivers 590 to 610.
 */
import type { FaultCode } from '../faults.ts';

/** Fields asked every second, in order; reduced to what the driver on the host knows. */
export const HOT_FIELDS = [
  'index',
  'uuid',
  'pstate',
  'power.draw.instant',
  'power.draw.average',
  'power.draw',
  'enforced.power.limit',
  'power.limit',
  'utilization.gpu',
  'memory.used',
  'temperature.gpu',
  'clocks_event_reasons.active',
  'mig.mode.current',
] as const;

/** Fields every driver of the last ten years knows: asked when the host's own list cannot be had. */
export const PLAIN_FIELDS = [
  'index',
  'uuid',
  'power.draw',
  'enforced.power.limit',
  'power.limit',
  'utilization.gpu',
  'memory.used',
  'temperature.gpu',
] as const;

/** Fields asked once when a connection is made. */
export const INVENTORY_FIELDS = [
  'index',
  'uuid',
  'driver_version',
  'power.min_limit',
  'power.max_limit',
  'power.default_limit',
  'persistence_mode',
  'name',
] as const;

/** Fields that tell what cap is in force, asked after one was set. */
export const LIMIT_FIELDS = ['index', 'enforced.power.limit', 'power.limit'] as const;

/** Fields of one compute process; the name stands last because it may hold commas. */
const APP_FIELDS = ['gpu_uuid', 'pid', 'used_gpu_memory', 'process_name'] as const;

const FORMAT = '--format=csv,noheader,nounits';

/** Words of a one-shot query of all GPUs. */
export function queryGpu(fields: readonly string[]): string[] {
  return ['nvidia-smi', `--query-gpu=${fields.join(',')}`, FORMAT];
}

/** Words of a query that prints one line per GPU every `everyMs` until it is ended. */
export function loopGpu(fields: readonly string[], everyMs: number): string[] {
  return [...queryGpu(fields), `--loop-ms=${everyMs}`];
}

/** Words of the query of compute processes. */
export function queryApps(): string[] {
  return ['nvidia-smi', `--query-compute-apps=${APP_FIELDS.join(',')}`, FORMAT];
}

/** Words that set the power limit of one GPU, whole W. */
export function setLimit(index: number, limitW: number): string[] {
  return ['nvidia-smi', '-i', String(index), '-pl', String(Math.round(limitW))];
}

/** One cell: a number, or why there is none and the text that stood there. */
export type Cell =
  | { readonly ok: true; readonly value: number }
  | { readonly ok: false; readonly why: FaultCode; readonly text: string };

const NUMBER = /^([+-]?\d+(?:\.\d*)?(?:[eE][+-]?\d+)?)(?: ?(?:W|MiB|%|MHz|C|us|ms))?$/;
const HEX = /^0x[0-9A-Fa-f]{1,16}$/;
const ABSENT = new Set([
  '',
  'n/a',
  'not supported',
  'function not found',
  'requested functionality has been deprecated',
]);

/** The number of a cell, whatever unit follows it; everything else becomes a reason. */
export function cellOf(text: string | undefined): Cell {
  if (text === undefined) return { ok: false, why: 'VALUE_MISSING', text: '' };
  const trimmed = text.trim();
  const match = NUMBER.exec(trimmed);
  if (match !== null || HEX.test(trimmed)) {
    const value = Number(match?.[1] ?? trimmed);
    return Number.isFinite(value) ? { ok: true, value } : { ok: false, why: 'VALUE_INVALID', text: trimmed };
  }
  const word = trimmed.replace(/^\[|\]$/g, '').toLowerCase();
  if (ABSENT.has(word)) return { ok: false, why: 'VALUE_MISSING', text: trimmed };
  if (word === 'gpu is lost') return { ok: false, why: 'DEVICE_LOST', text: trimmed };
  return { ok: false, why: 'VALUE_INVALID', text: trimmed.slice(0, 80) };
}

/** One printed line by field name: text as printed, trimmed. */
export type Row = Readonly<Partial<Record<string, string>>>;

/** Longest line that is looked at; real ones are below 400 characters. */
const MAX_LINE = 8_192;

/** Splits a line into the asked fields; undefined when it does not have as many, as error messages do not. */
export function rowOf(fields: readonly string[], line: string): Row | undefined {
  if (line.length > MAX_LINE) return undefined;
  const cells = line.split(',');
  if (cells.length !== fields.length) return undefined;
  const row: Record<string, string> = {};
  for (let at = 0; at < cells.length; at += 1) row[fields[at] ?? ''] = (cells[at] ?? '').trim();
  return row;
}

/** Every line of a query that is a row; other lines are left out. */
export function rowsOf(fields: readonly string[], text: string): Row[] {
  const rows: Row[] = [];
  for (const line of text.split('\n', MAX_GPUS * 2)) {
    const row = rowOf(fields, line);
    if (row !== undefined && indexOf(row) !== undefined) rows.push(row);
  }
  return rows;
}

/** GPU index of a row: 0 to 255, else undefined. */
export function indexOf(row: Row): number | undefined {
  return gpuIndex(row['index'] ?? '');
}

function gpuIndex(text: string): number | undefined {
  if (!/^\d{1,3}$/.test(text)) return undefined;
  const index = Number(text);
  return index < MAX_GPUS ? index : undefined;
}

/** The most GPUs a host is believed to have; what claims more is garbage. */
const MAX_GPUS = 64;
/** No board draws more; a larger figure is a broken sensor or a wrong unit. */
const MAX_BOARD_W = 5_000;

/**
 * Draw of one GPU, W: instant, else average, else `power.draw`, because which of the three a board fills
 * differs by model and driver. VALUE_IMPLAUSIBLE beyond 0 to 5 kW.
 */
export function powerOf(row: Row): Cell {
  let last: Cell = { ok: false, why: 'VALUE_MISSING', text: '' };
  for (const field of ['power.draw.instant', 'power.draw.average', 'power.draw']) {
    if (row[field] === undefined) continue;
    const cell = bounded(cellOf(row[field]), 0, MAX_BOARD_W);
    if (cell.ok) return cell;
    last = cell;
  }
  return last;
}

/** The same cell, or VALUE_IMPLAUSIBLE when its number is outside `min` to `max`. */
export function bounded(cell: Cell, min: number, max: number): Cell {
  if (!cell.ok || (cell.value >= min && cell.value <= max)) return cell;
  return { ok: false, why: 'VALUE_IMPLAUSIBLE', text: String(cell.value) };
}

/** Every field name `--help-query-gpu` lists, aliases included; empty when the text is not such a list. */
export function helpFields(help: string): Set<string> {
  const names = new Set<string>();
  for (const line of help.slice(0, 1 << 20).split('\n')) {
    if (!line.startsWith('"')) continue;
    for (const match of line.matchAll(/"([A-Za-z0-9_.]{1,100})"/g))
      if (match[1] !== undefined) names.add(match[1]);
  }
  return names;
}

/** The fields to ask of a driver with this help text: the hot list it knows, or the plain list when it tells none. */
export function usableFields(help: string | undefined): readonly string[] {
  const known = helpFields(help ?? '');
  const usable = HOT_FIELDS.filter((field) => known.has(field));
  return usable.includes('index') && usable.includes('uuid') ? usable : PLAIN_FIELDS;
}

/** One process that holds a context on one GPU. A process on eight GPUs has eight rows. */
export interface ComputeApp {
  readonly gpuUuid: string;
  readonly pid: number;
  /** Undefined where the driver does not tell. */
  readonly memoryMib: number | undefined;
  readonly name: string;
}

/** The compute processes, or undefined when any line cannot be understood: a process unseen is not a process absent. */
export function computeApps(text: string): readonly ComputeApp[] | undefined {
  const apps: ComputeApp[] = [];
  for (const line of text.split('\n')) {
    const trimmed = line.trim();
    if (trimmed === '' || trimmed === 'No running processes found') continue;
    const match = /^([^,]+),\s*(\d{1,10}),\s*([^,]*),\s*(.*)$/.exec(trimmed);
    if (match === null || apps.length >= 4_096) return undefined;
    const memory = cellOf(match[3]);
    apps.push({
      gpuUuid: (match[1] ?? '').trim(),
      pid: Number(match[2]),
      memoryMib: memory.ok ? memory.value : undefined,
      name: match[4] ?? '',
    });
  }
  return apps;
}

/** One round of the loop: rows by GPU index. `complete`: every expected GPU is in it. */
export interface Frame {
  readonly rows: ReadonlyMap<number, Row>;
  readonly complete: boolean;
}

/**
 * Makes frames out of the lines of a loop. A frame is done when all `expected` GPUs are in it, or when the
 * index turns over; without `expected`, only the turn-over shows its end.
 */
export class FrameAssembler {
  readonly #fields: readonly string[];
  readonly #expected: number | undefined;
  /** Which cell is the index of the GPU. */
  readonly #indexAt: number;
  #lines = new Map<number, string>();
  #last = -1;
  /** Lines that were no row since the start. */
  rejected = 0;

  constructor(fields: readonly string[], expected: number | undefined) {
    this.#fields = fields;
    this.#expected = expected;
    this.#indexAt = fields.indexOf('index');
  }

  /** Takes one line; gives the frame it ended, if it did. */
  push(line: string): Frame | undefined {
    if (line.trim() === '') return undefined;
    const index = this.#indexOf(line);
    if (index === undefined) {
      this.rejected += 1;
      return undefined;
    }
    let done: Frame | undefined;
    if (index <= this.#last && this.#lines.size > 0) done = this.#end(this.#expected === undefined);
    this.#lines.set(index, line);
    this.#last = index;
    if (this.#lines.size === this.#expected) {
      done = this.#end(true);
      this.#last = -1;
    }
    return done;
  }

  #end(complete: boolean): Frame {
    const lines = this.#lines;
    this.#lines = new Map();
    return new LazyFrame(this.#fields, lines, complete);
  }

  /** Index of the GPU a line tells of; undefined when it is no row. */
  #indexOf(line: string): number | undefined {
    if (line.length > MAX_LINE) return undefined;
    let cell = 0;
    let from = 0;
    let index: string | undefined;
    for (;;) {
      const comma = line.indexOf(',', from);
      if (cell === this.#indexAt) index = line.slice(from, comma < 0 ? undefined : comma);
      cell += 1;
      if (comma < 0) break;
      from = comma + 1;
    }
    return cell === this.#fields.length && index !== undefined ? gpuIndex(index.trim()) : undefined;
  }
}

/** Its lines are taken apart when they are asked for: a loop prints more rounds than anybody reads. */
class LazyFrame implements Frame {
  readonly complete: boolean;
  readonly #fields: readonly string[];
  readonly #lines: ReadonlyMap<number, string>;
  #rows: ReadonlyMap<number, Row> | undefined;

  constructor(fields: readonly string[], lines: ReadonlyMap<number, string>, complete: boolean) {
    this.#fields = fields;
    this.#lines = lines;
    this.complete = complete;
  }

  get rows(): ReadonlyMap<number, Row> {
    return (this.#rows ??= new Map(
      [...this.#lines].map(([index, line]) => [index, rowOf(this.#fields, line) ?? {}]),
    ));
  }
}
