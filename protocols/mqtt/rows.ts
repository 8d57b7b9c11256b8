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

/**
 * The columns of readings, one element per row. Lost on the way: free texts (`why` of a doubtful value, `detail`),
 * quantities that are not in the field table, and digits below a field's scale.
 */
export function tableOf(cells: readonly Readings[], tickMs: number): Table {
  const drafts: (Draft | undefined)[] = [];
  const memory = { bytes: new ArrayBuffer(0), used: 0 };
  for (let row = 0; row < cells.length; row += 1) {
    const readings = cells[row] ?? {};
    for (const quantity of Object.keys(readings)) {
      const place = fieldPlace(quantity);
      const field = FIELDS[place];
      const reading = readings[quantity];
      if (field === undefined || reading === undefined) continue;
      put((drafts[place] ??= draftOf(field, cells.length, memory)), row, reading, tickMs);
    }
  }
  const sets: AgeSet[] = [];
  const columns: Column[] = [];
  for (const draft of drafts) {
    if (draft === undefined) continue;
    const { field, states, values, ages } = draft;
    columns.push({ wireId: field.wireId, states, values, ageSet: placeAges(sets, ages, states) });
  }
  return { rowCount: cells.length, tickMs, ages: sets.map((set) => set.ages), columns };
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

/** A column while its rows come in one by one, with the ages of its own samples. */
interface Draft {
  readonly field: Field;
  readonly states: Uint8Array;
  readonly values: Float64Array;
  readonly ages: Float64Array;
}

/** Columns that are given their memory together: a table has a hundred of them, and each piece of its own costs. */
const COLUMNS_AT_ONCE = 16;

function draftOf(field: Field, rows: number, memory: { bytes: ArrayBuffer; used: number }): Draft {
  // Two of doubles, then one of bytes up to the next double.
  const size = 16 * rows + 8 * Math.ceil(rows / 8);
  if (memory.used + size > memory.bytes.byteLength) {
    memory.bytes = new ArrayBuffer(COLUMNS_AT_ONCE * size);
    memory.used = 0;
  }
  const { bytes, used } = memory;
  memory.used += size;
  return {
    field,
    values: new Float64Array(bytes, used, rows),
    ages: new Float64Array(bytes, used + 8 * rows, rows),
    states: new Uint8Array(bytes, used + 16 * rows, rows),
  };
}

function put({ field, states, values, ages }: Draft, row: number, reading: Reading, tickMs: number): void {
  const ageMs = Math.round(tickMs - reading.atMs);
  const aged = Math.abs(ageMs) <= MOST_AGE_MS;
  ages[row] = aged ? ageMs + 0 : 0;
  const scaled = reading.ok && aged ? toWire(field, reading.value, reading.unit) : undefined;
  if (reading.ok && scaled !== undefined) {
    states[row] = stateOf(reading);
    values[row] = scaled;
  } else states[row] = MISSING + reasonNumber(reading.ok ? 'VALUE_INVALID' : reading.why);
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
