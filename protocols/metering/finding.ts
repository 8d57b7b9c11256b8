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
  /** Windows in a row that speak for its end. */
  fine: number;
}

/** A finding in words: how far off, against whom, and what that means. */
export function findingText(finding: MeterFinding, meters: readonly { readonly id: string }[]): string {
  const name = (meter: number): string => meters[meter]?.id ?? '';
  const { kind, meter, gain, isDistrusted } = finding;
  const others = finding.or.map(name).join(', ');
  const use = isDistrusted
    ? 'it is not used'
    : 'it is used as it is, since a load that nobody declared would show the same';
  if (kind === 'drift')
    return `what lies between ${name(meter)} and ${others} is no longer what it was; one of them drifts, or something new draws there`;
  if (kind === 'contradicts')
    return `${name(meter)} and ${others} contradict each other, and no single one of them explains it; ${name(meter)}: ${use}`;
  const off = gain < 0 ? `the sign is wrong, ${Math.round(-gain * 100)} %` : `${Math.round(gain * 100)} %`;
  return `${name(meter)} shows ${off} of what the others and the machines say flows there; ${use}`;
}
