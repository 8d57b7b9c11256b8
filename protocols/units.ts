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

export const gigahash = (ghs: number): number => ghs * 1e9;
export const megahash = (mhs: number): number => mhs * 1e6;
