import type { Clock, Endpoint, Net } from '../host/deps.ts';
import {
  ANSWER_MAX_BYTES,
  encodeCgminer,
  field,
  makeIsWhole,
  parseCgminer,
  sectionOf,
  statusOf,
} from '../protocols/asic/cgminer.ts';
import type { CgminerAnswer, JsonObject } from '../protocols/asic/cgminer.ts';
import { Fault } from '../protocols/faults.ts';
import type { Reading } from '../protocols/reading.ts';
import { sharesReadings, wordOf } from './miner-readings.ts';
import type { PoolSeen } from './pools.ts';
import { middleMs, missing, textReading, toNumber } from './readings.ts';

/** An answer and the UTC time in the middle between asking and answering. */
export interface Asked extends CgminerAnswer {
  readonly atMs: number;
}

/** Ends at a point of the monotonic clock; several exchanges share one. */
export class Deadline {
  readonly #clock: Clock;
  readonly #endMs: number;

  constructor(clock: Clock, timeoutMs: number) {
    this.#clock = clock;
    this.#endMs = clock.monoMs() + timeoutMs;
  }

  /** What is left, ms. Throws NET_TIMEOUT when nothing is. */
  leftMs(): number {
    const left = this.#endMs - this.#clock.monoMs();
    if (left <= 0) throw new Fault('NET_TIMEOUT', 'the time allowed is used up');
    return left;
  }
}

/** One request of the cgminer family on a connection of its own. Rejects with a Fault: NET_*, ANSWER_*. */
export async function askBytes(
  io: { readonly net: Net; readonly clock: Clock },
  endpoint: Endpoint,
  request: Uint8Array,
  deadline: Deadline,
): Promise<{ readonly bytes: Uint8Array; readonly atMs: number }> {
  const startMs = io.clock.monoMs();
  const { bytes, ended } = await io.net.exchange(endpoint, request, {
    timeoutMs: deadline.leftMs(),
    maxBytes: ANSWER_MAX_BYTES,
    complete: makeIsWhole(),
  });
  if (bytes.length === 0)
    throw new Fault('NET_RESET', `${endpoint.host}:${endpoint.port}: ${ended} without an answer`);
  return { bytes, atMs: middleMs(io.clock, startMs) };
}

/** As `askBytes`, parsed. An answer whose status is an error rejects with VERB_UNSUPPORTED. */
export async function askCgminer(
  io: { readonly net: Net; readonly clock: Clock },
  endpoint: Endpoint,
  command: string,
  deadline: Deadline,
): Promise<Asked> {
  const { bytes, atMs } = await askBytes(io, endpoint, encodeCgminer(command), deadline);
  const answer = parseCgminer(bytes);
  if (answer instanceof Fault) throw answer;
  const status = statusOf(answer.value);
  if (status && (status.level === 'E' || status.level === 'F')) {
    throw new Fault('VERB_UNSUPPORTED', `${command}: ${status.message.slice(0, 100)}`);
  }
  return { ...answer, atMs };
}

/** The pools by the POOLS section, the first in front. */
export function poolsTold(value: JsonObject): readonly PoolSeen[] {
  const rank = (pool: JsonObject, index: number): number => toNumber(field(pool, 'Priority')) ?? index;
  return sectionOf(value, 'POOLS')
    .map((pool, index) => ({ pool, rank: rank(pool, index) }))
    .sort((a, b) => a.rank - b.rank)
    .map(({ pool }) => ({ url: wordOf(field(pool, 'URL')), user: wordOf(field(pool, 'User')) }));
}

/** The pool at work by the POOLS section: its URL, an empty text when none is, a reason when nothing is said of pools. */
function poolReading({ value, atMs, partial }: Asked): Reading {
  const pools = sectionOf(value, 'POOLS');
  const active = pools.find((pool) => field(pool, 'Stratum Active') === true);
  if (active) return textReading(field(active, 'URL'), atMs);
  if (pools.length === 0 || partial) return missing(atMs);
  return { ok: true, value: '', unit: 'text', quality: 'good', atMs };
}

/** The pool at work and the shares of all of them; of pools that broke off no shares are told. */
export function poolReadings(asked: Asked): Record<string, Reading> {
  const told = asked.partial ? [] : sectionOf(asked.value, 'POOLS');
  const shares = told.map((pool) => ({
    accepted: field(pool, 'Accepted'),
    rejected: field(pool, 'Rejected'),
  }));
  return { 'pool.active': poolReading(asked), ...sharesReadings(shares, asked.atMs) };
}
