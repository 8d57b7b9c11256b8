/**
 * A PLC or remote I/O: bits and registers by the points of the site file, and single outputs. Verified on the wire
 * against the simulated PLC and an independent Modbus server.
 */
import type { PlantPoint } from '../../config/schema/plant.ts';
import type { LineTarget } from '../../host/line.ts';
import { asFault, Fault } from '../../protocols/faults.ts';
import { decodeNumber, wordsOf } from '../../protocols/modbus/registers.ts';
import type { DeviceIo, Target } from '../driver.ts';
import { modbusTarget } from './modbus-target.ts';

/** Points at most so far apart are read in one request. */
const GAP_MOST = 16;
const COUNT_MOST = 120;
/** Function codes by what is read. */
export const FUNCTIONS = { coil: 1, discrete: 2, holding: 3, input: 4 } as const;

/** What came of one point. */
export type PointReading =
  | { readonly ok: true; readonly value: number }
  | { readonly ok: false; readonly fault: Fault };

export interface ModbusInputs {
  /** Every point of this PLC; never rejects. */
  read(timeoutMs: number): Promise<ReadonlyMap<string, PointReading>>;
}

export interface ModbusOutput {
  /** Resolves when the device confirmed it. A coil takes 0 or 1, a register a 16-bit word. */
  write(value: number, timeoutMs: number): Promise<void>;
}

type Io = Pick<DeviceIo, 'clock' | 'lines'>;

interface Block {
  readonly fc: 1 | 2 | 3 | 4;
  readonly address: number;
  readonly count: number;
  readonly points: readonly PlantPoint[];
}

/** The inputs of one PLC. Throws TARGET_INVALID; no I/O yet. */
export function openModbusInputs(target: Target, points: readonly PlantPoint[], io: Io): ModbusInputs {
  const { line: lineTarget, unit } = plainTarget(target);
  const line = io.lines.line(lineTarget);
  const blocks = blocksOf(points);
  return {
    read: async (timeoutMs) => {
      const deadlineMs = io.clock.monoMs() + timeoutMs;
      const found = new Map<string, PointReading>();
      for (const { fc, address, count, points: served } of blocks)
        try {
          const { registers } = await line.read({ unit, fc, address, count, deadlineMs });
          for (const point of served) found.set(point.id, valueOf(point, registers, point.address - address));
        } catch (error) {
          const fault = asFault(error);
          for (const { id } of served) found.set(id, { ok: false, fault });
        }
      return found;
    },
  };
}

/** One coil or holding register. Throws TARGET_INVALID; no I/O yet. */
export function openModbusOutput(
  target: Target,
  { kind, address }: { readonly kind: 'coil' | 'holding'; readonly address: number },
  io: Io,
): ModbusOutput {
  const { line: lineTarget, unit } = plainTarget(target);
  const line = io.lines.line(lineTarget);
  const fc = kind === 'coil' ? 5 : 6;
  return {
    write: (value, timeoutMs) =>
      line.write({ unit, fc, address, values: [value], deadlineMs: io.clock.monoMs() + timeoutMs }),
  };
}

function plainTarget(target: Target): { readonly line: LineTarget; readonly unit: number } {
  if (target.options['profile'] !== undefined)
    throw new Fault('TARGET_INVALID', `${target.url}: a profile is for meters, not for a PLC`);
  return modbusTarget(target);
}

function blocksOf(points: readonly PlantPoint[]): Block[] {
  const blocks: Block[] = [];
  for (const kind of ['coil', 'discrete', 'holding', 'input'] as const) {
    const sorted = points.filter((point) => point.kind === kind).sort((a, b) => a.address - b.address);
    let open: PlantPoint[] = [];
    const close = (): void => {
      const address = open[0]?.address ?? 0;
      if (open.length > 0)
        blocks.push({ fc: FUNCTIONS[kind], address, count: endOf(open) - address, points: open });
      open = [];
    };
    for (const point of sorted) {
      const first = open[0]?.address ?? point.address;
      const far = open.length > 0 && point.address - endOf(open) > GAP_MOST;
      if (far || endOf([...open, point]) - first > COUNT_MOST) close();
      open.push(point);
    }
    close();
  }
  return blocks;
}

const lengthOf = ({ kind, type }: PlantPoint): number =>
  kind === 'coil' || kind === 'discrete' ? 1 : wordsOf(type);

const endOf = (points: readonly PlantPoint[]): number =>
  Math.max(0, ...points.map((point) => point.address + lengthOf(point)));

function valueOf(point: PlantPoint, words: Uint16Array, at: number): PointReading {
  if (point.kind === 'coil' || point.kind === 'discrete') return { ok: true, value: words[at] ?? 0 };
  const { type, wordOrder, scale, offset, least = -Infinity, most = Infinity } = point;
  const decoded = decodeNumber(words, at, { type, wordOrder, scale, invalid: [] });
  if (!decoded.ok) return { ok: false, fault: new Fault('VALUE_INVALID', `${point.id}: ${decoded.why}`) };
  const value = decoded.value + offset;
  if (value >= least && value <= most) return { ok: true, value };
  const detail = `${point.id} says ${value}, which a sensor of ${least} to ${most} cannot`;
  return { ok: false, fault: new Fault('VALUE_IMPLAUSIBLE', detail) };
}
