/** Pools of LuxOS: added, switched to and removed one by one, by commands that need no session. */
import type { Pool } from '../../config/pools.ts';
import { field, sectionOf } from '../../protocols/asic/cgminer.ts';
import type { JsonObject } from '../../protocols/asic/cgminer.ts';
import { Fault } from '../../protocols/faults.ts';
import type { Deadline } from '../ask-cgminer.ts';
import { wordOf } from '../miner-readings.ts';
import { poolSettings } from '../pools.ts';
import { toNumber } from '../readings.ts';
import type { LuxosSession } from './luxos-session.ts';

/** A device does not hold so many; one that always shows one more is left alone. */
const MOST_STEPS = 16;

interface Held {
  /** Changes when another is removed. */
  readonly id: number;
  readonly rank: number;
  /** Address and name there, in the way pools are compared. */
  readonly key: string;
}

/**
 * Brings a device to mine at these pools alone, in their order. The new ones are added before the first old one goes, so
 * that it always has one; what an interruption left is carried on. Rejects with a Fault.
 */
export async function setPools(
  session: LuxosSession,
  pools: readonly Pool[],
  deadline: Deadline,
): Promise<void> {
  const wanted = pools.map(keyOf);
  const held = await poolsHeld(session, deadline);
  for (const [index, { url, user, pass }] of pools.entries())
    if (!held.some(({ key }) => key === wanted[index]))
      await session.tell('addpool', `${url},${user},${pass}`, deadline);
  for (let step = 0; step < MOST_STEPS; step += 1) {
    const next = nextStep(await poolsHeld(session, deadline), wanted);
    if (next === undefined) return;
    await session.tell(next.command, String(next.id), deadline);
  }
  throw new Fault('VERB_NOT_OBSERVED', 'it does not come to hold these pools alone');
}

const keyOf = (pool: { readonly url: string; readonly user: string }): string =>
  JSON.stringify(Object.values(poolSettings([{ url: pool.url, user: pool.user }])));

/** The next step from what it holds; undefined: it holds what it shall, in that order. */
function nextStep(
  held: readonly Held[],
  wanted: readonly string[],
): { readonly command: 'switchpool' | 'removepool'; readonly id: number } | undefined {
  const [front] = held;
  const first = held.find(({ key }) => key === wanted[0]);
  if (first === undefined || front === undefined)
    throw new Fault('VERB_NOT_OBSERVED', 'a pool that was added is not among its pools');
  // What it mines at cannot be removed.
  if (front.key !== wanted[0] && !wanted.includes(front.key)) return { command: 'switchpool', id: first.id };
  const seen = new Set<string>();
  for (const { id, key } of held) {
    if (!wanted.includes(key) || seen.has(key)) return { command: 'removepool', id };
    seen.add(key);
  }
  // Whichever is switched to comes to the front: from the last on, each that stands behind its follower.
  const places = wanted.map((key) => held.findIndex((one) => one.key === key));
  const wrong = places.findLastIndex((place, at) => place > (places[at + 1] ?? Infinity));
  const one = held[places[wrong] ?? -1];
  return one && { command: 'switchpool', id: one.id };
}

async function poolsHeld(session: LuxosSession, deadline: Deadline): Promise<readonly Held[]> {
  const { value, partial } = await session.ask('pools', undefined, deadline);
  if (partial) throw new Fault('ANSWER_PARTIAL', 'pools');
  const number = (pool: JsonObject, name: string, otherwise: number): number =>
    toNumber(field(pool, name)) ?? otherwise;
  return sectionOf(value, 'POOLS')
    .map((pool, index) => ({
      id: number(pool, 'POOL', index),
      rank: number(pool, 'Priority', index),
      key: keyOf({ url: wordOf(field(pool, 'URL')), user: wordOf(field(pool, 'User')) }),
    }))
    .sort((a, b) => a.rank - b.rank);
}
