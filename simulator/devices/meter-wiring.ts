/** What a simulated meter shows when whoever mounted it made a mistake, or its transformers are not what it believes. */
import type { Measured } from './meter-layouts.ts';

/**
 * `inverted-…`: the transformer of a phase is mounted backwards; `swapped-…`: two currents meet each other's voltage;
 * `ct-…`: the ratio in the meter is not that of the transformers, in all phases or in one; `drift`: it shows 1 % less
 * every hour.
 */
export const WIRING_FAULTS = [
  'inverted-L1',
  'inverted-L2',
  'inverted-L3',
  'swapped-L1-L2',
  'swapped-L2-L3',
  'swapped-L1-L3',
  'ct-0.8',
  'ct-1.2',
  'ct-L2-0.8',
  'drift',
] as const;
export type WiringFault = (typeof WIRING_FAULTS)[number];

type Three = readonly [number, number, number];

interface Mistake {
  /** Per phase: the phase whose current comes to its terminals, and what becomes of it on the way. */
  readonly currentOf: Three;
  readonly factor: Three;
}

const STRAIGHT: Three = [0, 1, 2];
const AS_IS: Three = [1, 1, 1];
const LOST_PER_HOUR = 0.01;
const HOUR_MS = 3_600_000;

function mistakeOf(fault: WiringFault, forMs: number): Mistake {
  const all = (factor: number): Mistake => ({ currentOf: STRAIGHT, factor: [factor, factor, factor] });
  switch (fault) {
    case 'inverted-L1':
      return { currentOf: STRAIGHT, factor: [-1, 1, 1] };
    case 'inverted-L2':
      return { currentOf: STRAIGHT, factor: [1, -1, 1] };
    case 'inverted-L3':
      return { currentOf: STRAIGHT, factor: [1, 1, -1] };
    case 'swapped-L1-L2':
      return { currentOf: [1, 0, 2], factor: AS_IS };
    case 'swapped-L2-L3':
      return { currentOf: [0, 2, 1], factor: AS_IS };
    case 'swapped-L1-L3':
      return { currentOf: [2, 1, 0], factor: AS_IS };
    case 'ct-0.8':
      return all(0.8);
    case 'ct-1.2':
      return all(1.2);
    case 'ct-L2-0.8':
      return { currentOf: STRAIGHT, factor: [1, 0.8, 1] };
    case 'drift':
      return all(1 - (LOST_PER_HOUR * forMs) / HOUR_MS);
  }
}

const three = (value: (phase: 0 | 1 | 2) => number): Three => [value(0), value(1), value(2)];

/** What the instrument makes of what flows when it has been wired like this for `forMs`; its counters apart. */
export function miswired(measured: Measured, fault: WiringFault, forMs: number): Measured {
  const { currentOf, factor } = mistakeOf(fault, forMs);
  const { currentA, voltageV, phaseW, powerFactor } = measured;
  const came = (phase: 0 | 1 | 2): number => currentOf[phase];
  // Currents lag their own voltage by this; another phase's voltage is 120° before or after.
  const lag =
    Math.acos(Math.min(1, Math.abs(powerFactor))) * Math.sign(phaseW[0] + phaseW[1] + phaseW[2] || 1);
  const shownA = three((phase) => (currentA[came(phase)] ?? 0) * Math.abs(factor[phase]));
  const shownW = three((phase) => {
    const from = came(phase);
    if (from === phase) return phaseW[phase] * factor[phase];
    const angle = lag + ((from - phase) * 2 * Math.PI) / 3;
    return voltageV[phase] * (currentA[from] ?? 0) * Math.cos(angle) * factor[phase];
  });
  const totalW = shownW[0] + shownW[1] + shownW[2];
  const apparentVa = three((phase) => voltageV[phase] * shownA[phase]).reduce((sum, va) => sum + va, 0);
  return {
    ...measured,
    phaseW: shownW,
    totalW,
    currentA: shownA,
    powerFactor: apparentVa > 0 ? totalW / apparentVa : powerFactor,
  };
}
