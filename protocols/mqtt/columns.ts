import { badMessage } from './bytes.ts';
import type { ByteReader, ByteWriter } from './bytes.ts';
import { MOST_SCALED } from './fields.ts';
import { readIntegers, writeIntegers } from './integers.ts';

/**
 * What a cell is. 0: this row has no such quantity. 1 to 6: a value. From `MISSING` on: there is none, and
 * `state - MISSING` is the wire number of the reason.
 */
export const ABSENT = 0;
export const GOOD = 1;
export const UNCERTAIN = 2;
export const GOOD_MEASURED = 3;
export const GOOD_ESTIMATED = 4;
export const UNCERTAIN_MEASURED = 5;
export const UNCERTAIN_ESTIMATED = 6;
export const MISSING = 16;

/** True when a cell of this state holds a value. */
export const hasValue = (state: number): boolean => state >= GOOD && state <= UNCERTAIN_ESTIMATED;

/** One quantity over all rows. */
export interface Column {
  readonly wireId: number;
  readonly states: Uint8Array;
  /** Scaled integers; 0 where the state holds no value. */
  readonly values: Float64Array;
  /** Index into the table's `ages`. */
  readonly ageSet: number;
}

/** Rows × quantities of scaled integers, at one time. Columns ascend by wire number. */
export interface Table {
  readonly rowCount: number;
  /** UTC ms that sample ages are counted back from. */
  readonly tickMs: number;
  /** Sets of sample ages in ms, one number per row; columns sampled together share one. */
  readonly ages: readonly Float64Array[];
  readonly columns: readonly Column[];
}

export const MOST_ROWS = 4_096;
const MOST_FIELDS = 512;
/** Bounds what a small message can make the reader allocate. */
const MOST_CELLS = 262_144;
/** About 17,000 years: an age with the time between two ticks added still gives exact differences. */
export const MOST_AGE_MS = 2 ** 49;

const STATES_ALL = 0;
const STATES_SAME = 1;
const STATES_RUNS = 2;
const VALUES_SAME = 4;
const AGE_SHIFT = 3;
const AGE_FOLLOWS = 31;

const AGES_KEY = 0;
const AGES_CHANGED = 1;
const AGES_NOT_SAMPLED = 2;

/** Writes a table by itself, or as the difference to a previous one with the same rows. */
export function writeTable(writer: ByteWriter, table: Table, previous?: Table): void {
  if (previous && previous.rowCount !== table.rowCount) throw badMessage('a difference needs the same rows');
  writer.varint(table.ages.length);
  table.ages.forEach((ages, index) => writeAges(writer, table, ages, previous, index));
  writer.varint(table.columns.length);
  let wireId = 0;
  const before = new ColumnsInOrder(previous);
  for (const column of table.columns) {
    writer.varint(column.wireId - wireId);
    wireId = column.wireId;
    writeColumn(writer, column, before.find(wireId));
  }
  writer.u32(tableCheck(table));
}

/** Reads a table that writeTable wrote, with the same previous one; throws Fault BUS_MESSAGE. */
export function readTable(
  reader: ByteReader,
  shape: { rowCount: number; tickMs: number },
  previous?: Table,
): Table {
  if (previous && previous.rowCount !== shape.rowCount) throw badMessage('a difference needs the same rows');
  const sets = reader.varint(MOST_FIELDS);
  if (sets * shape.rowCount > MOST_CELLS) throw badMessage('it has too many cells');
  const ages: Float64Array[] = [];
  for (let index = 0; index < sets; index += 1) ages.push(readAges(reader, shape, previous, index));
  const count = reader.varint(MOST_FIELDS);
  if (count * shape.rowCount > MOST_CELLS) throw badMessage('it has too many cells');
  const columns: Column[] = [];
  const before = new ColumnsInOrder(previous);
  let wireId = 0;
  for (let index = 0; index < count; index += 1) {
    const step = reader.varint(0xffff);
    if (step === 0 || wireId + step > 0xffff) throw badMessage('columns are out of order');
    wireId += step;
    columns.push(readColumn(reader, { wireId, rowCount: shape.rowCount, sets }, before.find(wireId)));
  }
  const table: Table = { rowCount: shape.rowCount, tickMs: shape.tickMs, ages, columns };
  if (reader.u32() !== tableCheck(table)) throw badMessage('the values do not fit their check number');
  return table;
}

/** Finds columns by ascending wire number, each once. */
class ColumnsInOrder {
  readonly #columns: readonly Column[];
  #at = 0;

  constructor(table: Table | undefined) {
    this.#columns = table?.columns ?? [];
  }

  find(wireId: number): Column | undefined {
    let column = this.#columns[this.#at];
    while (column !== undefined && column.wireId < wireId) column = this.#columns[++this.#at];
    return column?.wireId === wireId ? column : undefined;
  }
}

/** By how much ages are expected to have grown since the previous table when nothing was sampled. */
function grownMs(table: { tickMs: number }, previous: Table, sampled: boolean): number {
  return sampled ? 0 : table.tickMs - previous.tickMs;
}

function writeAges(
  writer: ByteWriter,
  table: Table,
  ages: Float64Array,
  previous: Table | undefined,
  set: number,
): void {
  let mode = AGES_KEY;
  let differences = new Float64Array(ages.length);
  for (let row = 0; row < ages.length; row += 1)
    differences[row] = (ages[row] ?? 0) - (row > 0 ? (ages[row - 1] ?? 0) : 0);
  const before = previous?.ages[set];
  if (previous && before) {
    let least = weight(differences);
    for (const candidate of [AGES_CHANGED, AGES_NOT_SAMPLED]) {
      if (least === 0) break;
      const grown = grownMs(table, previous, candidate === AGES_CHANGED);
      const against = new Float64Array(ages.length);
      for (let row = 0; row < ages.length; row += 1)
        against[row] = (ages[row] ?? 0) - ((before[row] ?? 0) + grown);
      const bits = weight(against);
      if (bits >= least) continue;
      mode = candidate;
      differences = against;
      least = bits;
    }
  }
  writer.u8(mode);
  writeIntegers(writer, differences);
}

/** Roughly how many bits differences need. */
function weight(differences: Float64Array): number {
  let bits = 0;
  for (let row = 0; row < differences.length; row += 1) {
    const size = Math.abs(differences[row] ?? 0);
    if (size > 0) bits += Math.log2(1 + size);
  }
  return bits;
}

function readAges(
  reader: ByteReader,
  shape: { rowCount: number; tickMs: number },
  previous: Table | undefined,
  set: number,
): Float64Array {
  const mode = reader.u8();
  const ages = readIntegers(reader, shape.rowCount);
  if (mode === AGES_KEY) {
    for (let row = 1; row < ages.length; row += 1) ages[row] = (ages[row] ?? 0) + (ages[row - 1] ?? 0);
  } else {
    const before = previous?.ages[set];
    if (!previous || !before || mode > AGES_NOT_SAMPLED) throw badMessage('ages without their base');
    const grown = grownMs(shape, previous, mode === AGES_CHANGED);
    for (let row = 0; row < ages.length; row += 1)
      ages[row] = (ages[row] ?? 0) + ((before[row] ?? 0) + grown);
  }
  for (let row = 0; row < ages.length; row += 1)
    if (!(Math.abs(ages[row] ?? 0) <= MOST_AGE_MS)) throw badMessage('an age is out of range');
  return ages;
}

function writeColumn(writer: ByteWriter, column: Column, before: Column | undefined): void {
  const { states, ageSet } = column;
  const sameStates = before !== undefined && equalStates(states, before.states);
  const sameValues = before !== undefined && keepsValues(column, before);
  const one = allEqual(states);
  const stateMode = one ? STATES_ALL : sameStates ? STATES_SAME : STATES_RUNS;
  const ageCode = Math.min(ageSet, AGE_FOLLOWS);
  writer.u8(stateMode | (sameValues ? VALUES_SAME : 0) | (ageCode << AGE_SHIFT));
  if (ageCode === AGE_FOLLOWS) writer.varint(ageSet);
  if (stateMode === STATES_ALL) writer.u8(states[0] ?? 0);
  if (stateMode === STATES_RUNS) writeRuns(writer, states);
  if (!sameValues) writeValues(writer, column, before);
}

function equalStates(states: Uint8Array, others: Uint8Array): boolean {
  for (let row = 0; row < states.length; row += 1) if (states[row] !== others[row]) return false;
  return true;
}

function allEqual(states: Uint8Array): boolean {
  for (let row = 1; row < states.length; row += 1) if (states[row] !== states[0]) return false;
  return true;
}

function keepsValues({ states, values }: Column, before: Column): boolean {
  for (let row = 0; row < values.length; row += 1)
    if (hasValue(states[row] ?? 0) && values[row] !== baseValue(before, row)) return false;
  return true;
}

const baseValue = (before: Column, row: number): number =>
  hasValue(before.states[row] ?? 0) ? (before.values[row] ?? 0) : 0;

function writeRuns(writer: ByteWriter, states: Uint8Array): void {
  for (let row = 0; row < states.length;) {
    let end = row + 1;
    while (end < states.length && states[end] === states[row]) end += 1;
    writer.u8(states[row] ?? 0);
    writer.varint(end - row - 1);
    row = end;
  }
}

// Only rows that have a value are written. Without a previous column each is written against the row before it.
function writeValues(writer: ByteWriter, column: Column, before: Column | undefined): void {
  const differences = new Float64Array(column.values.length);
  let count = 0;
  let above = 0;
  for (let row = 0; row < column.values.length; row += 1) {
    if (!hasValue(column.states[row] ?? 0)) continue;
    const value = column.values[row] ?? 0;
    differences[count] = value - (before ? baseValue(before, row) : above);
    above = value;
    count += 1;
  }
  writeIntegers(writer, differences.subarray(0, count));
}

function readColumn(
  reader: ByteReader,
  shape: { wireId: number; rowCount: number; sets: number },
  before: Column | undefined,
): Column {
  const control = reader.u8();
  const ageCode = control >>> AGE_SHIFT;
  const ageSet = ageCode === AGE_FOLLOWS ? reader.varint(MOST_FIELDS) : ageCode;
  if (ageSet >= shape.sets) throw badMessage('a column names no age set');
  const states = readStates(reader, control & 3, shape.rowCount, before);
  const values = new Float64Array(shape.rowCount);
  const kept = (control & VALUES_SAME) !== 0;
  if (kept && !before) throw badMessage('a column without its base');
  let count = 0;
  for (const state of states) if (hasValue(state)) count += 1;
  const differences = kept ? undefined : readIntegers(reader, count);
  let next = 0;
  let above = 0;
  for (let row = 0; row < values.length; row += 1) {
    if (!hasValue(states[row] ?? 0)) continue;
    const value = (before ? baseValue(before, row) : above) + (differences?.[next] ?? 0);
    if (Math.abs(value) > MOST_SCALED) throw badMessage('a value is out of range');
    values[row] = value;
    above = value;
    next += 1;
  }
  return { wireId: shape.wireId, states, values, ageSet };
}

function readStates(
  reader: ByteReader,
  mode: number,
  rowCount: number,
  before: Column | undefined,
): Uint8Array {
  if (mode === STATES_ALL) return new Uint8Array(rowCount).fill(reader.u8());
  if (mode === STATES_SAME) {
    if (!before) throw badMessage('a column without its base');
    return before.states.slice();
  }
  if (mode !== STATES_RUNS) throw badMessage('an unknown column coding');
  const states = new Uint8Array(rowCount);
  for (let row = 0; row < rowCount;) {
    const state = reader.u8();
    const end = row + reader.varint(rowCount) + 1;
    if (end > rowCount) throw badMessage('a run is longer than its column');
    states.fill(state, row, end);
    row = end;
  }
  return states;
}

/**
 * A 32-bit number over every cell (FNV-1a by words). It is sent with the table, so that a difference applied to
 * another base than the sender's is noticed instead of giving wrong values.
 */
function tableCheck(table: Table): number {
  let hash = 0x811c9dc5;
  for (const ages of table.ages) hash = mixAll(hash, ages);
  for (const { wireId, ageSet, states, values } of table.columns) {
    hash = mix(mix(hash, wireId), ageSet);
    for (let row = 0; row < states.length; row += 1) hash = mix(hash, states[row] ?? 0);
    hash = mixAll(hash, values);
  }
  return hash >>> 0;
}

function mix(hash: number, word: number): number {
  const mixed = Math.imul(hash ^ word, 0x01000193);
  return mixed ^ (mixed >>> 15);
}

function mixAll(start: number, values: Float64Array): number {
  let hash = start;
  for (let row = 0; row < values.length; row += 1) {
    const value = values[row] ?? 0;
    const low = value | 0;
    // The low word, then the high one; the quick way for what fits an int32.
    hash = mix(mix(hash, low), low === value ? low >> 31 : Math.floor(value / 0x1_0000_0000) | 0);
  }
  return hash;
}
