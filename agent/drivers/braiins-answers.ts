/** What the answers of Braiins OS have in common, whichever of its interfaces gives them. */
import { field, isList } from '../../protocols/asic/cgminer.ts';
import type { Json, JsonObject } from '../../protocols/asic/cgminer.ts';
import { Fault } from '../../protocols/faults.ts';
import type { Reading } from '../../protocols/reading.ts';
import type { Settings } from '../driver.ts';
import { listOf, partOf, sharesReadings, wordOf } from '../miner-readings.ts';
import { poolSettings } from '../pools.ts';
import { missing, textReading } from '../readings.ts';

const MOST_POOLS = 8;
/** From the device's words to the maker; what is none of these is left open. */
const VENDORS: ReadonlyArray<readonly [RegExp, string]> = [
  [/^(?:bitmain )?antminer/i, 'Bitmain'],
  [/^whatsminer/i, 'MicroBT'],
  [/^(?:braiins|bmm)/i, 'Braiins'],
];

export const vendorOf = (model: string): string => VENDORS.find(([name]) => name.test(model))?.[1] ?? '';

/** Pools stand in groups. */
export const poolsOf = (groups: Json | undefined): readonly JsonObject[] =>
  (isList(groups) ? groups : []).flatMap((group) => listOf(group, 'pools', MOST_POOLS)).slice(0, MOST_POOLS);

/** The pool at work and the shares of all, by the words of either interface. */
export const poolReadings = (pools: readonly JsonObject[], atMs: number): Record<string, Reading> => ({
  'pool.active': activePool(pools, atMs),
  ...sharesReadings(
    pools.map((pool) => ({
      accepted: partOf(pool, 'stats', 'accepted_shares') ?? partOf(pool, 'shares', 'acceptedSolutions'),
      rejected: partOf(pool, 'stats', 'rejected_shares') ?? partOf(pool, 'shares', 'rejectedSolutions'),
    })),
    atMs,
  ),
});

/** The pool at work: its URL, an empty text when none is, a reason when there are none. */
function activePool(pools: readonly JsonObject[], atMs: number): Reading {
  const active = pools.find((pool) => field(pool, 'active') === true);
  if (active) return textReading(field(active, 'url'), atMs);
  return pools.length === 0 ? missing(atMs) : { ok: true, value: '', unit: 'text', quality: 'good', atMs };
}

export const settingsOfPools = (pools: readonly JsonObject[]): Settings =>
  poolSettings(pools.map((pool) => ({ url: wordOf(field(pool, 'url')), user: wordOf(field(pool, 'user')) })));

/** Before a power target is written. Throws a Fault where no other target could take back what that overwrites. */
export function checkTuner(settings: Settings, inWatts: readonly (string | number)[]): void {
  const { tunerMode: mode, powerLimit } = settings;
  if (mode === undefined && powerLimit === undefined)
    throw new Fault('ANSWER_GARBAGE', 'its configuration names neither a tuner nor a power target');
  // A tuner that holds something else, or is off, would change its mode, which is a setting beside this one.
  if (mode !== undefined && !inWatts.includes(mode))
    throw new Fault('VERB_REFUSED', `its tuner holds no power target but ${mode}: set it to one by hand`);
}
