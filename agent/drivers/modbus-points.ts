import type { IdentityPlace, MeterPoint, MeterProfile, RegisterPlace } from '../../config/schema/profile.ts';
import { decodeNumber, wordsOf } from '../../protocols/modbus/registers.ts';
import type { RegisterFormat } from '../../protocols/modbus/registers.ts';

/** A number at an address of the wire. */
interface Place {
  readonly addr: number;
  readonly format: RegisterFormat;
}

/** A point of a profile as one device has it: addresses as they are on its wire. */
export interface Point extends MeterPoint {
  readonly format: RegisterFormat;
  /** The power of ten in a register that scales it. */
  readonly exponentAt?: Place | undefined;
}

/** What must come in one read. `to` is the address behind the last register. */
export interface Span {
  readonly from: number;
  readonly to: number;
  readonly points: readonly Point[];
}

/**
 * The points of a profile: those of one channel under their own names, or of all channels as `channel.N.…`, and the
 * points that are not of a channel. `furtherBy` is added to every address.
 */
export function pointsOf(
  profile: MeterProfile,
  channel: number | undefined,
  furtherBy: number,
): readonly Point[] {
  const { points, channels } = profile;
  const made = (point: MeterPoint, further: number, prefix = ''): Point => {
    const { scale } = point;
    const exponent = typeof scale === 'number' ? undefined : profile.exponents?.[scale.exponent ?? ''];
    return {
      ...point,
      q: `${prefix}${point.q}`,
      addr: point.addr + furtherBy + further,
      format: formatOf(profile, point, point.invalid),
      exponentAt: exponent && { addr: exponent.addr + furtherBy, format: formatOf(profile, exponent) },
    };
  };
  const own = points.map((point) => made(point, 0));
  if (!channels) return own;
  const of = (number: number, prefix?: string): readonly Point[] =>
    channels.points.map((point) => made(point, channels.stride * (number - 1), prefix));
  if (channel !== undefined) return [...own, ...of(channel)];
  const numbers = Array.from({ length: channels.count }, (_, index) => index + 1);
  return [...own, ...numbers.flatMap((number) => of(number, `channel.${number}.`))];
}

/** How a register of a profile is read, unscaled. */
export function formatOf(
  profile: MeterProfile,
  { type, wordOrder = profile.wordOrder }: Omit<RegisterPlace, 'addr'>,
  invalid: readonly string[] = profile.invalid[type] ?? [],
): RegisterFormat {
  return { type, wordOrder, scale: 1, invalid: invalid.map(BigInt) };
}

/** The spans of points, by address: one per point, or per group that comes from one moment. */
export function spansOf(points: readonly Point[], atomic: MeterProfile['atomic'] = []): readonly Span[] {
  const spans = new Map<unknown, Point[]>();
  for (const point of points) {
    const key = atomic.find((group) => group.includes(point.q)) ?? point;
    spans.set(key, [...(spans.get(key) ?? []), point]);
  }
  return [...spans.values()].map(spanOf).sort((a, b) => a.from - b.from);
}

function spanOf(points: readonly Point[]): Span {
  const places = points.flatMap((point): Place[] => (point.exponentAt ? [point, point.exponentAt] : [point]));
  return {
    from: Math.min(...places.map(({ addr }) => addr)),
    to: Math.max(...places.map(({ addr, format }) => addr + wordsOf(format.type))),
    points,
  };
}

/** `raw`: as it stands in the register. */
type Decoded =
  | { readonly ok: true; readonly value: number; readonly raw: number }
  | { readonly ok: false; readonly why: string };

/**
 * The value of a point in its unit, or why there is none. `words` stand at `from` and further; `parameters` are the
 * meter's settings by name, without those that could not be read.
 */
export function valueOf(
  point: Point,
  words: ArrayLike<number>,
  from: number,
  parameters: ReadonlyMap<string, number>,
): Decoded {
  const raw = decodeNumber(words, point.addr - from, point.format);
  if (!raw.ok) return raw;
  const { scale, exponentAt } = point;
  if (typeof scale === 'number') return { ok: true, value: coded(point, raw.value * scale), raw: raw.value };
  const { offset = 0, ratios = [], choose } = scale;
  let { times: factor = 1 } = scale;
  if (exponentAt) {
    const exponent = decodeNumber(words, exponentAt.addr - from, exponentAt.format);
    if (!exponent.ok) return { ok: false, why: `scale factor: ${exponent.why}` };
    if (Math.abs(exponent.value) > 10) return { ok: false, why: `scale factor 10^${exponent.value}` };
    factor *= 10 ** exponent.value;
  }
  for (const name of ratios) {
    const ratio = parameters.get(name);
    if (ratio === undefined) return { ok: false, why: `${name} is not known` };
    factor *= ratio;
  }
  if (choose) {
    const chosen = choose.find(({ when }) =>
      Object.entries(when).every(([name, value]) => parameters.get(name) === value),
    );
    if (!chosen) return { ok: false, why: `no scale for ${namesIn(choose, parameters)}` };
    factor *= chosen.times;
  }
  return { ok: true, value: coded(point, raw.value * factor + offset), raw: raw.value };
}

function namesIn(
  choose: readonly { readonly when: Readonly<Record<string, number>> }[],
  parameters: ReadonlyMap<string, number>,
): string {
  const names = new Set(choose.flatMap(({ when }) => Object.keys(when)));
  return [...names].map((name) => `${name}=${parameters.get(name) ?? 'unknown'}`).join(', ');
}

/** Beyond ±1 a four-quadrant power factor leads: 2 - x, or -2 - x. */
function coded({ coding }: MeterPoint, value: number): number {
  if (coding === undefined || Math.abs(value) <= 1) return value;
  return value > 0 ? 2 - value : -2 - value;
}

/** How many registers an identity takes. */
export const identityWords = (place: IdentityPlace): number =>
  'ascii' in place ? place.ascii : wordsOf(place.type);

/** The text or number of an identity, undefined when there is none. */
export function identityIn(
  profile: MeterProfile,
  place: IdentityPlace,
  words: ArrayLike<number>,
): string | undefined {
  if ('ascii' in place) {
    const codes = Array.from({ length: place.ascii }, (_, index) => words[index] ?? 0);
    const shown = codes
      .flatMap((word) => [word >> 8, word & 0xff])
      .filter((code) => code >= 0x20 && code < 0x7f);
    return String.fromCharCode(...shown).trim() || undefined;
  }
  const number = decodeNumber(words, 0, formatOf(profile, place));
  return number.ok ? String(number.value) : undefined;
}
