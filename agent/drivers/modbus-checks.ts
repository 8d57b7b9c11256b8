import type { MeterPoint } from '../../config/schema/profile.ts';
import { numberOf } from '../../protocols/reading.ts';
import type { Reading } from '../../protocols/reading.ts';

type MeterUnit = MeterPoint['unit'];

const RANGES: Readonly<Record<MeterUnit, readonly [least: number, most: number]>> = {
  W: [-1e9, 1e9],
  var: [-1e9, 1e9],
  VA: [-1e9, 1e9],
  V: [0, 1e6],
  A: [-1e6, 1e6],
  Hz: [40, 70],
  Wh: [-1e15, 1e15],
  '1': [-1.001, 1.001],
};

/** Classes 0.5 and 1 stay far below: what differs more is not the meter's error. */
const SUM_SHARE = 0.02;
const SUM_FLOOR_W = 20;
const APPARENT_SHARE = 0.1;
const PHASES = ['L1', 'L2', 'L3'] as const;

/** Why a value cannot be, else undefined. A dead busbar has 0 Hz. */
export function outOfRange(value: number, unit: MeterUnit): string | undefined {
  const [least, most] = RANGES[unit];
  if (unit === 'Hz' && value === 0) return undefined;
  return value >= least && value <= most ? undefined : `${value} ${unit} is not between ${least} and ${most}`;
}

/** Marks the total power `uncertain`, with the reason, where the phases or volts times amperes contradict it. */
export function crossCheck(readings: Record<string, Reading>): void {
  const total = readings['power.active.total'];
  const totalW = numberOf(total);
  if (!total?.ok || totalW === undefined) return;
  const why = phasesContradict(readings, totalW) ?? apparentContradicts(readings, totalW);
  if (why !== undefined) readings['power.active.total'] = { ...total, quality: 'uncertain', why };
}

function phasesContradict(readings: Record<string, Reading>, totalW: number): string | undefined {
  const phasesW = numbers(readings, (phase) => `power.active.${phase}`);
  if (!phasesW) return undefined;
  const sumW = phasesW.reduce((sum, powerW) => sum + powerW, 0);
  const sizeW = Math.max(
    Math.abs(totalW),
    phasesW.reduce((sum, powerW) => sum + Math.abs(powerW), 0),
  );
  if (Math.abs(sumW - totalW) <= SUM_FLOOR_W + SUM_SHARE * sizeW) return undefined;
  return `the phases add up to ${Math.round(sumW)} W`;
}

function apparentContradicts(readings: Record<string, Reading>, totalW: number): string | undefined {
  const volts = numbers(readings, (phase) => `voltage.${phase}N`);
  const amperes = numbers(readings, (phase) => `current.${phase}`);
  if (!volts || !amperes) return undefined;
  const apparentVa = volts.reduce((sum, value, phase) => sum + Math.abs(value * (amperes[phase] ?? 0)), 0);
  if (Math.abs(totalW) <= SUM_FLOOR_W + (1 + APPARENT_SHARE) * apparentVa) return undefined;
  return `volts times amperes give only ${Math.round(apparentVa)} VA`;
}

/** The numbers of all three phases, or undefined when one is missing. */
function numbers(
  readings: Record<string, Reading>,
  name: (phase: (typeof PHASES)[number]) => string,
): readonly number[] | undefined {
  const values = PHASES.map((phase) => numberOf(readings[name(phase)]));
  return values.every((value) => value !== undefined) ? values : undefined;
}
