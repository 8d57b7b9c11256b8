import type { FaultCode } from '../faults.ts';
import type { Reading, Readings } from '../reading.ts';
import {
  ABSENT,
  GOOD,
  GOOD_ESTIMATED,
  GOOD_MEASURED,
  hasValue,
  MISSING,
  MOST_AGE_MS,
  UNCERTAIN,
  UNCERTAIN_ESTIMATED,
  UNCERTAIN_MEASURED,
} from './columns.ts';
import type { Column, Table } from './columns.ts';
import { FIELDS, fieldById, fieldPlace, fromWire, toWire } from './fields.ts';
import type { Field } from './fields.ts';
import { reasonCode, reasonNumber } from './reasons.ts';

/** As `Rows` gives them, the columns of these readings. */
export function tableOf(cells: readonly Readings[], tickMs: number): Table {
  const rows = new Rows(cells.length);
  for (const [row, readings] of cells.entries()) rows.put(row, readings);
  return rows.table(tickMs);
}

/**
 * The newest reading of each quantity of so many machines or meters, as columns: a row of a hundred machines takes a
 * tenth of what objects take, and nothing is made anew for what is only kept. Lost on the way: free texts (`why` of a
 * doubtful value, `detail`), quantities that are not in the field table, and digits below a field's scale.
 */
export class Rows {
  readonly #count: number;
  /** By place of the field. */
  readonly #kept: (Kept | undefined)[] = [];

  constructor(count: number) {
    this.#count = count;
  }

  /** Takes these readings in beside those that the row has of other quantities. */
  put(row: number, readings: Readings): void {
    for (const quantity of Object.keys(readings)) {
      const place = fieldPlace(quantity);
      const field = FIELDS[place];
      const reading = readings[quantity];
      if (field !== undefined && reading !== undefined)
        keep((this.#kept[place] ??= keptOf(field, this.#count)), row, reading);
    }
  }

  /** All that the row has has no value any more, for this reason. */
  lose(row: number, why: FaultCode, atMs: number): void {
    const reading: Reading = { ok: false, why, atMs };
    for (const kept of this.#kept)
      if (kept !== undefined && kept.states[row] !== ABSENT) keep(kept, row, reading);
  }

  clear(row: number): void {
    for (const kept of this.#kept) if (kept !== undefined) kept.states[row] = ABSENT;
  }

  /** UTC ms of a quantity's reading, with a value or without; undefined: there is none. */
  atMs(row: number, quantity: string): number | undefined {
    const kept = this.#kept[fieldPlace(quantity)];
    return kept === undefined || kept.states[row] === ABSENT ? undefined : kept.atMs[row];
  }

  /** The columns as they are, one element per row, with ages at `tickMs` (UTC). Nothing of it changes later. */
  table(tickMs: number): Table {
    const sets: AgeSet[] = [];
    const columns: Column[] = [];
    const memory = { bytes: new ArrayBuffer(0), used: 0 };
    for (const kept of this.#kept) {
      if (kept === undefined || kept.states.every((state) => state === ABSENT)) continue;
      const { states, values, ages } = draftOf(kept, memory, tickMs);
      const ageSet = placeAges(sets, ages, states);
      columns.push({ wireId: kept.field.wireId, states, values, ageSet });
    }
    return { rowCount: this.#count, tickMs, ages: sets.map((set) => set.ages), columns };
  }
}

/**
 * The readings of each row, or of them the quantities in `wanted`: then no object is made for any other cell.
 * Quantities that only a newer version knows are left out.
 */
export function readingsOf(table: Table, wanted?: ReadonlySet<string>): readonly Readings[] {
  const rows: Record<string, Reading>[] = [];
  for (let row = 0; row < table.rowCount; row += 1) rows.push({});
  for (const column of table.columns) {
    const field = fieldById(column.wireId);
    const ages = table.ages[column.ageSet];
    if (!field || !ages || (wanted !== undefined && !wanted.has(field.quantity))) continue;
    for (let row = 0; row < rows.length; row += 1) {
      const state = column.states[row] ?? ABSENT;
      const readings = rows[row];
      if (state === ABSENT || readings === undefined) continue;
      readings[field.quantity] = readingOf(
        field,
        state,
        column.values[row] ?? 0,
        table.tickMs - (ages[row] ?? 0),
      );
    }
  }
  return rows;
}

function readingOf(field: Field, state: number, scaled: number, atMs: number): Reading {
  if (!hasValue(state)) return { ok: false, why: reasonCode(state - MISSING), atMs };
  const value = fromWire(field, scaled);
  if (value === undefined) return { ok: false, why: 'VALUE_INVALID', atMs };
  const good = state === GOOD || state === GOOD_MEASURED || state === GOOD_ESTIMATED;
  const quality = good ? 'good' : 'uncertain';
  if (state === GOOD || state === UNCERTAIN) return { ok: true, value, unit: field.unit, quality, atMs };
  const measured = state === GOOD_MEASURED || state === UNCERTAIN_MEASURED;
  return { ok: true, value, unit: field.unit, quality, atMs, measured };
}

function stateOf(reading: Reading & { ok: true }): number {
  if (reading.measured === undefined) return reading.quality === 'good' ? GOOD : UNCERTAIN;
  if (reading.quality === 'good') return reading.measured ? GOOD_MEASURED : GOOD_ESTIMATED;
  return reading.measured ? UNCERTAIN_MEASURED : UNCERTAIN_ESTIMATED;
}

interface AgeSet {
  readonly ages: Float64Array;
  /** 1 where some column has said this row's age. */
  readonly known: Uint8Array;
}

/** A column that is kept: its states, its values, and when each was read, UTC ms. */
interface Kept {
  readonly field: Field;
  readonly states: Uint8Array;
  readonly values: Float64Array;
  readonly atMs: Float64Array;
}

const keptOf = (field: Field, rows: number): Kept => ({
  field,
  states: new Uint8Array(rows),
  values: new Float64Array(rows),
  atMs: new Float64Array(rows),
});

function keep({ field, states, values, atMs }: Kept, row: number, reading: Reading): void {
  const scaled = reading.ok ? toWire(field, reading.value, reading.unit) : undefined;
  atMs[row] = reading.atMs;
  values[row] = scaled ?? 0;
  if (reading.ok && scaled !== undefined) states[row] = stateOf(reading);
  else states[row] = MISSING + reasonNumber(reading.ok ? 'VALUE_INVALID' : reading.why);
}

/** Columns that are given their memory together: a table has a hundred of them, and each piece of its own costs. */
const COLUMNS_AT_ONCE = 16;

/** A copy of a column with the ages of its samples. A sample too far off in time has no value. */
function draftOf(
  kept: Kept,
  memory: { bytes: ArrayBuffer; used: number },
  tickMs: number,
): Pick<Column, 'states' | 'values'> & { readonly ages: Float64Array } {
  const rows = kept.states.length;
  // Two of doubles, then one of bytes up to the next double.
  const size = 16 * rows + 8 * Math.ceil(rows / 8);
  if (memory.used + size > memory.bytes.byteLength) {
    memory.bytes = new ArrayBuffer(COLUMNS_AT_ONCE * size);
    memory.used = 0;
  }
  const { bytes, used } = memory;
  memory.used += size;
  const values = new Float64Array(bytes, used, rows);
  const ages = new Float64Array(bytes, used + 8 * rows, rows);
  const states = new Uint8Array(bytes, used + 16 * rows, rows);
  values.set(kept.values);
  states.set(kept.states);
  for (let row = 0; row < rows; row += 1) {
    const state = states[row] ?? ABSENT;
    if (state === ABSENT) {
      values[row] = 0;
      continue;
    }
    const ageMs = Math.round(tickMs - (kept.atMs[row] ?? 0));
    if (Math.abs(ageMs) <= MOST_AGE_MS) ages[row] = ageMs + 0;
    else if (hasValue(state)) {
      states[row] = MISSING + reasonNumber('VALUE_INVALID');
      values[row] = 0;
    }
  }
  return { values, ages, states };
}

/** The set that agrees with these ages wherever both know one, or a new one. */
function placeAges(sets: AgeSet[], ages: Float64Array, states: Uint8Array): number {
  let index = 0;
  let set = sets[index];
  while (set !== undefined && !agrees(set, ages, states)) set = sets[++index];
  if (set === undefined) {
    set = { ages: new Float64Array(ages.length), known: new Uint8Array(ages.length) };
    sets.push(set);
  }
  for (let row = 0; row < states.length; row += 1) {
    if (states[row] === ABSENT || set.known[row] === 1) continue;
    set.known[row] = 1;
    set.ages[row] = ages[row] ?? 0;
  }
  return index;
}

function agrees(set: AgeSet, ages: Float64Array, states: Uint8Array): boolean {
  for (let row = 0; row < states.length; row += 1)
    if (states[row] !== ABSENT && set.known[row] === 1 && set.ages[row] !== ages[row]) return false;
  return true;
}
