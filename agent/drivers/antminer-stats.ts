/** What the 4028 `stats` of stock Antminer firmware say, as readings. */
import { field, sectionOf } from '../../protocols/asic/cgminer.ts';
import type { JsonObject } from '../../protocols/asic/cgminer.ts';
import { Fault } from '../../protocols/faults.ts';
import type { Reading } from '../../protocols/reading.ts';
import { gigahash } from '../../protocols/units.ts';
import type { Asked } from '../ask-cgminer.ts';
import { boardReadings } from '../boards.ts';
import type { BoardTold } from '../boards.ts';
import { MINER_BOUNDS, missing, numberReading, shown, toNumber, uncertain, unreadable } from '../readings.ts';

/** Above this multiple of its own ideal rate a hashrate carries a wrong unit. */
const IDEAL_FACTOR = 3;
/** Of a board's sensors in one text; what comes behind is not looked at. */
const MOST_LETTERS = 400;
const MOST_BOARDS = 8;
/** A reachable machine draws something: firmware counts the hash boards alone. */
const POWER_FLOOR_W = 1;

/** The section with the values: the one after the header that names the type. */
export function minerStats(value: JsonObject): JsonObject | undefined {
  return sectionOf(value, 'STATS').find(
    (section) => field(section, 'GHS 5s') !== undefined || field(section, 'GHS av') !== undefined,
  );
}

export function silentReadings(atMs: number, stats: Asked | Fault): Record<string, Reading> {
  const partial = !(stats instanceof Fault) && stats.partial;
  const none = unreadable(partial ? 'ANSWER_PARTIAL' : 'VALUE_MISSING', atMs);
  return { hashrate: none, power: none, uptime: none };
}

export function statsReadings(
  miner: JsonObject,
  { atMs, partial }: { readonly atMs: number; readonly partial: boolean },
): Record<string, Reading> {
  const readings: Record<string, Reading> = {
    hashrate: hashrateOf(miner, atMs),
    power: powerOf(miner, atMs),
    uptime: numberReading(field(miner, 'Elapsed'), MINER_BOUNDS.uptime, atMs),
  };
  Object.assign(readings, boardReadings(boardsOf(miner, atMs), atMs, partial));
  for (let index = 1; index <= MOST_BOARDS; index += 1) {
    const fan = field(miner, `fan${index}`);
    if (fan !== undefined) readings[`fan.${index}`] = numberReading(fan, MINER_BOUNDS.fan, atMs);
    // A place without a board has no chips and all-zero temperatures.
    if ((toNumber(field(miner, `chain_acn${index}`)) ?? 0) <= 0) continue;
    const board = field(miner, `temp_pcb${index}`);
    const chip = field(miner, `temp_chip${index}`);
    if (board !== undefined) readings[`temperature.board.${index}`] = hottest(board, atMs);
    if (chip !== undefined) readings[`temperature.chip.${index}`] = hottest(chip, atMs);
  }
  return readings;
}

/** A place without a board has no chips. Of a board `chain_acs` shows each chip: `o` answers, `x` does not, `-` is missing. */
function boardsOf(miner: JsonObject, atMs: number): readonly BoardTold[] {
  const boards: BoardTold[] = [];
  for (let place = 1; place <= MOST_BOARDS; place += 1) {
    const found = toNumber(field(miner, `chain_acn${place}`));
    if (found === undefined) continue;
    const marks = field(miner, `chain_acs${place}`);
    const isMarked = typeof marks === 'string' && /[ox-]/.test(marks);
    const rate = field(miner, `chain_rate${place}`);
    boards.push({
      place,
      gone: found <= 0,
      chips: isMarked ? (marks.match(/o/g)?.length ?? 0) : found,
      ...(rate !== undefined && {
        rate: numberReading(rate, MINER_BOUNDS.hashrate, atMs, gigahash(1)),
      }),
    });
  }
  return boards;
}

function hashrateOf(miner: JsonObject, atMs: number): Reading {
  const now = numberReading(field(miner, 'GHS 5s'), MINER_BOUNDS.hashrate, atMs, gigahash(1));
  const average = (): Reading =>
    uncertain(
      numberReading(field(miner, 'GHS av'), MINER_BOUNDS.hashrate, atMs, gigahash(1)),
      'average since start',
    );
  const reading = !now.ok && now.why === 'VALUE_MISSING' ? average() : now;
  const idealGhs = toNumber(field(miner, 'total_rateideal')) ?? 0;
  if (reading.ok && idealGhs > 0 && Number(reading.value) > gigahash(idealGhs) * IDEAL_FACTOR) {
    return unreadable(
      'VALUE_IMPLAUSIBLE',
      atMs,
      `${String(reading.value)} H/s where ${gigahash(idealGhs)} is ideal`,
    );
  }
  return reading;
}

/** `chain_power`: `"3250 W"`, on some models. */
function powerOf(miner: JsonObject, atMs: number): Reading {
  const raw = field(miner, 'chain_power');
  const watts = typeof raw === 'string' ? /^(\d+(?:\.\d+)?) *W?$/i.exec(raw.trim())?.[1] : raw;
  if (raw !== undefined && watts === undefined)
    return unreadable('VALUE_INVALID', atMs, `chain_power ${shown(raw)}`);
  const reading = measured(numberReading(watts, MINER_BOUNDS.power, atMs));
  return reading.ok && Number(reading.value) < POWER_FLOOR_W
    ? uncertain(reading, 'counts the hash boards alone')
    : reading;
}

export function measured(reading: Reading): Reading {
  return reading.ok ? { ...reading, measured: true } : reading;
}

/** The highest of a board's sensors, in `"73-45-64-65"` or a list; a sensor at zero is not connected. */
function hottest(raw: unknown, atMs: number): Reading {
  const parts: unknown[] =
    typeof raw === 'string'
      ? (raw.slice(0, MOST_LETTERS).match(/(?<=^|-)-?\d+(?:\.\d+)?(?=-|$)/g) ?? [])
      : isSensors(raw)
        ? [...raw]
        : [raw];
  const values = parts.map(toNumber).filter((value) => value !== undefined && value !== 0);
  if (values.length === 0) return missing(atMs, 'no sensor answers');
  return numberReading(Math.max(...values.map(Number)), MINER_BOUNDS.temperature, atMs);
}

function isSensors(raw: unknown): raw is readonly unknown[] {
  return Array.isArray(raw) && raw.length <= 64;
}
