/** What LuxOS says of power, of what it does and of temperatures, as readings. */
import { field, sectionOf } from '../../protocols/asic/cgminer.ts';
import type { Json, JsonObject } from '../../protocols/asic/cgminer.ts';
import { Fault } from '../../protocols/faults.ts';
import type { Reading } from '../../protocols/reading.ts';
import type { Asked } from '../ask-cgminer.ts';
import { modeReading, powerReading, wordOf } from '../miner-readings.ts';
import { MINER_BOUNDS, missing, numberReading, toNumber, uncertain, unreadable } from '../readings.ts';

/** From its supply's own sensor, or reckoned from clock and voltage: it says which. */
export function powerOf(asked: Asked | Fault, nowMs: number): Reading {
  if (asked instanceof Fault) return unreadable(asked.code, nowMs, asked.detail);
  const [power] = sectionOf(asked.value, 'POWER');
  return powerReading(
    power && field(power, 'Watts'),
    asked.atMs,
    power !== undefined && field(power, 'PSU') === true,
  );
}

/** Hashing is proof of mining. Not hashing, the configuration says whether it was put to sleep. */
export function modeOf(
  hashrate: Reading,
  config: (Asked & { readonly config: JsonObject }) | Fault | undefined,
  summary: Asked | Fault,
): Reading {
  if (hashrate.ok && Number(hashrate.value) > 0 && hashrate.quality === 'good')
    return modeReading('mine', hashrate.atMs);
  if (!hashrate.ok && hashrate.why !== 'VALUE_MISSING') return hashrate;
  if (config === undefined) return missing(hashrate.atMs);
  if (config instanceof Fault) {
    if (summary instanceof Fault) throw summary;
    return unreadable(config.code, hashrate.atMs, config.detail);
  }
  const curtailed = wordOf(field(config.config, 'CurtailMode')).toLowerCase();
  if (curtailed === '') return missing(config.atMs, 'config does not say whether it was put to sleep');
  if (curtailed === 'sleep') return modeReading('sleep', config.atMs);
  return hashrate.ok && Number(hashrate.value) > 0
    ? uncertain(modeReading('mine', config.atMs), 'average only')
    : modeReading('idle', config.atMs);
}

/** Boards that its configuration counts; of their chips it tells nothing that is asked for here. */
export function boardsFound({
  config,
  atMs,
}: Asked & { readonly config: JsonObject }): Record<string, Reading> {
  const count = field(config, 'ASC Count');
  return count === undefined ? {} : { 'boards.count': numberReading(count, MINER_BOUNDS.boards, atMs) };
}

/** The hottest of a board's four corners; a sensor at zero is not connected. */
export function hottest(board: JsonObject, atMs: number): Reading {
  const corners: readonly (Json | undefined)[] = ['TopLeft', 'TopRight', 'BottomLeft', 'BottomRight'].map(
    (corner) => field(board, corner),
  );
  const values = corners.map(toNumber).filter((value) => value !== undefined && value !== 0);
  if (values.length === 0) return missing(atMs, 'no sensor answers');
  return numberReading(Math.max(...values.map(Number)), MINER_BOUNDS.temperature, atMs);
}
