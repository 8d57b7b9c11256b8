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
const FLOOR_W = 20;
const APPARENT_SHARE = 0.1;
/** Below this share of the most it has carried a phase's power factor is no figure: many meters then show 1 or 0. */
const TELLING_SHARE = 0.05;
/** Parts of one reading may come from two refreshes of the meter: once is chance. */
const AGAIN = 2;
/** What was read further apart does not belong together. */
const TOGETHER_MS = 2_000;
const PHASES = ['L1', 'L2', 'L3'] as const;

/** What the checks of one meter keep from reading to reading: power factors are not read with every sample. */
export interface CheckMemory {
  /** The most that was carried: by each phase and in total, VA. */
  readonly mostVa: Map<string, number>;
  /** How often in a row, of those readings that had one, the power factor contradicted, and how. */
  wrong: number;
  why: string;
}

export const makeCheckMemory = (): CheckMemory => ({ mostVa: new Map(), wrong: 0, why: '' });

/** Why a value cannot be, else undefined. A dead busbar has 0 Hz. */
export function outOfRange(value: number, unit: MeterUnit): string | undefined {
  const [least, most] = RANGES[unit];
  if (unit === 'Hz' && value === 0) return undefined;
  return value >= least && value <= most
    ? undefined
    : `${Number(value.toPrecision(7))} ${unit} is not between ${least} and ${most}`;
}

/** How fine a quantity's register is, in its unit; 0: fine enough. */
export type StepOf = (quantity: string) => number;

/**
 * Marks the total power `uncertain`, with the reason, where the phases, or volts times amperes, contradict it, and a
 * phase's where its own do. With a power factor both ways: P is V·I·|PF| within 10 % of V·I; without one P is at
 * most V·I. Signs are not looked at: which way a phase flows is not the instrument's error.
 */
export function crossCheck(readings: Record<string, Reading>, memory: CheckMemory, stepOf: StepOf): void {
  const total = readings['power.active.total'];
  const totalW = numberOf(total);
  if (!total?.ok || totalW === undefined) return;
  const flows = flowsOf(readings, stepOf);
  const whys = new Map<string, string>();
  for (const flow of flows) {
    if (Math.abs(flow.powerW) <= flow.slackW + (1 + APPARENT_SHARE) * flow.apparentVa) continue;
    whys.set(flow.phase, `volts times amperes of ${flow.phase} give only ${Math.round(flow.apparentVa)} VA`);
  }
  const factors = flows.filter(({ factor }) => factor !== undefined);
  if (factors.length > 0) noteFactors(factors, memory);
  // At rest nothing contradicts, and many meters then have no power factor that would take it back.
  else if (flows.length > 0 && flows.every((flow) => !isTelling(flow, memory))) memory.wrong = 0;
  const why =
    phasesContradict(readings, totalW, stepOf) ??
    whys.get('total') ??
    [...whys.values()][0] ??
    (memory.wrong >= AGAIN ? memory.why : undefined);
  if (why === undefined) return;
  whys.set('total', why);
  for (const [phase, words] of whys) {
    const reading = readings[`power.active.${phase}`];
    if (reading?.ok) readings[`power.active.${phase}`] = { ...reading, quality: 'uncertain', why: words };
  }
}

function phasesContradict(
  readings: Record<string, Reading>,
  totalW: number,
  stepOf: StepOf,
): string | undefined {
  const atMs = readings['power.active.total']?.atMs ?? 0;
  const phasesW = numbers(readings, atMs, (phase) => `power.active.${phase}`);
  if (!phasesW) return undefined;
  const sumW = phasesW.reduce((sum, powerW) => sum + powerW, 0);
  const sizeW = Math.max(
    Math.abs(totalW),
    phasesW.reduce((sum, powerW) => sum + Math.abs(powerW), 0),
  );
  const stepsW = ['total', ...PHASES].reduce((sum, each) => sum + stepOf(`power.active.${each}`), 0);
  if (Math.abs(sumW - totalW) <= FLOOR_W + stepsW + SUM_SHARE * sizeW) return undefined;
  return `the phases add up to ${Math.round(sumW)} W`;
}

/** What flows in one phase, or in total, by power, volts and amperes. */
interface PhaseFlow {
  readonly phase: string;
  readonly powerW: number;
  readonly apparentVa: number;
  /** What the steps of the registers alone may make. */
  readonly slackW: number;
  /** The size of a good power factor of the same moment. */
  readonly factor: number | undefined;
}

function flowsOf(readings: Record<string, Reading>, stepOf: StepOf): readonly PhaseFlow[] {
  const totalMs = readings['power.active.total']?.atMs ?? 0;
  const volts = numbers(readings, totalMs, (phase) => `voltage.${phase}N`);
  const amperes = numbers(readings, totalMs, (phase) => `current.${phase}`);
  const flow = (phase: string, apparentVa: number, stepVa: number): readonly PhaseFlow[] => {
    const power = readings[`power.active.${phase}`];
    const powerW = numberOf(power);
    if (powerW === undefined || power === undefined) return [];
    const slackW = FLOOR_W + stepOf(`power.active.${phase}`) + stepVa;
    return [{ phase, powerW, apparentVa, slackW, factor: factorOf(readings, phase, power.atMs) }];
  };
  const each = PHASES.flatMap((phase) => {
    const { atMs = 0 } = readings[`power.active.${phase}`] ?? {};
    const volt = goodAt(readings[`voltage.${phase}N`], atMs);
    const ampere = goodAt(readings[`current.${phase}`], atMs);
    if (volt === undefined || ampere === undefined) return [];
    return flow(phase, Math.abs(volt * ampere), volt * stepOf(`current.${phase}`));
  });
  if (!volts || !amperes) return each;
  const apparentVa = volts.reduce((sum, value, phase) => sum + Math.abs(value * (amperes[phase] ?? 0)), 0);
  const stepVa = volts.reduce((sum, value, at) => sum + value * stepOf(`current.${PHASES[at] ?? ''}`), 0);
  return [...each, ...flow('total', apparentVa, stepVa)];
}

function factorOf(readings: Record<string, Reading>, phase: string, atMs: number): number | undefined {
  for (const name of [`powerFactor.${phase}`, `powerFactor.fourQuadrant.${phase}`]) {
    const factor = goodAt(readings[name], atMs);
    // What a firmware does not serve it often shows as 0, which no load has.
    if (factor !== undefined && factor !== 0) return Math.abs(factor);
  }
  return undefined;
}

/** The number of a good reading of the same moment, else undefined: what is read rarely belongs to another one. */
function goodAt(reading: Reading | undefined, atMs: number): number | undefined {
  if (!reading?.ok || reading.quality !== 'good' || Math.abs(reading.atMs - atMs) > TOGETHER_MS)
    return undefined;
  return numberOf(reading);
}

/** Of a reading with power factors: whether one of them contradicts. */
function noteFactors(flows: readonly PhaseFlow[], memory: CheckMemory): void {
  let why: string | undefined;
  for (const { phase, powerW, apparentVa, slackW, factor = 0 } of flows) {
    memory.mostVa.set(phase, Math.max(memory.mostVa.get(phase) ?? 0, apparentVa));
    const expectedW = apparentVa * factor;
    const isNear = Math.abs(Math.abs(powerW) - expectedW) <= slackW + APPARENT_SHARE * apparentVa;
    if (isNear || !isTelling({ phase, apparentVa }, memory)) continue;
    why ??= `volts times amperes times power factor of ${phase} give ${Math.round(expectedW)} W`;
  }
  memory.wrong = why === undefined ? 0 : memory.wrong + 1;
  memory.why = why ?? '';
}

const isTelling = (
  { phase, apparentVa }: Pick<PhaseFlow, 'phase' | 'apparentVa'>,
  { mostVa }: CheckMemory,
): boolean => apparentVa >= TELLING_SHARE * (mostVa.get(phase) ?? 0);

/** The good numbers of all three phases at a moment, or undefined when one is missing. */
function numbers(
  readings: Record<string, Reading>,
  atMs: number,
  name: (phase: (typeof PHASES)[number]) => string,
): readonly number[] | undefined {
  const values = PHASES.map((phase) => goodAt(readings[name(phase)], atMs));
  return values.every((value) => value !== undefined) ? values : undefined;
}
