/** Conversions between the units that appear on wires and the ones the product keeps: W, Wh, H/s, °C, ms, USD/MWh. */

/** What a value is measured in. The product keeps SI: `kW` and `MHS` exist on wires only. */
export type Unit =
  | 'W'
  | 'var'
  | 'VA'
  | 'V'
  | 'A'
  | 'Hz'
  | 'Wh'
  | 'H/s'
  | '°C'
  | 'rpm'
  | 's'
  | '%'
  | 'B'
  | '1'
  | 'text';

export const kw = (powerKw: number): number => powerKw * 1_000;
export const toKw = (powerW: number): number => powerW / 1_000;
export const seconds = (s: number): number => s * 1_000;
export const minutes = (min: number): number => min * 60_000;
export const hours = (h: number): number => h * 3_600_000;
/** Hashes per second of a terahash figure. */
export const terahash = (ths: number): number => ths * 1e12;
export const gigahash = (ghs: number): number => ghs * 1e9;
export const megahash = (mhs: number): number => mhs * 1e6;
