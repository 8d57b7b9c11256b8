/** Parts of what VNish says of itself, as readings. */
import { field } from '../../protocols/asic/cgminer.ts';
import type { Json, JsonObject } from '../../protocols/asic/cgminer.ts';
import type { Reading } from '../../protocols/reading.ts';
import { boardReadings } from '../boards.ts';
import type { BoardTold } from '../boards.ts';
import { listOf, partOf, sharesReadings, wordOf } from '../miner-readings.ts';
import { MINER_BOUNDS, missing, numberReading, textReading, toNumber } from '../readings.ts';

const MOST_PARTS = 16;
/** States of a board that takes no part. */
const LOST: readonly string[] = ['disconnected', 'disabled', 'failure'];
export const MOST_POOLS = 8;

/** Hottest of each board and of its chips; zero is a sensor that does not answer. */
export function addParts(
  readings: Record<string, Reading>,
  miner: Json | undefined,
  { scale, atMs }: { scale: number; atMs: number },
): void {
  const boards: BoardTold[] = [];
  const temperature = (board: JsonObject, part: string): Reading => {
    const hottest = partOf(board, part, 'max');
    return toNumber(hottest) === 0 ? missing(atMs) : numberReading(hottest, MINER_BOUNDS.temperature, atMs);
  };
  for (const [index, board] of listOf(miner, 'chains', MOST_PARTS).entries()) {
    const slot = toNumber(field(board, 'id')) ?? index + 1;
    readings[`temperature.board.${slot}`] = temperature(board, 'pcb_temp');
    readings[`temperature.chip.${slot}`] = temperature(board, 'chip_temp');
    const rate = field(board, 'hr_realtime');
    boards.push({
      place: slot,
      gone: LOST.includes(wordOf(partOf(board, 'status', 'state'))),
      ...(rate !== undefined && { rate: numberReading(rate, MINER_BOUNDS.hashrate, atMs, scale) }),
    });
  }
  Object.assign(readings, boardReadings(boards, atMs));
  for (const [index, fan] of listOf(partOf(miner, 'cooling'), 'fans', MOST_PARTS).entries())
    readings[`fan.${(toNumber(field(fan, 'id')) ?? index) + 1}`] = numberReading(
      field(fan, 'rpm'),
      MINER_BOUNDS.fan,
      atMs,
    );
}

/** The pool at work, and shares of all but the maker's own. */
export const poolReadings = (miner: Json | undefined, atMs: number): Record<string, Reading> => ({
  'pool.active': activePool(miner, atMs),
  ...sharesReadings(
    ownersPools(miner).map((pool) => ({
      accepted: field(pool, 'accepted'),
      rejected: field(pool, 'rejected'),
    })),
    atMs,
  ),
});

const ownersPools = (miner: Json | undefined): readonly JsonObject[] =>
  listOf(miner, 'pools', MOST_POOLS).filter((pool) => !/^devfee$/i.test(wordOf(field(pool, 'pool_type'))));

/** The one in use is `active`; where none is, the first of the owner's that works. The maker's own share is not ours. */
function activePool(miner: Json | undefined, atMs: number): Reading {
  const pools = ownersPools(miner);
  const inUse = ['active', 'working']
    .map((status) => pools.find((pool) => wordOf(field(pool, 'status')) === status))
    .find((pool) => pool !== undefined);
  if (inUse) return textReading(field(inUse, 'url'), atMs);
  return pools.length === 0 ? missing(atMs) : { ok: true, value: '', unit: 'text', quality: 'good', atMs };
}

/** `H:MM`, from the second day on `N days, H:MM`, in s; undefined when it is neither. */
export function uptimeS(raw: Json | undefined): number | undefined {
  const [whole, days = 0, hours = 0, minutes = 0] =
    /^(?:(\d{1,5}) days?(?:, *|$))?(?:(\d{1,2}):(\d{2}))?$/.exec(wordOf(raw)) ?? [];
  return whole === undefined || whole === ''
    ? undefined
    : Number(days) * 86_400 + Number(hours) * 3_600 + Number(minutes) * 60;
}
