import { clearAlarm, raiseAlarm, setAlarm } from './alarms.ts';
import type { Effect } from './effects.ts';
import type { ControllerEvent, Now, PriceInput } from './events.ts';
import { endSignal } from './restoring.ts';
import type { PriceState } from './signals.ts';
import type { SiteState } from './state.ts';
import { doubtOf, energyRules, hashRules, makeGate, pass } from './witness.ts';
import type { Word } from './witness.ts';

/** A smaller step of the price is the same signal going on. */
export const SAME_PRICE_USD = 0.01;

/** A signal as the ledger and whoever watches have it. */
export function signalOf(
  now: Now,
  signalId: string,
  kind: string,
  source: string,
  value: number | undefined,
  quality?: string,
): Effect[] {
  const said = {
    signalId,
    kind,
    source,
    ...(value === undefined ? {} : { value }),
    ...(quality === undefined ? {} : { quality }),
  };
  return [
    { kind: 'ledger', records: [{ t: 'signal', atMs: now.wallMs, ...said }], after: [] },
    { kind: 'report', event: { event: 'signal', ...said } },
  ];
}

export const isInRange = ({ site }: SiteState, value: number): boolean => {
  const energy = site.config.prices.energy;
  return (
    energy !== undefined &&
    Number.isFinite(value) &&
    value >= energy.minUsdPerMwh &&
    value <= energy.maxUsdPerMwh
  );
};

/** The last good price, while it holds; undefined: none does. */
const lastGood = ({ quality, usdPerMwh }: PriceState): number | undefined =>
  quality === 'good' || quality === 'held' ? usdPerMwh : undefined;

/**
 * A price that is finite, in its range, for now and newer than those before it comes into force, unless it is too far
 * from the last good one and has no witness. Whatever does not, leaves the last good one.
 */
export function takePrice(
  state: SiteState,
  event: Extract<ControllerEvent, { kind: 'price' }>,
  now: Now,
): Effect[] {
  const energy = state.site.config.prices.energy;
  if (energy === undefined) return [];
  const value = event.usdPerMwh;
  if (!isInRange(state, value))
    return raiseAlarm(
      state,
      now,
      'PRICE_INVALID',
      'price',
      `${value} USD/MWh is outside ${energy.minUsdPerMwh} … ${energy.maxUsdPerMwh}; the last good price holds`,
    );
  const { price } = state;
  const { publishedAtMs = price.publishedAtMs, later = [] } = event;
  const stale = (text: string): Effect[] => raiseAlarm(state, now, 'PRICE_STALE', 'price', text);
  if (event.endMs <= now.wallMs)
    return stale(`the newest price ended at ${new Date(event.endMs).toISOString()}`);
  if (publishedAtMs < price.publishedAtMs)
    return stale(`published at ${new Date(publishedAtMs).toISOString()}, before one that was taken already`);
  price.publishedAtMs = publishedAtMs;
  const effects = [
    ...clearAlarm(state, now, 'PRICE_INVALID', 'price'),
    ...clearAlarm(state, now, 'SIGNAL_LOST', 'price'),
  ];
  const word = { value, startMs: event.startMs, endMs: event.endMs };
  if (!pass(price.gate, lastGood(price), word, energyRules(state), now))
    return [...effects, ...watchDoubt(state, 'price', now)];
  price.later = later.filter((interval) => isInRange(state, interval.usdPerMwh));
  price.heardMonoMs = now.monoMs;
  return [...effects, ...putInForce(state, word, 'good', now), ...watchDoubt(state, 'price', now)];
}

/** Every change of value or source is a signal, and what is not the newest good price is an alarm besides. */
function putInForce(
  state: SiteState,
  word: Pick<Word, 'endMs'> & { readonly value: number | undefined },
  quality: PriceState['quality'],
  now: Now,
): Effect[] {
  const { price } = state;
  const { value, endMs } = word;
  const moved =
    price.usdPerMwh === undefined || value === undefined
      ? price.usdPerMwh !== value
      : Math.abs(price.usdPerMwh - value) >= SAME_PRICE_USD;
  const before = price.quality;
  price.usdPerMwh = value;
  price.endMs = endMs;
  price.quality = quality;
  const effects = watchSource(state, now);
  // The first price in force was none before.
  if (!moved && before === quality) return effects;
  if (moved) {
    endSignal(state, price.signalId);
    price.count++;
    price.signalId = `price-${state.epoch}-${price.count}`;
  }
  return [...effects, ...signalOf(now, price.signalId, 'price', 'energy', value, quality)];
}

/** Until when the last good price holds, monotonic ms. */
const holdsUntil = ({ site, price }: SiteState): number => {
  const energy = site.config.prices.energy;
  return price.heardMonoMs + (energy?.keepS ?? energy?.maxAgeS ?? 0) * 1_000;
};

/** What price is used, why, and until when. */
export function priceWords(state: SiteState, now: Now): string {
  const { price, site } = state;
  const energy = site.config.prices.energy;
  const value = price.usdPerMwh === undefined ? 'no usable price' : `${price.usdPerMwh.toFixed(2)} USD/MWh`;
  const next =
    energy?.fallbackUsdPerMwh === undefined
      ? 'then nothing changes for money'
      : `then ${energy.fallbackUsdPerMwh} USD/MWh as declared`;
  if (price.quality === 'good') return value;
  if (price.quality === 'fallback') return `${value}, declared in the site file; no good price is left`;
  if (price.quality === 'none') return `${value}: nothing changes for money`;
  const untilMs = now.wallMs + holdsUntil(state) - now.monoMs;
  return `${value}, the last good one; it holds until ${new Date(untilMs).toISOString().slice(0, 16)}Z, ${next}`;
}

function watchSource(state: SiteState, now: Now): Effect[] {
  const { quality } = state.price;
  const isOut = quality === 'fallback' || quality === 'none';
  const text = priceWords(state, now);
  return [
    ...setAlarm(state, now, quality === 'held', 'PRICE_HELD', 'price', text),
    ...setAlarm(state, now, isOut, 'PRICE_STALE', 'price', text),
  ];
}

/** A feed that is silent for this many of its periods has no newest price. */
const PERIODS_LATE = 3;

/**
 * Without a newer price the last good one is held, or what was announced with it for now; after its time the declared
 * fallback is in force, or none.
 */
export function agePrice(state: SiteState, now: Now): Effect[] {
  const energy = state.site.config.prices.energy;
  const { price } = state;
  if (energy === undefined || lastGood(price) === undefined) return [];
  if (now.monoMs > holdsUntil(state)) {
    const value = energy.fallbackUsdPerMwh;
    Object.assign(price.gate, makeGate());
    price.later = [];
    const effects = putInForce(state, { value, endMs: 0 }, value === undefined ? 'none' : 'fallback', now);
    return [...effects, ...watchDoubt(state, 'price', now)];
  }
  const sinceMonoMs = Math.max(price.heardMonoMs, state.startedMonoMs);
  const isLate = now.monoMs - sinceMonoMs > PERIODS_LATE * energy.periodMs;
  if (!isLate) return [];
  const word = announced(state, now);
  if (word === undefined || !pass(price.gate, lastGood(price), word, energyRules(state), now))
    return putInForce(state, { value: price.usdPerMwh, endMs: price.endMs }, 'held', now);
  return putInForce(state, word, 'held', now);
}

/** What the last good word announced for now, once its own interval is over. */
function announced({ price }: SiteState, now: Now): Word | undefined {
  if (price.endMs > now.wallMs) return undefined;
  const found = price.later.find(({ startMs, endMs }) => startMs <= now.wallMs && now.wallMs < endMs);
  return found && { value: found.usdPerMwh, startMs: found.startMs, endMs: found.endMs };
}

/** What waits for a witness is an alarm that says so. */
export function watchDoubt(state: SiteState, input: PriceInput, now: Now): Effect[] {
  const text =
    input === 'price'
      ? doubtOf(state.price.gate, state.price.usdPerMwh, energyRules(state), now)
      : doubtOf(state.hashGate, state.hashpriceUsdPerPhDay, hashRules(state), now);
  return setAlarm(state, now, text !== undefined, 'INPUT_DOUBTFUL', input, text ?? '');
}

/** A person agrees with the price that waits, or with the one in force. */
export function agreePrice(state: SiteState, value: number, by: string, now: Now): Effect[] {
  const { price } = state;
  const { doubted } = price.gate;
  Object.assign(price.gate, { doubted: undefined, anchor: undefined, backed: { value, by, person: true } });
  if (doubted === undefined || doubted.endMs <= now.wallMs) return watchDoubt(state, 'price', now);
  price.heardMonoMs = now.monoMs;
  return [...putInForce(state, doubted, 'good', now), ...watchDoubt(state, 'price', now)];
}
