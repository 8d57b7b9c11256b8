import type { PlantPoint } from '../config/schema/plant.ts';
import type { Clock } from '../host/deps.ts';
import { asFault } from '../protocols/faults.ts';
import type { Alarms } from './alarms.ts';
import type { Sample } from './core/permissive.ts';
import type { ModbusInputs } from './drivers/modbus-io.ts';

const TIMEOUT_MS = 1_500;
/** A PLC unanswered for so many questions is said to be lost. */
const LOST_AFTER = 3;

export interface InputsOptions {
  readonly clock: Clock;
  readonly alarms: Alarms;
  readonly points: readonly PlantPoint[];
  /** Throws what is wrong with a target. */
  readonly open: (target: string, points: readonly PlantPoint[]) => ModbusInputs;
  /** After every answer, and every one that did not come. */
  readonly onRead: () => void;
}

/** The plant's inputs as last read. */
export interface Inputs {
  sample(point: string): Sample | undefined;
  stop(): void;
}

/** Asks every PLC, one question at a time, as often as the quickest of its points wants it. */
export function startInputs(options: InputsOptions): Inputs {
  const samples = new Map<string, Sample>();
  const byTarget = new Map<string, PlantPoint[]>();
  for (const point of options.points) {
    const known = byTarget.get(point.target);
    if (known === undefined) byTarget.set(point.target, [point]);
    else known.push(point);
  }
  const stops = [...byTarget].map(([target, points]) => startPlc(options, target, points, samples));
  return {
    sample: (point) => samples.get(point),
    stop: () => {
      for (const stop of stops) stop();
    },
  };
}

function startPlc(
  { clock, alarms, open, onRead }: InputsOptions,
  target: string,
  points: readonly PlantPoint[],
  samples: Map<string, Sample>,
): () => void {
  const subject = points[0]?.id ?? target;
  const periodMs = Math.min(...points.map((point) => point.periodMs));
  let stopped = false;
  let failures = 0;
  let plc: ModbusInputs;
  try {
    plc = open(target, points);
  } catch (error) {
    alarms.raise('TARGET_INVALID', subject, asFault(error).message.slice(0, 300));
    return () => undefined;
  }
  const ask = async (): Promise<void> => {
    const goodMs = clock.monoMs();
    const found = await plc.read(TIMEOUT_MS);
    if (stopped) return;
    const lost: string[] = [];
    for (const [id, reading] of found)
      if (reading.ok) samples.set(id, { value: reading.value, goodMs });
      else lost.push(`${id}: ${reading.fault.code}`);
    failures = lost.length === 0 ? 0 : failures + 1;
    if (failures === LOST_AFTER)
      alarms.raise(
        'INPUT_LOST',
        subject,
        `${lost.length} of ${points.length} inputs of ${target}: ${lost.slice(0, 5).join(', ')}`,
      );
    if (failures === 0) alarms.clear('INPUT_LOST', subject, 'every input is read again');
    onRead();
    clock.after(Math.max(50, periodMs - (clock.monoMs() - goodMs)), () => void ask());
  };
  void ask();
  return () => {
    stopped = true;
  };
}
