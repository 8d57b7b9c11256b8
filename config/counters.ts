import type { CounterRules } from '../protocols/metering/counter.ts';
import type { RegisterType } from '../protocols/modbus/registers.ts';
import { profilesOf } from './meters.ts';
import type { MeterPoint, MeterProfile } from './schema/profile.ts';

/** Where integers begin again at 0. Signed ones do at their largest value, or go on below zero. */
const ROUNDS: Readonly<Partial<Record<RegisterType, readonly number[]>>> = {
  int16: [2 ** 15, 2 ** 16],
  uint16: [2 ** 16],
  int32: [2 ** 31, 2 ** 32],
  uint32: [2 ** 32],
  int64: [2 ** 63],
  uint64: [2 ** 64],
};
const MANTISSA_BITS: Readonly<Partial<Record<RegisterType, number>>> = { float32: 23, float64: 52 };
/** Displays end at 999…9, many registers with them: from 1 MWh, which none is as short as, Wh. */
const DISPLAYS = Array.from({ length: 10 }, (_, index) => 10 ** (index + 6));
/** Where a register holds the power of ten. */
const EXPONENTS = [-3, -2, -1, 0, 1, 2, 3, 4, 5, 6];
/** Counters in kWh as floats show hundredths at the best. */
const FLOAT_STEP = 0.01;

/**
 * How the counter of a quantity counts, by the profile of its meter; undefined where the profile has none. What a
 * profile leaves open (a power of ten in a register, the limit of a display) gives several moduli: which of them it is
 * shows when the register is close to one of them and then begins again.
 */
export function counterRules(
  profile: MeterProfile,
  quantity: string,
  mostW: number,
): CounterRules | undefined {
  const [point] = countersOf(profile, quantity);
  if (point === undefined) return undefined;
  const { type, modulus } = point;
  const factors = factorsOf(point);
  const rounds = (ROUNDS[type] ?? []).flatMap((round) => factors.map((factor) => round * factor));
  const least = Math.min(...factors);
  const mantissaBits = MANTISSA_BITS[type];
  return {
    moduliWh: modulus === undefined ? [...new Set([...rounds, ...DISPLAYS])] : [modulus],
    stepWh: mantissaBits !== undefined && least >= 1_000 ? least * FLOAT_STEP : least,
    mantissaBits,
    mostW,
  };
}

/** What a register of 1 may be worth, Wh. */
function factorsOf({ scale }: MeterPoint): readonly number[] {
  if (typeof scale === 'number') return [Math.abs(scale)];
  const { times = 1, exponent, choose } = scale;
  const tens = exponent === undefined ? [1] : EXPONENTS.map((power) => 10 ** power);
  const chosen = choose?.map((one) => one.times) ?? [1];
  return tens.flatMap((ten) => chosen.map((one) => Math.abs(times * ten * one)));
}

/** The counters that a quantity is, or is the sum of. */
function countersOf(profile: MeterProfile, quantity: string): readonly MeterPoint[] {
  const parts = profile.sums.find(({ q }) => q === quantity)?.of ?? [quantity.replace(/^channel\.\d+\./, '')];
  const points = [...profile.points, ...(profile.channels?.points ?? [])];
  return points.filter(({ q, unit }) => parts.includes(q) && unit === 'Wh');
}

/** Why the counter of import of a target's meter cannot be settled by; undefined: it can. */
export function unfitForRevenue(target: string): string | undefined {
  const options = URL.parse(target)?.searchParams;
  const way = options?.get('invert') === '1' ? 'export' : 'import';
  const profiles = profilesAt(options?.get('profile') ?? '');
  const points = profiles.flatMap((profile) => countersOf(profile, `energy.active.${way}`));
  if (profiles.length > 0 && points.length === 0) return `its profile has no energy.active.${way}`;
  return points.some(({ agree }) => agree === 'no')
    ? `sources disagree about energy.active.${way} of its profile`
    : undefined;
}

/** How import and export of the meter of a target count; undefined where its profile has no such counter, or is none. */
export function targetCounters(
  target: string,
  mostW: number,
): { readonly import: CounterRules | undefined; readonly export: CounterRules | undefined } {
  const options = URL.parse(target)?.searchParams;
  const [bought, sold] = ['import', 'export'].map((way) =>
    profilesAt(options?.get('profile') ?? '')
      .map((profile) => counterRules(profile, `energy.active.${way}`, mostW))
      .find((rules) => rules !== undefined),
  );
  return options?.get('invert') === '1' ? { import: sold, export: bought } : { import: bought, export: sold };
}

/** A target that cannot be used never answers, and is said to be so elsewhere. */
function profilesAt(name: string): readonly MeterProfile[] {
  try {
    return profilesOf(name);
  } catch {
    return [];
  }
}
