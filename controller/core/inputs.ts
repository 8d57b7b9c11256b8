import { FAULTS } from '../../protocols/faults.ts';
import { SAME_PRICE_USD, signalOf, watchDoubt } from './price.ts';
import { hashRules, pass } from './witness.ts';
import { clearAlarm, raiseAlarm, setAlarm } from './alarms.ts';
import type { Effect } from './effects.ts';
import type { AiJob } from '../../protocols/prices/feed.ts';
import type { ControllerEvent, Now } from './events.ts';
import { endSignal } from './restoring.ts';
import { meterOf, rootOf } from './state.ts';
import type { SiteState } from './state.ts';

export function takeHashprice(
  state: SiteState,
  event: Extract<ControllerEvent, { kind: 'hashprice' }>,
  now: Now,
): Effect[] {
  const hash = state.site.config.prices.hash;
  const value = event.usdPerPhDay;
  if (!isInHashRange(state, value))
    return raiseAlarm(
      state,
      now,
      'SIGNAL_INVALID',
      'hashprice',
      `${value} USD/PH/day is outside ${hash.minUsdPerPhDay} … ${hash.maxUsdPerPhDay}`,
    );
  const well = clearAlarm(state, now, 'SIGNAL_INVALID', 'hashprice');
  const before = Number.isFinite(state.hashpriceMonoMs) ? state.hashpriceUsdPerPhDay : undefined;
  const word = { value, startMs: event.atMs, endMs: event.atMs };
  if (!pass(state.hashGate, before, word, hashRules(state), now))
    return [...well, ...watchDoubt(state, 'hashprice', now)];
  return [...well, ...inForce(state, value, now), ...watchDoubt(state, 'hashprice', now)];
}

export const isInHashRange = ({ site }: SiteState, value: number): boolean => {
  const { minUsdPerPhDay, maxUsdPerPhDay } = site.config.prices.hash;
  return Number.isFinite(value) && value >= minUsdPerPhDay && value <= maxUsdPerPhDay;
};

function inForce(state: SiteState, value: number, now: Now): Effect[] {
  const changed = Math.abs(state.hashpriceUsdPerPhDay - value) >= SAME_PRICE_USD;
  state.hashpriceUsdPerPhDay = value;
  state.hashpriceMonoMs = now.monoMs;
  return changed
    ? signalOf(now, `hashprice-${state.epoch}-${now.wallMs}`, 'hashprice', 'hashprice', value)
    : [];
}

/** A person agrees with the hash value that waits, or with the one in force. */
export function agreeHashprice(state: SiteState, value: number, by: string, now: Now): Effect[] {
  state.hashGate.doubted = undefined;
  state.hashGate.anchor = undefined;
  state.hashGate.backed = { value, by, person: true };
  return [...inForce(state, value, now), ...watchDoubt(state, 'hashprice', now)];
}

/** Old hash value falls back to the declared one. */
export function ageHashprice(state: SiteState, now: Now): Effect[] {
  const hash = state.site.config.prices.hash;
  const age = now.monoMs - state.hashpriceMonoMs;
  if (!Number.isFinite(age) || age <= hash.maxAgeS * 1_000) return [];
  state.hashpriceUsdPerPhDay = hash.fallbackUsdPerPhDay;
  state.hashpriceMonoMs = -Infinity;
  state.hashGate.backed = undefined;
  return raiseAlarm(
    state,
    now,
    'SIGNAL_LOST',
    'hashprice',
    `the fallback of ${hash.fallbackUsdPerPhDay} USD/PH/day is in force`,
  );
}

/** AI work announced; jobs of contracts the site does not have are said and left out. */
export function takeJobs(state: SiteState, jobs: readonly AiJob[], now: Now): Effect[] {
  const contracts = new Set(state.site.config.ai?.contracts.map((contract) => contract.id));
  state.jobs = jobs.filter((job) => contracts.has(job.contract));
  const text = 'a job names a contract the site file does not have';
  return [
    ...setAlarm(state, now, state.jobs.length < jobs.length, 'SIGNAL_INVALID', 'ai-demand', text),
    ...turnJobs(state, now),
  ];
}

/** Jobs begin and end by their times: each is a signal when it does. */
export function turnJobs(state: SiteState, now: Now): Effect[] {
  const active = state.jobs.filter((job) => job.fromMs <= now.wallMs && now.wallMs < job.untilMs);
  const before = state.activeJobs;
  state.activeJobs = new Set(active.map((job) => job.id));
  const effects = active
    .filter((job) => !before.has(job.id))
    .flatMap((job) => signalOf(now, `ai-${job.id}`, 'ai', job.contract, job.hosts));
  for (const id of before) {
    if (state.activeJobs.has(id)) continue;
    endSignal(state, `ai-${id}`);
    effects.push(...signalOf(now, `ai-${id}`, 'ai-end', 'ai-demand', 0));
  }
  return effects;
}

/** A feed that failed once is said once; what it last gave holds for its allowed time. */
export function takeFeedFailure(
  state: SiteState,
  event: Extract<ControllerEvent, { kind: 'feed-failed' }>,
  now: Now,
): Effect[] {
  const code =
    event.code === 'PRICE_INVALID' || event.code === 'PRICE_STALE' || event.code === 'SIGNAL_INVALID'
      ? event.code
      : 'SIGNAL_LOST';
  return raiseAlarm(state, now, code, event.feed, `${FAULTS[event.code].cause}: ${event.detail}`);
}

/** How long the site may take to fall to its firm cap when the utility falls silent, ms. */
/** A limit that was met counts as met up to this share: a meter has its class. */
const MET_SLACK = 1.005;
const FIRM_CAP_MS = 60_000;

/** The terminal's heartbeat decides whether the utility is heard. */
export function ageLimit(state: SiteState, now: Now): Effect[] {
  const utility = state.site.config.utility;
  if (utility === undefined) return [];
  const limit = state.limit;
  const silentMs = now.monoMs - limit.heardMonoMs + limit.heartbeatAgeMs;
  const since = Number.isFinite(silentMs) ? silentMs : now.monoMs - state.startedMonoMs;
  const lost = since > utility.heartbeatMaxAgeS * 1_000;
  // The firm cap that now holds is reached in a time of its own, not at once.
  if (lost && !limit.lost && utility.onLoss === 'firm-cap')
    limit.deadlineMonoMs = Math.max(limit.deadlineMonoMs, now.monoMs + FIRM_CAP_MS);
  limit.lost = lost;
  const text = `no heartbeat from the utility for ${Math.round(since / 1_000)} s; ${utility.onLoss === 'hold' ? 'the limit in force holds' : `the firm cap of ${utility.firmCapKw} kW is in force`}`;
  const effects = setAlarm(state, now, limit.lost, 'SIGNAL_LOST', 'utility', text);
  const meterW = meterOf(state, rootOf(state.site).index, now.monoMs);
  if (limit.limitKw === undefined) limit.met = true;
  else if (meterW !== undefined) limit.met = meterW <= limit.limitKw * 1_000 * (limit.met ? MET_SLACK : 1);
  return effects;
}
