import type { Measured } from './meter-layouts.ts';

/**
 * `energy-stuck`: counts no further; `energy-glitch`: shows 0 for a while; `energy-reset`: begins again at 0;
 * `energy-rollover`: a little below 1 GWh, where it ends; `replaced`: another meter in its place, by serial number and
 * counters; `ct-setting`: somebody doubled the primary current in its settings.
 */
export const REGISTER_FAULTS = [
  'energy-stuck',
  'energy-glitch',
  'energy-reset',
  'energy-rollover',
  'replaced',
  'ct-setting',
] as const;

/** What can be done to the counters and the setup of a simulated meter while it runs. */
export interface MeterRegister {
  /** The counters count no further. */
  isStuck: boolean;
  /** Both counters begin again at 0 there, Wh. */
  wrapWh: number;
  /** For the next refreshes the counters show 0. */
  misreads: number;
  /** Its setting of the current transformers' primary is so many times what it was. */
  ctTimes: number;
  /** Undefined: the one that its layout has. */
  serial: number | undefined;
  /** Does what a fault does to it; with any other word what can be undone is undone. */
  play(fault: string): void;
  /** The counters are set to this, Wh. */
  set(importWh: number, exportWh?: number): void;
  /** What the meter shows of what it measures; called once per refresh. */
  shown(measured: Measured): Measured;
}

/** As simulated meters are set. */
const CT_PRIMARY_A = 1;
const GLITCH_REFRESHES = 12;
const ROUND_WH = 1e9;
const OTHER = { serial: 87_654_321, importWh: 123_456_789 };

export function makeMeterRegister(): MeterRegister {
  let counted: Pick<Measured, 'importWh' | 'exportWh'> | undefined;
  const at = { importWh: 0, exportWh: 0 };
  const register: MeterRegister = {
    isStuck: false,
    wrapWh: Infinity,
    misreads: 0,
    ctTimes: 1,
    serial: undefined,
    play: (fault) => {
      register.isStuck = fault === 'energy-stuck';
      register.misreads = fault === 'energy-glitch' ? GLITCH_REFRESHES : 0;
      register.wrapWh = fault === 'energy-rollover' ? ROUND_WH : Infinity;
      register.ctTimes = fault === 'ct-setting' ? 2 : 1;
      register.serial = fault === 'replaced' ? OTHER.serial : undefined;
      if (fault === 'energy-reset') register.set(0);
      if (fault === 'energy-rollover') register.set(ROUND_WH - 1_000);
      if (fault === 'replaced') register.set(OTHER.importWh);
    },
    set: (importWh, exportWh = 0) => Object.assign(at, { importWh, exportWh }),
    shown: (measured) => {
      const { ctTimes, wrapWh } = register;
      const before = counted ?? { importWh: 0, exportWh: 0 };
      for (const way of ['importWh', 'exportWh'] as const) {
        if (!register.isStuck) at[way] += (measured[way] - before[way]) * ctTimes;
        if (at[way] >= wrapWh) at[way] -= wrapWh;
      }
      counted = measured;
      const isMisread = register.misreads > 0;
      if (isMisread) register.misreads -= 1;
      const scaled = ([a, b, c]: Measured['phaseW']): Measured['phaseW'] => [
        a * ctTimes,
        b * ctTimes,
        c * ctTimes,
      ];
      return {
        ...measured,
        ...(isMisread ? { importWh: 0, exportWh: 0 } : at),
        totalW: measured.totalW * ctTimes,
        phaseW: scaled(measured.phaseW),
        currentA: scaled(measured.currentA),
        setup: { serial: register.serial, ctPrimaryA: CT_PRIMARY_A * ctTimes },
      };
    },
  };
  return register;
}
