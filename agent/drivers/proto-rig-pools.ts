/** Pools as Proto's MDK tells them. */
import { field } from '../../protocols/asic/cgminer.ts';
import type { Json, JsonObject } from '../../protocols/asic/cgminer.ts';
import type { Reading } from '../../protocols/reading.ts';
import type { JsonPage } from '../ask-json.ts';
import { listOf, sharesReadings, wordOf } from '../miner-readings.ts';
import type { PoolSeen } from '../pools.ts';
import { missing, toNumber } from '../readings.ts';

const MOST_POOLS = 8;

export const poolReadings = (page: JsonPage): Record<string, Reading> => ({
  'pool.active': activePool(page),
  ...sharesReadings(
    poolsOf(page.value).map((pool) => ({
      accepted: field(pool, 'accepted'),
      rejected: field(pool, 'rejected'),
    })),
    page.atMs,
  ),
});

/** All that can be reached are called active: the first by priority is at work. */
function activePool({ value, atMs }: JsonPage): Reading {
  const pools = poolsOf(value);
  if (pools.length === 0) return missing(atMs);
  const first = pools.find(
    (pool) => field(pool, 'enabled') !== false && wordOf(field(pool, 'status')) === 'Active',
  );
  return { ok: true, value: wordOf(first && field(first, 'url')), unit: 'text', quality: 'good', atMs };
}

const priorityOf = (pool: JsonObject): number => toNumber(field(pool, 'priority')) ?? MOST_POOLS;

/** By priority, whatever their order is. */
export const poolsOf = (page: Json | undefined): readonly JsonObject[] =>
  listOf(page, 'pools', MOST_POOLS).toSorted((a, b) => priorityOf(a) - priorityOf(b));

export const poolSeen = (pool: JsonObject): PoolSeen => ({
  url: wordOf(field(pool, 'url')),
  user: wordOf(field(pool, 'user')),
});
