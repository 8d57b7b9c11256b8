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
import { FIELDS, fieldById, fieldOf, fromWire, toWire } from './fields.ts';
import type { Field } from './fields.ts';
import { reasonCode, reasonNumber } from './reasons.ts';

/**
 * The columns of readings, one element per row. Lost on the way: free texts (`why` of a doubtful value, `detail`),
 * quantities that are not in the field table, and digits below a field's scale.
 */
export function tableOf(cells: readonly Readings[], tickMs: number): Table {
  const used = new Set<Field>();
  for (const readings of cells) {
    for (const quantity of Object.keys(readings)) {
      const field = fieldOf(quantity);
      if (field) used.add(field);
    }
  }
  const sets: AgeSet[] = [];
  const columns = FIELDS.filter((field) => used.has(field)).map((field) =>
    columnOf(field, cells, tickMs, sets),
  );
  return { rowCount: cells.length, tickMs, ages: sets.map((set) => set.ages), columns };
}

/** The readings of each row. Quantities that only a newer version knows are left out. */
export function readingsOf(table: Table): readonly Readings[] {
  const rows: Record<string, Reading>[] = Array.from({ length: table.rowCount }, () => ({}));
  for (const column of table.columns) {
    const field = fieldById(column.wireId);
    const ages = table.ages[column.ageSet];
    if (!field || !ages) continue;
    rows.forEach((readings, row) => {
      const state = column.states[row] ?? ABSENT;
      if (state === ABSENT) return;
      const atMs = table.tickMs - (ages[row] ?? 0);
      readings[field.quantity] = readingOf(field, state, column.values[row] ?? 0, atMs);
    });
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

function columnOf(field: Field, cells: readonly Readings[], tickMs: number, sets: AgeSet[]): Column {
  const states = new Uint8Array(cells.length);
  const values = new Float64Array(cells.length);
  const ages = new Float64Array(cells.length);
  cells.forEach((readings, row) => {
    const reading = readings[field.quantity];
    if (!reading) return;
    const ageMs = Math.round(tickMs - reading.atMs);
    const aged = Math.abs(ageMs) <= MOST_AGE_MS;
    ages[row] = aged ? ageMs + 0 : 0;
    const scaled = reading.ok && aged ? toWire(field, reading.value, reading.unit) : undefined;
    if (reading.ok && scaled !== undefined) {
      states[row] = stateOf(reading);
      values[row] = scaled;
    } else states[row] = MISSING + reasonNumber(reading.ok ? 'VALUE_INVALID' : reading.why);
  });
  return { wireId: field.wireId, states, values, ageSet: placeAges(sets, ages, states) };
}

/** The set that agrees with these ages wherever both know one, or a new one. */
function placeAges(sets: AgeSet[], ages: Float64Array, states: Uint8Array): number {
  const agrees = (set: AgeSet): boolean =>
    states.every((state, row) => state === ABSENT || set.known[row] === 0 || set.ages[row] === ages[row]);
  let index = sets.findIndex(agrees);
  if (index < 0) {
    index = sets.length;
    sets.push({ ages: new Float64Array(ages.length), known: new Uint8Array(ages.length) });
  }
  const set = sets[index];
  states.forEach((state, row) => {
    if (!set || state === ABSENT || set.known[row] === 1) return;
    set.known[row] = 1;
    set.ages[row] = ages[row] ?? 0;
  });
  return index;
}
