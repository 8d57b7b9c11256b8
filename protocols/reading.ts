import type { FaultCode } from './faults.ts';
import type { Unit } from './units.ts';

/** What a machine is doing, or is asked to do. `off` has no supply; `sleep` answers but does not hash. */
export type Mode = 'off' | 'sleep' | 'mine' | 'ai' | 'idle';
export const MODES = ['off', 'sleep', 'mine', 'ai', 'idle'] as const satisfies readonly Mode[];

export type Quality = 'good' | 'uncertain';

/**
 * One value with its quality and time, or the reason there is none. Unknown is never zero.
 * `atMs`: UTC, the middle between asking and answering.
 */
export type Reading =
  | {
      readonly ok: true;
      readonly value: number | string;
      readonly unit: Unit;
      readonly quality: Quality;
      readonly atMs: number;
      /** For `power`: from a sensor (true) or estimated by firmware or nameplate (false). */
      readonly measured?: boolean;
      /** Why the quality is not good. */
      readonly why?: string;
    }
  | { readonly ok: false; readonly why: FaultCode; readonly detail?: string; readonly atMs: number };

/** Quantity name (design, section 8: `power.active.total`, `hashrate`, `gpu.0.power` …) to reading. */
export type Readings = Readonly<Record<string, Reading>>;

export interface Identity {
  readonly vendor: string;
  readonly model: string;
  readonly firmware: string;
}

/** The number of a good or uncertain reading, else undefined. */
export function numberOf(reading: Reading | undefined): number | undefined {
  return reading?.ok && typeof reading.value === 'number' && Number.isFinite(reading.value)
    ? reading.value
    : undefined;
}

/** The mode a machine reports, else undefined. */
export function modeOf(readings: Readings): Mode | undefined {
  const reading = readings['mode'];
  if (!reading?.ok) return undefined;
  return MODES.find((mode) => mode === reading.value);
}
