import type { AgreeInput } from '../../protocols/console/protocol.ts';
import { clearAlarm } from './alarms.ts';
import type { Effect } from './effects.ts';
import type { ControllerEvent, Now } from './events.ts';
import { agreeHashprice, isInHashRange } from './inputs.ts';
import { agreeLimit } from './limit.ts';
import { personOf } from './operator.ts';
import { agreePrice, isInRange, watchDoubt } from './price.ts';
import type { SiteState } from './state.ts';
import { energyRules, hashRules, takeSecond } from './witness.ts';

/** The second source of a price. What it says is never in force, it only agrees or does not. */
export function takeWitness(
  state: SiteState,
  { input, value }: Extract<ControllerEvent, { kind: 'witness' }>,
  now: Now,
): Effect[] {
  const { energy, hash } = state.site.config.prices;
  const effects = (['SIGNAL_LOST', 'PRICE_STALE', 'PRICE_INVALID'] as const).flatMap((code) =>
    clearAlarm(state, now, code, `${input}-witness`),
  );
  // A witness outside the range is none.
  if (input === 'price' && isInRange(state, value))
    takeSecond(
      state.price.gate,
      value,
      state.price.usdPerMwh,
      energy?.witness?.maxAgeS ?? 0,
      energyRules(state),
      now,
    );
  if (input === 'hashprice' && isInHashRange(state, value))
    takeSecond(
      state.hashGate,
      value,
      state.hashpriceUsdPerPhDay,
      hash.witness?.maxAgeS ?? 0,
      hashRules(state),
      now,
    );
  return [...effects, ...watchDoubt(state, input, now)];
}

/** What a person would agree with now: the value, and why it waits. Undefined: nothing waits. */
export function waiting(
  state: SiteState,
  input: AgreeInput,
): { readonly value: number; readonly why: string } | undefined {
  const { limit, price, hashGate } = state;
  if (input === 'limit') {
    const why = state.alarms.get('LIMIT_OUTSIDE:utility')?.text;
    return why === undefined || limit.limitKw === undefined ? undefined : { value: limit.limitKw, why };
  }
  const gate = input === 'price' ? price.gate : hashGate;
  const inForce = input === 'price' ? price.usdPerMwh : state.hashpriceUsdPerPhDay;
  const value = gate.doubted?.value ?? inForce;
  if (value === undefined) return undefined;
  const why = state.alarms.get(`INPUT_DOUBTFUL:${input}`)?.text;
  if (why !== undefined) return { value, why };
  const { isFull } = state.priceShare;
  const share = state.site.config.prices.energy?.sharePct ?? 100;
  return isFull && gate.backed === undefined
    ? { value, why: `nobody has confirmed ${value} yet: it moves at most ${share} % of the site per window` }
    : undefined;
}

/** A person's word, already durable: with the value they saw, so that a newer one is not agreed with unseen. */
export function takeAgreement(
  state: SiteState,
  { input, value, actor }: Extract<ControllerEvent, { kind: 'agree' }>,
  now: Now,
): Effect[] {
  if (waiting(state, input)?.value !== value) return [];
  const by = personOf(actor);
  const agree = { price: agreePrice, hashprice: agreeHashprice, limit: agreeLimit }[input];
  return agree(state, value, by, now);
}
