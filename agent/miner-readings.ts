/** What readings of miners have in common, whatever the family. */
import { field, isList, isObject, sectionOf } from '../protocols/asic/cgminer.ts';
import type { Json, JsonObject } from '../protocols/asic/cgminer.ts';
import { asFault } from '../protocols/faults.ts';
import type { Fault } from '../protocols/faults.ts';
import type { Mode, Reading } from '../protocols/reading.ts';
import type { Bounds } from './readings.ts';
import { MINER_BOUNDS, numberReading, toNumber, uncertain, unreadable } from './readings.ts';

/** Above this multiple of what the machine says it was made for, a hashrate carries a wrong unit. */
const FACTORY_FACTOR = 3;

export const modeReading = (value: Mode, atMs: number): Reading => ({
  ok: true,
  value,
  unit: 'text',
  quality: 'good',
  atMs,
});

/**
 * The hashrate from what a firmware gives, the most recent first: key and whether it is an average. `scale` brings it to
 * H/s; `factory` is what the machine says it was made for, in the same unit, if it says so.
 */
export function rateReading(
  rates: ReadonlyArray<readonly [raw: Json | undefined, average: boolean]>,
  { scale, factory, atMs }: { scale: number; factory: number | undefined; atMs: number },
): Reading {
  const [raw, average] = rates.find(([value]) => value !== undefined) ?? [undefined, false];
  const reading = numberReading(raw, MINER_BOUNDS.hashrate, atMs, scale);
  const mostHs = (factory ?? 0) * scale * FACTORY_FACTOR;
  if (reading.ok && mostHs > 0 && Number(reading.value) > mostHs)
    return unreadable(
      'VALUE_IMPLAUSIBLE',
      atMs,
      `${String(reading.value)} H/s of a machine made for ${mostHs / FACTORY_FACTOR}`,
    );
  return average ? uncertain(reading, 'average only') : reading;
}

/** Says of a power reading whether a sensor or an estimate gave it. */
export const powerReading = (raw: unknown, atMs: number, measured: boolean): Reading => {
  const reading = numberReading(raw, MINER_BOUNDS.power, atMs);
  return reading.ok ? { ...reading, measured } : reading;
};

/** Readings of those that the device names at all. */
export function namedReadings(
  from: JsonObject,
  atMs: number,
  names: ReadonlyArray<readonly [quantity: string, key: string, bounds: Bounds]>,
): Record<string, Reading> {
  const readings: Record<string, Reading> = {};
  for (const [quantity, key, bounds] of names) {
    const raw = field(from, key);
    if (raw !== undefined) readings[quantity] = numberReading(raw, bounds, atMs);
  }
  return readings;
}

/** Shares of all pools together, as counted since the machine began to; what no pool tells is no reading. */
export function sharesReadings(
  told: readonly { readonly accepted: Json | undefined; readonly rejected: Json | undefined }[],
  atMs: number,
): Record<string, Reading> {
  const readings: Record<string, Reading> = {};
  for (const kind of ['accepted', 'rejected'] as const) {
    const counts = told.map((pool) => toNumber(pool[kind])).filter((count) => count !== undefined);
    if (counts.length > 0)
      readings[`shares.${kind}`] = numberReading(
        counts.reduce((sum, count) => sum + count, 0),
        MINER_BOUNDS.shares,
        atMs,
      );
  }
  return readings;
}

/** What a machine says is wrong with it, in its own words, each once; an empty text: nothing. */
export function errorsReading(words: readonly string[], atMs: number): Reading {
  const told = [...new Set(words.filter((word) => word !== ''))];
  return { ok: true, value: told.join(', ').slice(0, 200), unit: 'text', quality: 'good', atMs };
}

/** A part of an answer by its path; undefined where there is none, or null. */
export function partOf(value: Json | undefined, ...path: readonly string[]): Json | undefined {
  let part = value;
  for (const name of path) part = isObject(part) ? field(part, name) : undefined;
  return part ?? undefined;
}

/** The objects of a list by its name, at most so many; none where there is no list. */
export function listOf(value: Json | undefined, name: string, most: number): readonly JsonObject[] {
  const list = partOf(value, name);
  return (isList(list) ? list : []).filter(isObject).slice(0, most);
}

/** A field of the first object of a section, as the cgminer family writes its answers. */
export function sectionValue(value: Json | undefined, section: string, name: string): Json | undefined {
  const [first] = isObject(value) ? sectionOf(value, section) : [];
  return first && field(first, name);
}

/** A fault of one answer of many spoils its own readings alone. */
export async function tried<T>(work: Promise<T>): Promise<T | Fault> {
  try {
    return await work;
  } catch (error) {
    return asFault(error);
  }
}

/** A device's word, of at most 100 characters; empty when it is none. */
export const wordOf = (value: Json | undefined): string =>
  typeof value === 'string' ? value.slice(0, 100) : '';
