import type { IdentityPlace, MeterPoint, MeterProfile } from '../../config/schema/profile.ts';
import { wordsOf } from '../../protocols/modbus/registers.ts';
import { METER_LAYOUTS } from './meter-layouts.ts';
import type { Field, Measured, MeterLayout, MeterLayoutId } from './meter-layouts.ts';

/** Where the chain of SunSpec models begins, and the length of the common model before the meter's. */
const CHAIN_AT = 40_000;
const COMMON_LENGTH = 66;
const METER_LENGTH = 124;
const SERIAL = 20_261_122;

/** Families with a layout of their own, by profile. */
const OWN: Readonly<Record<string, MeterLayoutId>> = {
  'schneider-pm5xxx': 'pm5xxx',
  'eastron-sdm630': 'sdm630',
  'abb-b2x': 'b2x',
  'siemens-pac2200': 'pac2200',
};

/** The registers of a meter of this family: a layout of its own where there is one. */
export function layoutFor(profile: MeterProfile): MeterLayout {
  const own = OWN[profile.id];
  return own === undefined ? layoutOfProfile(profile) : METER_LAYOUTS[own];
}

/**
 * The registers of a meter as its profile says they are: for families that have no layout of their own here. An error
 * in the profile does not show against it.
 */
export function layoutOfProfile(profile: MeterProfile): MeterLayout {
  const furtherBy = profile.sunspecModel === undefined ? 0 : CHAIN_AT + 4 + COMMON_LENGTH;
  const { channels } = profile;
  const numbers = Array.from({ length: channels?.count ?? 0 }, (_, index) => index);
  const points = [
    ...profile.points,
    ...numbers.flatMap((index) =>
      (channels?.points ?? []).map((point) => ({
        ...point,
        addr: point.addr + index * (channels?.stride ?? 0),
      })),
    ),
  ];
  const moved = (all: readonly Fixed[]): readonly Field[] =>
    all.map((field) => ({ ...field, at: field.at + (field.inChain ? 0 : furtherBy) }));
  const fixed = moved([...chainOf(profile), ...settingsOf(profile), ...identityOf(profile)]);
  const fields = (measured: Measured): readonly Field[] => [
    ...fixed,
    ...moved(tamperedOf(profile, measured)),
    ...points.map((point) => ({
      at: point.addr + furtherBy,
      type: point.type,
      wordOrder: point.wordOrder ?? profile.wordOrder,
      value: shown(point, measured) / factorOf(point, profile),
      none: noneOf(point, profile),
    })),
  ];
  const places = fields(NOTHING).map(({ at, type }) => [at, at + wordsOf(type)] as const);
  return { fc: profile.fc, regions: regionsOf(places, profile), fields };
}

interface Fixed extends Field {
  readonly inChain?: boolean;
}

const NOTHING: Measured = {
  totalW: 0,
  phaseW: [0, 0, 0],
  voltageV: [0, 0, 0],
  currentA: [0, 0, 0],
  powerFactor: 1,
  frequencyHz: 50,
  importWh: 0,
  exportWh: 0,
};

const word = (at: number, value: number): Fixed => ({ at, type: 'uint16', value, inChain: true });

function chainOf({ sunspecModel }: MeterProfile): readonly Fixed[] {
  if (sunspecModel === undefined) return [];
  const meterAt = CHAIN_AT + 4 + COMMON_LENGTH;
  return [
    word(CHAIN_AT, 0x5375),
    word(CHAIN_AT + 1, 0x6e53),
    word(CHAIN_AT + 2, 1),
    word(CHAIN_AT + 3, COMMON_LENGTH),
    word(meterAt, sunspecModel),
    word(meterAt + 1, METER_LENGTH),
    word(meterAt + 2 + METER_LENGTH, 0xffff),
    word(meterAt + 3 + METER_LENGTH, 0),
  ];
}

/** The power of ten of a scale factor register: so that watts of a feeder and tenths of volts fit 16 bits. */
function tensOf(name: string, { points }: MeterProfile): number {
  const user = points.find(({ scale }) => typeof scale !== 'number' && scale.exponent === name);
  if (user?.unit === 'Wh') return 0;
  return user && ['W', 'VA', 'var'].includes(user.unit) ? 2 : -1;
}

/** The settings of the first case of each choice, ratios of 1, and powers of ten that fit. */
function settingsOf(profile: MeterProfile): readonly Fixed[] {
  const first = new Map<string, number>();
  for (const { scale } of profile.points) {
    if (typeof scale === 'number') continue;
    for (const [name, value] of Object.entries(scale.choose?.[0]?.when ?? {})) first.set(name, value);
  }
  const parameters = Object.entries(profile.parameters ?? {}).map(([name, place]) => ({
    at: place.addr,
    type: place.type,
    wordOrder: place.wordOrder ?? profile.wordOrder,
    value: (first.get(name) ?? 1) / (place.times ?? 1),
  }));
  const exponents = Object.entries(profile.exponents ?? {}).map(([name, { addr, type }]) => ({
    at: addr,
    type,
    value: tensOf(name, profile),
  }));
  return [...parameters, ...exponents];
}

/** What was changed in the meter while it ran. */
function tamperedOf(profile: MeterProfile, { setup }: Measured): readonly Fixed[] {
  if (setup === undefined) return [];
  const { wordOrder, identity } = profile;
  const place = profile.parameters?.['ctPrimaryA'];
  const { serial, ctPrimaryA } = setup;
  return [
    ...(serial === undefined || !identity?.serial
      ? []
      : identityFields(identity.serial, 'ascii' in identity.serial ? String(serial) : serial, wordOrder)),
    ...(place === undefined
      ? []
      : [{ at: place.addr, type: place.type, wordOrder, value: ctPrimaryA / (place.times ?? 1) }]),
  ];
}

function identityOf({ identity, wordOrder }: MeterProfile): readonly Fixed[] {
  if (!identity) return [];
  const { expect, model, serial, firmware } = identity;
  return [
    ...(expect ? identityFields(expect.at, expect.oneOf[0] ?? 0, wordOrder) : []),
    ...(model ? identityFields(model, 'SIM', wordOrder) : []),
    ...(serial ? identityFields(serial, 'ascii' in serial ? String(SERIAL) : SERIAL, wordOrder) : []),
    ...(firmware ? identityFields(firmware, '1.0', wordOrder) : []),
  ];
}

function identityFields(
  place: IdentityPlace,
  value: string | number,
  wordOrder: 'msw' | 'lsw',
): readonly Fixed[] {
  if (!('ascii' in place)) return [{ at: place.addr, type: place.type, wordOrder, value: Number(value) }];
  const text = String(value).padEnd(2 * place.ascii);
  return Array.from({ length: place.ascii }, (_, index) => ({
    at: place.addr + index,
    type: 'uint16',
    value: text.charCodeAt(2 * index) * 256 + text.charCodeAt(2 * index + 1),
  }));
}

/** What a register of 1 means in the unit of the point, with the settings above. */
function factorOf({ scale }: MeterPoint, profile: MeterProfile): number {
  if (typeof scale === 'number') return scale;
  const { times = 1, exponent, choose } = scale;
  const tens = exponent === undefined ? 1 : 10 ** tensOf(exponent, profile);
  return times * tens * (choose?.[0]?.times ?? 1);
}

function noneOf({ type, invalid }: MeterPoint, profile: MeterProfile): readonly number[] {
  const [marker = '0x0'] = invalid ?? profile.invalid[type] ?? [];
  const digits = marker.slice(2).padStart(4 * wordsOf(type), '0');
  return (digits.match(/.{4}/g) ?? []).map((part) => Number.parseInt(part, 16));
}

/** The value of a quantity; what is not simulated is 0. */
function shown({ q, coding }: MeterPoint, measured: Measured): number {
  const phase = Number(/\.L([123])N?$/.exec(q)?.[1] ?? 0) - 1;
  const of = (values: readonly [number, number, number]): number =>
    values[phase] ?? (values[0] + values[1] + values[2]) / 3;
  const apparent = (powerW: number): number => Math.abs(powerW) / measured.powerFactor;
  const powerW = phase < 0 ? measured.totalW : (measured.phaseW[phase] ?? 0);
  const [kind, what] = q.split('.');
  const volts = of(measured.voltageV);
  if (kind === 'voltage') return /L\dL\d|LL/.test(q) ? volts * Math.sqrt(3) : volts;
  if (kind === 'current') return what === 'N' ? 0 : of(measured.currentA) * (/total|sum/.test(q) ? 3 : 1);
  if (kind === 'frequency') return measured.frequencyHz;
  if (kind === 'powerFactor') return coding ? 2 - measured.powerFactor : measured.powerFactor;
  if (kind === 'demand') return measured.totalW;
  if (kind === 'energy') {
    const countedWh = q.includes('export') ? measured.exportWh : measured.importWh;
    // All is counted in the first tariff.
    return q.endsWith('tariff2') && !Number.isNaN(countedWh) ? 0 : phase < 0 ? countedWh : countedWh / 3;
  }
  if (what === 'apparent') return apparent(powerW);
  if (what === 'reactive') return apparent(powerW) * Math.sin(Math.acos(Math.min(1, measured.powerFactor)));
  return powerW;
}

/** One region per run of registers; what the profile reads along between two points exists as well. */
function regionsOf(
  places: readonly (readonly [from: number, to: number])[],
  { limits }: MeterProfile,
): readonly (readonly [from: number, count: number])[] {
  const sorted = [...places].sort(([a], [b]) => a - b);
  const regions: [from: number, to: number][] = [];
  for (const [from, to] of sorted) {
    const last = regions.at(-1);
    if (last && from - last[1] <= limits.maxGap) last[1] = Math.max(last[1], to);
    else regions.push([from, to]);
  }
  // An even count may read one further.
  return regions.map(([from, to]) => [from, to - from + 1] as const);
}
