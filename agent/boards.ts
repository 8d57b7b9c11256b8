/** Hash boards and chips as readings, whatever the family. */
import { field } from '../protocols/asic/cgminer.ts';
import type { JsonObject } from '../protocols/asic/cgminer.ts';
import { numberOf } from '../protocols/reading.ts';
import type { Reading } from '../protocols/reading.ts';
import { gigahash, megahash } from '../protocols/units.ts';
import { rateReading, wordOf } from './miner-readings.ts';
import { MINER_BOUNDS, numberReading, toNumber, uncertain } from './readings.ts';

/** What a machine says of one hash board; what it does not say is absent. */
export interface BoardTold {
  /** Its place, from 1. */
  readonly place: number;
  /** By its own word it is off, dead, or not there. */
  readonly gone?: boolean;
  /** What it hashes at, H/s. */
  readonly rate?: Reading;
  /** Chips on it that answer. */
  readonly chips?: number | undefined;
}

/** A board as `devs` and `edevs` of the cgminer family tell of it. */
export function devBoard(dev: JsonObject, place: number, atMs: number): BoardTold {
  const factoryGhs = toNumber(field(dev, 'Factory GHS'));
  const rates = (['HS RT', 'MHS 5s', 'MHS 1m', 'MHS av'] as const)
    .filter((key) => field(dev, key) !== undefined)
    .map((key) => [field(dev, key), key === 'MHS av'] as const);
  return {
    place,
    gone: /^dead$/i.test(wordOf(field(dev, 'Status'))) || field(dev, 'Enabled') === 'N',
    chips: toNumber(field(dev, 'Effective Chips')),
    ...(rates.length > 0 && {
      rate: rateReading(rates, {
        scale: megahash(1),
        factory: factoryGhs === undefined ? undefined : gigahash(factoryGhs) / megahash(1),
        atMs,
      }),
    }),
  };
}

/**
 * `boards.count` and `chips.count`: those that take part; `hashrate.board.N`. While any board hashes, one that is at zero
 * takes no part; while none does, that says nothing. Without boards in the answer there are no readings: machines at rest
 * name none. Of a `partial` answer nothing is counted: a board that broke off would look like one that has gone.
 */
export function boardReadings(
  boards: readonly BoardTold[],
  atMs: number,
  partial = false,
): Record<string, Reading> {
  const readings: Record<string, Reading> = {};
  if (boards.length === 0) return readings;
  for (const { place, gone, rate } of boards)
    if (rate !== undefined && gone !== true) readings[`hashrate.board.${place}`] = rate;
  if (partial) return readings;
  const isHashing = boards.some(({ rate }) => (numberOf(rate) ?? 0) > 0);
  const working = boards.filter(({ gone, rate }) => gone !== true && !(isHashing && numberOf(rate) === 0));
  readings['boards.count'] = numberReading(working.length, MINER_BOUNDS.boards, atMs);
  const chips = working.map((board) => board.chips).filter((count) => count !== undefined);
  if (chips.length > 0) {
    const count = numberReading(
      chips.reduce((sum, each) => sum + each, 0),
      MINER_BOUNDS.chips,
      atMs,
    );
    readings['chips.count'] = chips.length < working.length ? uncertain(count, 'not of every board') : count;
  }
  return readings;
}

/** What the machine itself says that it was made with. */
export function madeWith(
  boards: number | undefined,
  chips: number | undefined,
  atMs: number,
): Record<string, Reading> {
  return {
    ...(boards !== undefined && { 'boards.expected': numberReading(boards, MINER_BOUNDS.boards, atMs) }),
    ...(chips !== undefined && { 'chips.expected': numberReading(chips, MINER_BOUNDS.chips, atMs) }),
  };
}
