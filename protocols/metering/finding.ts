import type { KeptFinding, Pardon } from './kept-meter.ts';
import { wiringText } from './wiring.ts';

/** A meter that the others contradict. */
export interface MeterFinding {
  readonly kind: 'ratio' | 'contradicts' | 'drift';
  /** Place in the list of meters. `contradicts`: of the one at the top of an equation that no single meter explains. */
  readonly meter: number;
  /** What it shows over what must flow: 0.8 of a transformer with a ratio 20 % too low. */
  readonly gain: number;
  /** Meters that could as well be the wrong one. */
  readonly or: readonly number[];
  /** True when what it shows may steer nothing: it is named, or it shows less than the others say. */
  readonly isDistrusted: boolean;
  /** A person has declared it wrong: until then it changes nothing. */
  readonly pardon?: Pardon | undefined;
  /** Windows in a row that speak for its end. */
  fine: number;
}

/** True when what the meter shows may steer nothing. */
export const isDistrusted = (finding: MeterFinding | undefined): boolean =>
  finding?.isDistrusted === true && finding.pardon === undefined;

type Named = readonly { readonly id: string }[];

/** A finding in words: how far off, against whom, and what that means. */
export function findingText(finding: MeterFinding, meters: Named): string {
  const { kind, meter } = finding;
  const use = finding.isDistrusted
    ? 'it is not used'
    : 'it is used as it is, since a load that nobody declared would show the same';
  const what = findingWhat(finding, meters);
  if (kind === 'drift') return what;
  return kind === 'contradicts' ? `${what}; ${meters[meter]?.id ?? ''}: ${use}` : `${what}; ${use}`;
}

/** The same without what it means. */
function findingWhat(
  { kind, meter, gain, or }: Pick<MeterFinding, 'kind' | 'meter' | 'gain' | 'or'>,
  meters: Named,
): string {
  const name = (place: number): string => meters[place]?.id ?? '';
  const others = or.map(name).join(', ');
  if (kind === 'drift')
    return `what lies between ${name(meter)} and ${others} is no longer what it was; one of them drifts, or something new draws there`;
  if (kind === 'contradicts')
    return `${name(meter)} and ${others} contradict each other, and no single one of them explains it`;
  const off = gain < 0 ? `the sign is wrong, ${Math.round(-gain * 100)} %` : `${Math.round(gain * 100)} %`;
  return `${name(meter)} shows ${off} of what the others and the machines say flows there`;
}

/** A finding as it is kept. */
export const keepFinding = ({ kind, gain, or, isDistrusted }: MeterFinding, meters: Named): KeptFinding => ({
  kind,
  gain,
  or: or.map((meter) => meters[meter]?.id ?? ''),
  isDistrusted,
});

/** The finding of before a restart, of the meter at this place; undefined when a meter it names is none any more. */
export function findingOf(
  { kind, gain, or, isDistrusted }: KeptFinding,
  meter: number,
  meters: Named,
): MeterFinding | undefined {
  const places = or.map((name) => meters.findIndex((one) => one.id === name));
  return places.includes(-1) ? undefined : { kind, meter, gain, or: places, isDistrusted, fine: 0 };
}

/** What a pardon of the meter at this place is about, in words. */
export const pardonWhat = ({ of }: Pardon, meter: number, meters: Named): string =>
  of.kind === 'wiring'
    ? wiringText(of.wiring)
    : findingWhat(
        {
          ...of.finding,
          meter,
          or: of.finding.or.map((name) => meters.findIndex(({ id: one }) => one === name)),
        },
        meters,
      );
