/**
 * One price may be wrong. What came lately and nobody has confirmed moves a bounded share of the site per window; what
 * is too far from the one before is not used at all. A witness ends both: a second source that agrees, a later interval
 * of the same feed, or a person.
 */
import type { Now } from './events.ts';
import type { SiteState } from './state.ts';

/** What a feed said: a value and the interval it is for (UTC ms); of what has no interval, when it was struck. */
export interface Word {
  readonly value: number;
  readonly startMs: number;
  readonly endMs: number;
}

export interface Gate {
  /** Not used, because it is too far from the one in force. */
  doubted: (Word & { readonly sinceMs: number }) | undefined;
  /** Where the value in force was said first; later intervals are compared with it. */
  anchor: Word | undefined;
  /** Who agreed with which value. */
  backed: { readonly value: number; readonly by: string; readonly person: boolean } | undefined;
  /** The newest word of the second source. */
  second: { readonly value: number; readonly untilMonoMs: number } | undefined;
}

export interface GateRules {
  /** The largest step that is believed without a witness. */
  readonly stepMost: number;
  /** Values this near agree. */
  readonly agreeMost: number;
  /** A later interval is a witness when it begins at least this long after the first, ms. */
  readonly apartMs: number;
}

export const makeGate = (): Gate => ({
  doubted: undefined,
  anchor: undefined,
  backed: undefined,
  second: undefined,
});

export const energyRules = (state: SiteState): GateRules => {
  const energy = state.site.config.prices.energy;
  return {
    stepMost: energy?.stepUsdPerMwh ?? Infinity,
    agreeMost: energy?.agreeUsdPerMwh ?? 0,
    apartMs: windowMs(state),
  };
};

export const hashRules = (state: SiteState): GateRules => {
  const { stepUsdPerPhDay = Infinity, agreeUsdPerPhDay } = state.site.config.prices.hash;
  return { stepMost: stepUsdPerPhDay, agreeMost: agreeUsdPerPhDay, apartMs: windowMs(state) };
};

const windowMs = (state: SiteState): number => (state.site.config.prices.energy?.windowS ?? 60) * 1_000;

const secondOf = ({ second }: Gate, now: Now): number | undefined =>
  second === undefined || now.monoMs > second.untilMonoMs ? undefined : second.value;

/**
 * Takes a word, `before` being the last good value: true when it is to be in force. Finite and in its range it must be
 * already.
 */
export function pass(
  gate: Gate,
  before: number | undefined,
  word: Word,
  rules: GateRules,
  now: Now,
): boolean {
  const near = (other: number | undefined): boolean =>
    other !== undefined && Math.abs(other - word.value) <= rules.agreeMost;
  const later = (than: Word): boolean => word.startMs - than.startMs >= rules.apartMs;
  const second = secondOf(gate, now);
  const disputed = second !== undefined && !near(second);
  const { doubted, backed } = gate;
  const isAgreed = backed?.person === true && near(backed.value);
  const isRepeated = near(doubted?.value);
  const isConfirmed = doubted !== undefined && isRepeated && later(doubted) && !disputed;
  const isFar = before !== undefined && Math.abs(word.value - before) > rules.stepMost;
  if (isFar && !near(second) && !isConfirmed && !isAgreed) {
    if (!isRepeated) gate.doubted = { ...word, sinceMs: now.wallMs };
    return false;
  }
  if (gate.anchor === undefined || !near(gate.anchor.value)) gate.anchor = isConfirmed ? doubted : word;
  gate.doubted = undefined;
  if (near(second)) gate.backed = { value: word.value, by: 'the second source', person: false };
  else if (!isAgreed && disputed) gate.backed = undefined;
  else if (!near(backed?.value))
    gate.backed =
      gate.anchor !== undefined && later(gate.anchor)
        ? { value: word.value, by: 'a later interval', person: false }
        : undefined;
  return true;
}

/** The second source's word on what is in force now. */
export function takeSecond(
  gate: Gate,
  value: number,
  inForce: number | undefined,
  maxAgeS: number,
  rules: GateRules,
  now: Now,
): void {
  gate.second = { value, untilMonoMs: now.monoMs + maxAgeS * 1_000 };
  if (inForce === undefined) return;
  if (Math.abs(value - inForce) <= rules.agreeMost)
    gate.backed = { value: inForce, by: 'the second source', person: false };
  else if (gate.backed?.person === false) gate.backed = undefined;
}

/** Why a value waits for a witness, in words; undefined: it does not, or nothing hangs on it. */
export function doubtOf(
  gate: Gate,
  inForce: number | undefined,
  rules: GateRules,
  now: Now,
): string | undefined {
  const { doubted } = gate;
  const second = secondOf(gate, now);
  const other = second === undefined ? '' : `; the second source says ${second}`;
  if (doubted !== undefined)
    return `${doubted.value} is not used: more than ${rules.stepMost} from ${inForce ?? 'none'}${other}`;
  if (second === undefined || inForce === undefined || Math.abs(second - inForce) <= rules.agreeMost)
    return undefined;
  return gate.backed?.person === true
    ? undefined
    : `${inForce} is in force${other}: it moves no more than its share of the site`;
}

/** True when everything that money hangs on has a witness: then the share of a single input bounds nothing. */
export function isWitnessed({ price, hashGate, hashpriceMonoMs }: SiteState): boolean {
  // Never heard, the declared value of hash is in force: a person's word.
  return (
    price.gate.backed !== undefined && (hashGate.backed !== undefined || !Number.isFinite(hashpriceMonoMs))
  );
}
