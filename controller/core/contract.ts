import type { SiteConfig } from '../../config/schema/site.ts';
import { localTime, WEEKDAYS } from '../../protocols/local-time.ts';
import type { LimitState } from './signals.ts';

type Envelope = NonNullable<SiteConfig['utility']>['envelope'];

const DAY_MS = 86_400_000;
/** Of beginnings of limits (UTC ms) those of the 24 h before `wallMs`. */
export const lastDay = (events: readonly number[], wallMs: number): readonly number[] =>
  events.filter((atMs) => wallMs - atMs < DAY_MS);

/** Minutes since midnight of `HH:MM`. */
const minutesOf = (text: string): number => Number(text.slice(0, 2)) * 60 + Number(text.slice(3, 5));

/**
 * True when a moment (UTC ms) is inside one of the hours of a contract, by the clocks of its time zone (IANA name).
 * Hours that end before they begin pass midnight. In the night in which clocks go back an hour counts twice.
 */
export function isInHours(hours: NonNullable<Envelope['hours']>, wallMs: number, timeZone: string): boolean {
  const { weekday, minute } = localTime(wallMs, timeZone);
  const has = (days: readonly string[] | undefined, day: number): boolean =>
    days === undefined || days.includes(WEEKDAYS[(day + 7) % 7] ?? '');
  return hours.some(({ days, from, until }) => {
    const start = minutesOf(from);
    const end = minutesOf(until);
    if (start < end) return has(days, weekday) && minute >= start && minute < end;
    return (has(days, weekday) && minute >= start) || (has(days, weekday - 1) && minute < end);
  });
}

/** A limit that a contract covers or does not: its kW, and since when it and those before it came (UTC ms). */
interface Asked {
  readonly limitKw: number;
  readonly kind: LimitState['kind'];
  readonly beganMs: number;
  /** Beginnings of all limits lately, this one included. */
  readonly events: readonly number[];
}

/** Which bound of its contract a limit breaks, in words; undefined: none. What is statutory stands above any contract. */
export function breaks(envelope: Envelope, asked: Asked, wallMs: number): readonly string[] {
  if (asked.kind !== 'contracted') return [];
  const { minLimitKw, maxMinutes = Infinity, eventsPerDay = Infinity, hours, timeZone } = envelope;
  const today = lastDay(asked.events, wallMs).length;
  return [
    ...(asked.limitKw < minLimitKw ? [`${asked.limitKw} kW is below the contract's ${minLimitKw} kW`] : []),
    ...(wallMs - asked.beganMs > maxMinutes * 60_000 ? [`it lasts longer than ${maxMinutes} min`] : []),
    ...(today > eventsPerDay ? [`it is number ${today} in 24 h, ${eventsPerDay} are allowed`] : []),
    ...(hours !== undefined && !isInHours(hours, wallMs, timeZone)
      ? ['it is outside the hours of the contract']
      : []),
  ];
}

/** What of a limit is obeyed without a witness, kW: all that the contract covers, and beyond it the share of what flows. */
export function obeyedKw(envelope: Envelope, asked: Asked, meterKw: number, wallMs: number): number {
  const broken = breaks(envelope, asked, wallMs);
  if (broken.length === 0) return asked.limitKw;
  const inContract = Math.max(asked.limitKw, envelope.minLimitKw);
  // The kW alone are too few: the rest of it is covered.
  if (broken.length === 1 && asked.limitKw < envelope.minLimitKw) return inContract;
  return Math.max(inContract, meterKw * (1 - envelope.sharePct / 100));
}
