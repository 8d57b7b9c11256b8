/** What an Avalon's `stats`, `estats` or `litestats` say, as readings. */
import { avalonNumbers } from '../../protocols/asic/avalon.ts';
import type { AvalonWords } from '../../protocols/asic/avalon.ts';
import { field, sectionOf } from '../../protocols/asic/cgminer.ts';
import type { Reading } from '../../protocols/reading.ts';
import { gigahash } from '../../protocols/units.ts';
import type { Asked } from '../ask-cgminer.ts';
import { boardReadings } from '../boards.ts';
import type { BoardTold } from '../boards.ts';
import { errorsReading, modeReading, powerReading, rateReading } from '../miner-readings.ts';
import { MINER_BOUNDS, missing, numberReading, uncertain, unreadable } from '../readings.ts';

/** `SoftOFF` of a machine that boots. Other values above zero: it was switched off softly. */
const SOFT_BOOT = 6;
/** Of the supply's seven figures: watts to the boards, and watts from the wall. */
const PS_BOARDS = 4;
const PS_WALL = 6;
/** No supply takes more of the wall than this for what it gives. */
const SUPPLY_FACTOR = 1.35;
const MOST_BOARDS = 16;

export interface Stats extends Asked {
  readonly words: AvalonWords;
}

export function statsReadings({ words, value, atMs, partial }: Stats): Record<string, Reading> {
  const one = (name: string): number | undefined => avalonNumbers(words, name)[0];
  const hashrate = rateReading(
    [
      [one('GHSspd'), false],
      [one('GHSavg'), true],
    ],
    // What it calls the rate of its design is an average since the start: no bound.
    { scale: gigahash(1), factory: undefined, atMs },
  );
  const [outer] = sectionOf(value, 'STATS');
  const readings: Record<string, Reading> = {
    hashrate: partial && !hashrate.ok ? unreadable('ANSWER_PARTIAL', atMs) : hashrate,
    power: powerOf(words, atMs),
    uptime: numberReading(one('Elapsed') ?? (outer && field(outer, 'Elapsed')), MINER_BOUNDS.uptime, atMs),
  };
  readings['mode'] = modeOf(readings['hashrate'] ?? missing(atMs), words, atMs);
  const temperature = (name: string, raw: number | undefined): void => {
    // A sensor at zero is one of a board without power.
    if (raw !== undefined)
      readings[name] =
        raw === 0 ? missing(atMs, 'no sensor answers') : numberReading(raw, MINER_BOUNDS.temperature, atMs);
  };
  temperature('temperature.ambient', one('ITemp') ?? one('Temp'));
  temperature('temperature.chip.max', one('TMax'));
  for (const [index, raw] of avalonNumbers(words, 'MTmax').slice(0, 16).entries())
    temperature(`temperature.chip.${index + 1}`, raw);
  for (const [index, raw] of avalonNumbers(words, 'HBOTemp').slice(0, 16).entries())
    temperature(`temperature.board.${index + 1}`, raw);
  for (let index = 1; index <= 8; index += 1)
    if (words.has(`Fan${index}`))
      readings[`fan.${index}`] = numberReading(one(`Fan${index}`), MINER_BOUNDS.fan, atMs);
  Object.assign(readings, boardReadings(boardsOf(words, atMs), atMs, partial));
  // How many work is its own word: the rate of one that has stopped only sinks.
  const found = /hash board: *(\d{1,2})/i.exec(words.get('SYSTEMSTATU') ?? '')?.[1];
  if (found !== undefined) readings['boards.count'] = numberReading(found, MINER_BOUNDS.boards, atMs);
  const errors = ['ECHU', 'ECMM'].filter((name) => words.has(name));
  if (errors.length > 0)
    readings['errors'] = errorsReading(
      errors.flatMap((name) =>
        avalonNumbers(words, name).map((code, unit) => (code === 0 ? '' : `${name}${unit + 1} ${code}`)),
      ),
      atMs,
    );
  if (words.has('WORKMODE'))
    readings['workMode'] = numberReading(one('WORKMODE'), { unit: '1', min: 0, max: 99 }, atMs);
  return readings;
}

/** What it draws from the wall: by a figure of its own, or the last of the supply's seven; else what its boards draw. */
function powerOf(words: AvalonWords, atMs: number): Reading {
  const wall = avalonNumbers(words, 'WALLPOWER')[0];
  if (wall !== undefined) return powerReading(wall, atMs, true);
  const supply = avalonNumbers(words, 'PS');
  const boardsW = supply[PS_BOARDS];
  const wallW = supply[PS_WALL];
  if (boardsW === undefined) return missing(atMs);
  if (wallW !== undefined && wallW >= boardsW && (boardsW === 0 || wallW <= boardsW * SUPPLY_FACTOR))
    return powerReading(wallW, atMs, true);
  return uncertain(powerReading(boardsW, atMs, true), 'counts the hash boards alone');
}

/** Hashing is proof of mining. Not hashing, it says whether it was switched off softly. */
function modeOf(hashrate: Reading, words: AvalonWords, atMs: number): Reading {
  const [softOff] = avalonNumbers(words, 'SoftOFF');
  const isOff =
    (softOff ?? 0) > 0 && softOff !== SOFT_BOOT && /in idle/i.test(words.get('SYSTEMSTATU') ?? '');
  if (hashrate.ok && Number(hashrate.value) > 0 && hashrate.quality === 'good') {
    const mining = modeReading('mine', atMs);
    return isOff ? uncertain(mining, 'says that it was switched off softly') : mining;
  }
  if (!hashrate.ok && hashrate.why !== 'VALUE_MISSING') return hashrate;
  if (softOff === undefined)
    return missing(atMs, 'not hashing, and it does not say whether it was switched off');
  if (isOff) return modeReading('sleep', atMs);
  return hashrate.ok && Number(hashrate.value) > 0
    ? uncertain(modeReading('mine', atMs), 'average only')
    : modeReading('idle', atMs);
}

/** Of each board the rate, an average since the start, and the voltage of each chip where it tells them: none is a chip that does not answer. */
function boardsOf(words: AvalonWords, atMs: number): readonly BoardTold[] {
  const rates = avalonNumbers(words, 'MGHS').slice(0, MOST_BOARDS);
  return rates.map((raw, at) => {
    const volts = avalonNumbers(words, `PVT_V${at}`);
    return {
      place: at + 1,
      rate: uncertain(numberReading(raw, MINER_BOUNDS.hashrate, atMs, gigahash(1)), 'average only'),
      ...(volts.length > 0 && { chips: volts.filter((volt) => (volt ?? 0) > 0).length }),
    };
  });
}
