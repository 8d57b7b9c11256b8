import type { RegisterType, WordOrder } from '../../protocols/modbus/registers.ts';

/** What a simulated meter measures at one moment. NaN: no value. */
export interface Measured {
  readonly totalW: number;
  readonly phaseW: readonly [number, number, number];
  /** Phase to neutral. */
  readonly voltageV: readonly [number, number, number];
  readonly currentA: readonly [number, number, number];
  readonly powerFactor: number;
  readonly frequencyHz: number;
  readonly importWh: number;
  readonly exportWh: number;
  /** What it says it is and is set to, where its registers tell. */
  readonly setup?: { readonly serial: number | undefined; readonly ctPrimaryA: number };
}

/** A raw number at a wire address. `none`: the words that this vendor puts where there is no value. */
export interface Field {
  readonly at: number;
  readonly type: RegisterType;
  readonly wordOrder?: WordOrder;
  readonly value: number;
  readonly none?: readonly number[];
}

/** `regions`: the registers that exist, [first, count]; a read beyond one is refused with exception 2. */
export interface MeterLayout {
  readonly fc: 3 | 4;
  readonly regions: readonly (readonly [from: number, count: number])[];
  readonly fields: (measured: Measured) => readonly Field[];
}

export type MeterLayoutId = 'pm5xxx' | 'sdm630' | 'b2x' | 'pac2200';

type Three = readonly [number, number, number];
const float = (at: number, value: number): Field => ({ at, type: 'float32', value });

function three(at: number, values: Three, make: (at: number, value: number) => Field): readonly Field[] {
  return values.map((value, phase) => make(at + 2 * phase, value));
}

function scaled(values: Three, factor: number): Three {
  return [values[0] * factor, values[1] * factor, values[2] * factor];
}

const apparent = (measured: Measured): number => Math.abs(measured.totalW) / measured.powerFactor;
const reactive = (measured: Measured): number =>
  Math.abs(measured.totalW) * Math.tan(Math.acos(Math.min(1, measured.powerFactor)));
const lineVolts = (measured: Measured): Three => scaled(measured.voltageV, Math.sqrt(3));

/** Schneider: the list counts from 1, so list 3060 (active power total, kW) is 3059 on the wire. */
const pm5xxx: MeterLayout = {
  fc: 3,
  regions: [
    [2699, 4],
    [2999, 112],
    [3191, 2],
    [3203, 8],
  ],
  fields: (measured) => {
    const none = [0x8000, 0, 0, 0];
    return [
      float(2699, measured.importWh / 1000),
      float(2701, measured.exportWh / 1000),
      ...three(2999, measured.currentA, float),
      float(3005, 0),
      ...three(3019, lineVolts(measured), float),
      ...three(3027, measured.voltageV, float),
      ...three(3053, scaled(measured.phaseW, 0.001), float),
      float(3059, measured.totalW / 1000),
      float(3067, reactive(measured) / 1000),
      float(3075, apparent(measured) / 1000),
      float(3109, measured.frequencyHz),
      float(3191, measured.powerFactor),
      { at: 3203, type: 'int64', value: measured.importWh, none },
      { at: 3207, type: 'int64', value: measured.exportWh, none },
    ];
  },
};

/** Eastron: input registers, W, energy in kWh. */
const sdm630: MeterLayout = {
  fc: 4,
  regions: [
    [0, 88],
    [200, 8],
    [342, 40],
  ],
  fields: (measured) => [
    ...three(0, measured.voltageV, float),
    ...three(6, measured.currentA, float),
    ...three(12, measured.phaseW, float),
    ...three(30, [measured.powerFactor, measured.powerFactor, measured.powerFactor], float),
    float(52, measured.totalW),
    float(56, apparent(measured)),
    float(60, reactive(measured)),
    float(62, measured.powerFactor),
    float(70, measured.frequencyHz),
    float(72, measured.importWh / 1000),
    float(74, measured.exportWh / 1000),
  ],
};

const i32 = (at: number, value: number): Field => ({ at, type: 'int32', value, none: [0x7fff, 0xffff] });
const u32 = (at: number, value: number): Field => ({ at, type: 'uint32', value, none: [0xffff, 0xffff] });
const i16 = (at: number, value: number): Field => ({ at, type: 'int16', value, none: [0x7fff] });
const u64 = (at: number, value: number): Field => ({
  at,
  type: 'uint64',
  value,
  none: [0xffff, 0xffff, 0xffff, 0xffff],
});

/** ABB: integers; power 0.01 W from 0x5B14, volts 0.1 from 0x5B00, amperes 0.01 from 0x5B0C, energy 0.01 kWh from 0x5000. */
const b2x: MeterLayout = {
  fc: 3,
  regions: [
    [0x5000, 8],
    [0x5460, 24],
    [0x5b00, 62],
    [0x8900, 16],
    [0x8960, 2],
  ],
  fields: (measured) => [
    u32(0x8900, measured.setup?.serial ?? 11_223_344),
    // "B1.0", "B23 "
    u32(0x8908, 0x42312e30),
    u32(0x8960, 0x42323320),
    ...[0, 1, 2].flatMap((phase) => [
      u64(0x5460 + 4 * phase, measured.importWh / 30),
      u64(0x546c + 4 * phase, measured.exportWh / 30),
    ]),
    u64(0x5000, measured.importWh / 10),
    u64(0x5004, measured.exportWh / 10),
    ...three(0x5b00, scaled(measured.voltageV, 10), u32),
    ...three(0x5b06, scaled(lineVolts(measured), 10), u32),
    ...three(0x5b0c, scaled(measured.currentA, 100), u32),
    u32(0x5b12, 0),
    i32(0x5b14, measured.totalW * 100),
    ...three(0x5b16, scaled(measured.phaseW, 100), i32),
    i32(0x5b1c, reactive(measured) * 100),
    { at: 0x5b2c, type: 'uint16', value: measured.frequencyHz * 100, none: [0xffff] },
    i16(0x5b3a, measured.powerFactor * 1000),
    i16(0x5b3b, measured.powerFactor * 1000),
    i16(0x5b3c, measured.powerFactor * 1000),
    i16(0x5b3d, measured.powerFactor * 1000),
  ],
};

/** Nothing is counted here, unless nothing can be said at all. */
const unused = (countedWh: number): number => (Number.isNaN(countedWh) ? countedWh : 0);

/** Siemens: floats from 1, energy as doubles per tariff from 801; all is counted in tariff 1. */
const pac2200: MeterLayout = {
  fc: 3,
  regions: [
    [1, 70],
    [801, 16],
  ],
  fields: (measured) => [
    ...three(1, measured.voltageV, float),
    ...three(7, lineVolts(measured), float),
    ...three(13, measured.currentA, float),
    ...three(25, measured.phaseW, float),
    ...three(37, [measured.powerFactor, measured.powerFactor, measured.powerFactor], float),
    float(55, measured.frequencyHz),
    float(63, apparent(measured)),
    float(65, measured.totalW),
    float(67, reactive(measured)),
    float(69, measured.powerFactor),
    { at: 801, type: 'float64', value: measured.importWh },
    { at: 805, type: 'float64', value: unused(measured.importWh) },
    { at: 809, type: 'float64', value: measured.exportWh },
    { at: 813, type: 'float64', value: unused(measured.exportWh) },
  ],
};

/** The meters that can be simulated, by name. */
export const METER_LAYOUTS: Readonly<Record<MeterLayoutId, MeterLayout>> = { pm5xxx, sdm630, b2x, pac2200 };
