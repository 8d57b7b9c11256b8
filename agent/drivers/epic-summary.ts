/** What the summary of ePIC's PowerPlay says, as readings and settings. */
import { field, isList, isObject } from '../../protocols/asic/cgminer.ts';
import type { Json, JsonObject } from '../../protocols/asic/cgminer.ts';
import type { Reading } from '../../protocols/reading.ts';
import { boardReadings } from '../boards.ts';
import type { BoardTold } from '../boards.ts';
import type { Settings } from '../driver.ts';
import {
  errorsReading,
  listOf,
  modeReading,
  partOf,
  powerReading,
  sharesReadings,
  wordOf,
} from '../miner-readings.ts';
import { poolSettings } from '../pools.ts';
import { MINER_BOUNDS, missing, numberReading, textReading, toNumber } from '../readings.ts';

export const MEGAHASH = 1e6;
export const MOST_PARTS = 16;
const MOST_POOLS = 8;
/** The tuner that holds watts; the others hold a hashrate. */
export const POWER_TUNE = 'PowerTune';

/** The first of a board's figures is MH/s. */
function rateOf(board: JsonObject): Json | undefined {
  const rate = field(board, 'Hashrate');
  return isList(rate) ? rate[0] : rate;
}

/** Of its boards together, MH/s; undefined: no boards. One that cannot be read spoils the sum. */
export function boardsRate(summary: JsonObject): Json | undefined {
  const rates = listOf(summary, 'HBs', MOST_PARTS).map((board) => rateOf(board) ?? null);
  if (rates.length === 0) return undefined;
  const numbers = rates.map(toNumber);
  const bad = numbers.indexOf(undefined);
  return bad >= 0 ? rates[bad] : numbers.reduce<number>((sum, rate) => sum + (rate ?? 0), 0);
}

/** Measured where its supply shows the voltage and current that go with it; else the firmware's estimate. */
export function powerOf(summary: JsonObject, atMs: number): Reading {
  const supply = partOf(summary, 'Power Supply Stats');
  const isThere = (name: string): boolean => (toNumber(partOf(supply, name)) ?? 0) > 0;
  const measured = isThere('Input Voltage') && isThere('Input Current');
  return powerReading(partOf(supply, 'Input Power'), atMs, measured);
}

/** Hashing is proof of mining. Idling it rests, unless that is for want of a pool: then it goes on by itself. */
export function modeOf(summary: JsonObject, hashrate: Reading): Reading {
  if (hashrate.ok && Number(hashrate.value) > 0) return modeReading('mine', hashrate.atMs);
  if (!hashrate.ok && hashrate.why !== 'VALUE_MISSING') return hashrate;
  const state = wordOf(partOf(summary, 'Status', 'Operating State'));
  if (state === '') return missing(hashrate.atMs, 'it does not say what it does');
  if (state === 'Idling') {
    const told = partOf(summary, 'Status', 'Last Command');
    const wasStarted = /^autostart$/i.test(wordOf(told));
    // Told nothing since it started, it does what it does by itself.
    const lacksPool = told === undefined && field(summary, 'IdleOnConnectionLost') === true;
    return modeReading(wasStarted || lacksPool ? 'idle' : 'sleep', hashrate.atMs);
  }
  return state === 'Mining' && !hashrate.ok
    ? missing(hashrate.atMs, 'it says Mining, but not at what rate')
    : modeReading('idle', hashrate.atMs);
}

export function addFull(readings: Record<string, Reading>, summary: JsonObject, atMs: number): void {
  readings['uptime'] = numberReading(partOf(summary, 'Session', 'Uptime'), MINER_BOUNDS.uptime, atMs);
  readings['pool.active'] = textReading(partOf(summary, 'Stratum', 'Current Pool'), atMs);
  const session = partOf(summary, 'Session');
  const shares = { accepted: partOf(session, 'Accepted'), rejected: partOf(session, 'Rejected') };
  Object.assign(readings, sharesReadings([shares], atMs));
  readings['errors'] = errorsReading([wordOf(partOf(summary, 'Status', 'Last Error'))], atMs);
  const tuner = tunerOf(summary);
  readings['power.limit'] =
    tuner?.name === POWER_TUNE && tuner.isRunning
      ? numberReading(field(tuner.stats, 'Target'), MINER_BOUNDS.power, atMs)
      : missing(atMs, 'its tuner holds no power');
  for (const [n, board] of listOf(summary, 'HBs', MOST_PARTS).entries())
    readings[`temperature.board.${(toNumber(field(board, 'Index')) ?? n) + 1}`] = numberReading(
      field(board, 'Temperature'),
      MINER_BOUNDS.temperature,
      atMs,
    );
  Object.assign(readings, boardReadings(boardsOf(summary, atMs), atMs));
  const fans = partOf(summary, 'Fans Rpm');
  for (const [name, rpm] of Object.entries(isObject(fans) ? fans : {}).slice(0, MOST_PARTS)) {
    const n = /^Fans Speed (\d{1,2})$/.exec(name)?.[1];
    // A place without a fan is null; a fan that stands still is zero.
    if (n !== undefined && rpm !== null) readings[`fan.${n}`] = numberReading(rpm, MINER_BOUNDS.fan, atMs);
  }
}

/** Those that are on: one that is off, and all while it is stopped, it does not list. */
function boardsOf(summary: JsonObject, atMs: number): readonly BoardTold[] {
  return listOf(summary, 'HBs', MOST_PARTS).map((board, n) => {
    const rate = rateOf(board);
    return {
      place: (toNumber(field(board, 'Index')) ?? n) + 1,
      ...(rate !== undefined && { rate: numberReading(rate, MINER_BOUNDS.hashrate, atMs, MEGAHASH) }),
    };
  });
}

/** The one algorithm that its tuner is set to. */
export function tunerOf(
  summary: JsonObject,
): { name: string; stats: JsonObject; isRunning: boolean } | undefined {
  const algorithms = partOf(summary, 'PerpetualTune', 'Algorithm');
  const [first] = isObject(algorithms) ? Object.entries(algorithms) : [];
  if (!first || !isObject(first[1])) return undefined;
  const isRunning = partOf(summary, 'PerpetualTune', 'Running') === true;
  return { name: first[0].slice(0, 40), stats: first[1], isRunning };
}

/** What a curtailment must leave as it is. */
export function settingsOf(summary: JsonObject): Settings {
  const settings: Record<string, string | number> = {};
  const keep = (name: string, raw: Json | undefined): void => {
    const value = toNumber(raw);
    if (value !== undefined) settings[name] = value;
  };
  const tuner = tunerOf(summary);
  if (tuner) {
    settings['tuner'] = tuner.isRunning ? tuner.name : `${tuner.name}, off`;
    keep(tuner.name === POWER_TUNE ? 'powerLimit' : 'tunerTarget', field(tuner.stats, 'Target'));
    keep('minThrottle', field(tuner.stats, 'Min Throttle Target'));
    keep('throttleStep', field(tuner.stats, 'Throttle Step'));
  }
  const fans = partOf(summary, 'Fans', 'Fan Mode');
  if (fans !== undefined) settings['fans'] = JSON.stringify(fans).slice(0, 100);
  keep('shutdownTemp', partOf(summary, 'Misc', 'Shutdown Temp'));
  const coin = wordOf(partOf(summary, 'Mining', 'Coin'));
  if (coin !== '') settings['coin'] = coin;
  const unique = partOf(summary, 'Stratum', 'Worker Unique Id');
  if (typeof unique === 'boolean') settings['workerUniqueId'] = String(unique);
  const pools = listOf(summary, 'StratumConfigs', MOST_POOLS).map((pool) => ({
    url: wordOf(field(pool, 'pool')),
    user: wordOf(field(pool, 'login')),
    pass: wordOf(field(pool, 'password')),
  }));
  return { ...settings, ...poolSettings(pools) };
}
