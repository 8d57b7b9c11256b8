import { MODES } from '../reading.ts';
import type { Unit } from '../units.ts';

/** How one quantity travels: the value on the wire is an integer, `value = integer × scale` in `unit`. */
export interface Field {
  readonly quantity: string;
  /** Number on the wire, 1 to 65535: never reused, never changed. */
  readonly wireId: number;
  readonly kind: 'number' | 'mode' | 'flag';
  readonly scale: number;
  readonly unit: Unit;
}

const number = (wireId: number, quantity: string, unit: Unit, scale = 1): Field => ({
  quantity,
  wireId,
  kind: 'number',
  scale,
  unit,
});

/** `count` fields with numbers from `firstWireId` on: `name(0)`, `name(1)` … */
const family = (
  firstWireId: number,
  count: number,
  unit: Unit,
  name: (index: number) => string,
  scale = 1,
): readonly Field[] =>
  Array.from({ length: count }, (_, index) => number(firstWireId + index, name(index), unit, scale));

const PHASES = ['L1', 'L2', 'L3'] as const;
const phases = (
  firstWireId: number,
  prefix: string,
  suffix: string,
  unit: Unit,
  scale = 1,
): readonly Field[] =>
  PHASES.map((phase, index) => number(firstWireId + index, `${prefix}.${phase}${suffix}`, unit, scale));

/**
 * Every quantity that travels in frames, spool segments and history blocks, by ascending wire number. Quantities not
 * listed stay in the agent.
 */
export const FIELDS: readonly Field[] = [
  number(1, 'power', 'W'),
  number(2, 'hashrate', 'H/s', 1e9),
  { quantity: 'mode', wireId: 3, kind: 'mode', scale: 1, unit: 'text' },
  number(4, 'temperature.max', '°C', 0.1),
  number(5, 'fan.max', 'rpm'),
  number(6, 'uptime', 's'),
  { quantity: 'pool.active', wireId: 7, kind: 'flag', scale: 1, unit: '1' },
  number(8, 'gpu.power', 'W', 0.1),
  number(9, 'gpu.utilization', '%'),
  number(10, 'gpu.memoryUsed', 'B', 1_048_576),
  number(11, 'power.limit', 'W'),
  number(12, 'temperature.inlet', '°C', 0.1),
  number(13, 'temperature.outlet', '°C', 0.1),
  number(14, 'temperature.environment', '°C', 0.1),
  number(15, 'temperature.psu', '°C', 0.1),
  number(16, 'temperature.chip.max', '°C', 0.1),
  number(17, 'temperature.ambient', '°C', 0.1),
  number(18, 'gpu.temperature', '°C', 0.1),
  number(20, 'power.active.total', 'W'),
  ...phases(21, 'power.active', '', 'W'),
  number(24, 'power.reactive.total', 'var'),
  ...phases(25, 'power.reactive', '', 'var'),
  number(28, 'power.apparent.total', 'VA'),
  ...phases(29, 'power.apparent', '', 'VA'),
  ...phases(32, 'voltage', 'N', 'V', 0.1),
  number(35, 'voltage.L1L2', 'V', 0.1),
  number(36, 'voltage.L2L3', 'V', 0.1),
  number(37, 'voltage.L3L1', 'V', 0.1),
  ...phases(38, 'current', '', 'A', 0.001),
  number(41, 'current.N', 'A', 0.001),
  number(42, 'frequency', 'Hz', 0.001),
  number(43, 'powerFactor.total', '1', 0.001),
  ...phases(44, 'powerFactor', '', '1', 0.001),
  number(47, 'energy.active.import', 'Wh'),
  number(48, 'energy.active.export', 'Wh'),
  ...phases(49, 'energy.active.import', '', 'Wh'),
  number(52, 'energy.active.import.tariff1', 'Wh'),
  number(53, 'energy.active.import.tariff2', 'Wh'),
  number(54, 'energy.active.export.tariff1', 'Wh'),
  number(55, 'energy.active.export.tariff2', 'Wh'),
  number(60, 'host.cpu', '%', 0.1),
  number(61, 'host.memoryUsed', 'B', 1_048_576),
  number(62, 'host.memoryTotal', 'B', 1_048_576),
  number(63, 'host.diskUsed', '%', 0.1),
  number(64, 'host.temperature', '°C', 0.1),
  number(65, 'host.netReceived', 'B', 1_024),
  number(66, 'host.netSent', 'B', 1_024),
  number(70, 'boards.count', '1'),
  number(71, 'chips.count', '1'),
  number(72, 'boards.expected', '1'),
  number(73, 'chips.expected', '1'),
  ...family(100, 16, 'rpm', (index) => `fan.${index}`),
  ...family(116, 16, '°C', (index) => `temperature.board.${index}`, 0.1),
  ...family(132, 16, '°C', (index) => `temperature.chip.${index}`, 0.1),
  ...family(148, 16, 'H/s', (index) => `hashrate.board.${index}`, 1e9),
  ...family(200, 16, 'W', (index) => `gpu.${index}.power`, 0.1),
  ...family(216, 16, '%', (index) => `gpu.${index}.utilization`),
  ...family(232, 16, 'B', (index) => `gpu.${index}.memoryUsed`, 1_048_576),
  ...family(248, 16, '°C', (index) => `gpu.${index}.temperature`),
  ...family(264, 16, 'W', (index) => `gpu.${index}.powerLimit`, 0.1),
];

const places = new Map(FIELDS.map((field, place) => [field.quantity, place]));
const byWireId = new Map(FIELDS.map((field) => [field.wireId, field]));

/** The place of a quantity's field in FIELDS, -1 when it does not travel. */
export const fieldPlace = (quantity: string): number => places.get(quantity) ?? -1;

/** The field of a quantity, or undefined when it does not travel. */
export const fieldOf = (quantity: string): Field | undefined => FIELDS[fieldPlace(quantity)];

/** The field with a wire number, or undefined when a newer version sent it. */
export const fieldById = (wireId: number): Field | undefined => byWireId.get(wireId);

/** Scaled integers beyond this are refused, so that every difference of two is an exact double. */
export const MOST_SCALED = 2 ** 51 - 1;

/** The integer that stands for a value, or undefined when this field cannot carry it. */
export function toWire(field: Field, value: number | string, unit: Unit): number | undefined {
  if (field.kind === 'mode') {
    const index = (MODES as readonly unknown[]).indexOf(value);
    return index < 0 ? undefined : index;
  }
  // A driver that knows the pool's address says it as text: here only whether there is one.
  if (field.kind === 'flag') return Number.isNaN(value) ? undefined : value === '' || value === 0 ? 0 : 1;
  if (typeof value !== 'number' || unit !== field.unit) return undefined;
  const scaled =
    field.scale < 1 ? Math.round(value * Math.round(1 / field.scale)) : Math.round(value / field.scale);
  return Math.abs(scaled) <= MOST_SCALED ? scaled + 0 : undefined;
}

/** The value that an integer stands for, or undefined when it stands for none (an unknown mode). */
export function fromWire(field: Field, scaled: number): number | string | undefined {
  if (field.kind === 'mode') return MODES[scaled];
  if (field.kind === 'flag') return scaled === 0 ? 0 : 1;
  return field.scale < 1 ? scaled / Math.round(1 / field.scale) : scaled * field.scale;
}
