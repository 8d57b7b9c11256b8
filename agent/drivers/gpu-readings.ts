/** From nvidia-smi's frames to readings: which cell is which quantity, in which unit, and what is missing. */
import type { GpuObservation } from '../core/handover-state.ts';
import { bounded, cellOf, powerOf } from '../../protocols/gpu/nvidia-smi.ts';
import type { Cell, Row } from '../../protocols/gpu/nvidia-smi.ts';
import type { Reading } from '../../protocols/reading.ts';
import type { Unit } from '../../protocols/units.ts';
import { STALE_MS } from './gpu-telemetry.ts';
import type { StampedFrame } from './gpu-telemetry.ts';

const MIB = 1_048_576;

export interface FrameView {
  readonly frame: StampedFrame | undefined;
  readonly ageMs: number;
  /** GPUs the host has by its inventory. */
  readonly indices: readonly number[];
  readonly scope: 'fast' | 'full';
  readonly atMs: number;
}

/** `power`, and with `full` every `gpu.N.…`. */
export function gpuReadings(
  view: FrameView,
  host: { readonly hostW: number | undefined; readonly hostFactor: number },
): Record<string, Reading> {
  const fresh = view.frame !== undefined && view.ageMs <= STALE_MS;
  const readings: Record<string, Reading> = { power: powerReading(view, host) };
  if (view.scope === 'fast') return readings;
  for (const index of indicesOf(view)) {
    const row = fresh ? view.frame?.frame.rows.get(index) : undefined;
    const put = (name: string, unit: Unit, cell: (row: Row) => Cell, scale = 1): void => {
      const key = `gpu.${index}.${name}`;
      if (!fresh) readings[key] = staleReading(view);
      else if (row === undefined)
        readings[key] = {
          ok: false,
          why: 'VALUE_MISSING',
          detail: `GPU ${index} is not in the list`,
          atMs: view.atMs,
        };
      else readings[key] = reading(cell(row), unit, view.frame?.wallMs ?? view.atMs, scale);
    };
    put('power', 'W', powerOf);
    put('utilization', '%', (cells) => bounded(cellOf(cells['utilization.gpu']), 0, 100));
    put('memoryUsed', 'B', (cells) => bounded(cellOf(cells['memory.used']), 0, 4_000_000), MIB);
    put('temperature', '°C', (cells) => bounded(cellOf(cells['temperature.gpu']), -40, 150));
    put('powerLimit', 'W', (cells) => bounded(cellOf(cells['enforced.power.limit']), 0, 5_000));
  }
  return readings;
}

function indicesOf(view: FrameView): readonly number[] {
  return view.indices.length > 0 ? view.indices : [...(view.frame?.frame.rows.keys() ?? [])];
}

function reading(cell: Cell, unit: Unit, atMs: number, scale: number): Reading {
  if (cell.ok) return { ok: true, value: cell.value * scale, unit, quality: 'good', atMs };
  return { ok: false, why: cell.why, detail: cell.text, atMs };
}

function staleReading(view: FrameView): Reading {
  if (view.frame === undefined)
    return { ok: false, why: 'GPU_TELEMETRY_LOST', detail: 'no telemetry yet', atMs: view.atMs };
  return {
    ok: false,
    why: 'VALUE_STALE',
    detail: `${Math.round(view.ageMs / 1_000)} s old`,
    atMs: view.frame.wallMs,
  };
}

function powerReading(
  view: FrameView,
  host: { readonly hostW: number | undefined; readonly hostFactor: number },
): Reading {
  if (view.frame === undefined || view.ageMs > STALE_MS) return staleReading(view);
  const totals = totalsOf(view.frame, view.ageMs, view.indices);
  if (totals?.powerW === undefined) {
    return {
      ok: false,
      why: 'VALUE_MISSING',
      detail: 'not every GPU tells its power',
      atMs: view.frame.wallMs,
    };
  }
  const known = { ok: true, unit: 'W', measured: false, atMs: view.frame.wallMs } as const;
  if (host.hostW === undefined) {
    return {
      ...known,
      value: totals.powerW,
      quality: 'uncertain',
      why: 'GPUs alone: declare the rest by hostW and hostFactor',
    };
  }
  return { ...known, value: host.hostW + host.hostFactor * totals.powerW, quality: 'good' };
}

export interface FrameTotals {
  readonly monoMs: number;
  /** Sum over all GPUs, W; undefined when one does not tell. */
  readonly powerW: number | undefined;
  readonly limitW: number | undefined;
  /** The most any GPU uses, MiB; undefined when one does not tell. */
  readonly memoryUsedMib: number | undefined;
}

/** Sums over every GPU of the host; undefined when the frame is stale or a GPU is missing from it. */
export function totalsOf(
  stamped: StampedFrame | undefined,
  ageMs: number,
  indices: readonly number[],
): FrameTotals | undefined {
  if (stamped === undefined || ageMs > STALE_MS) return undefined;
  const byIndex = stamped.frame.rows;
  if (byIndex.size === 0 || indices.some((index) => !byIndex.has(index))) return undefined;
  const rows = [...byIndex.values()];
  const all = (cell: (row: Row) => Cell): number[] | undefined => {
    const values = rows.flatMap((row) => {
      const read = cell(row);
      return read.ok ? [read.value] : [];
    });
    return values.length === rows.length ? values : undefined;
  };
  const sum = (values: readonly number[] | undefined): number | undefined =>
    values?.reduce((total, value) => total + value, 0);
  const memory = all((row) => bounded(cellOf(row['memory.used']), 0, 4_000_000));
  return {
    monoMs: stamped.monoMs,
    powerW: sum(all(powerOf)),
    limitW: sum(all((row) => bounded(cellOf(row['enforced.power.limit']), 0, 5_000))),
    memoryUsedMib: memory === undefined ? undefined : Math.max(...memory),
  };
}

/** The mode an observation shows: an owner by unit and processes together, `idle` by neither, else why none can be told. */
export function modeReading(seen: GpuObservation, atMs: number): Reading {
  const { units, processes } = seen;
  const text = (mode: 'ai' | 'mine' | 'idle'): Reading => ({
    ok: true,
    value: mode,
    unit: 'text',
    quality: 'good',
    atMs,
  });
  const unclear = (detail: string): Reading => ({ ok: false, why: 'VALUE_INVALID', detail, atMs });
  if (units.mine === 'unknown' || units.ai === 'unknown' || processes === undefined) {
    return { ok: false, why: 'VALUE_MISSING', detail: 'units or processes cannot be told', atMs };
  }
  if (processes.other > 0) return unclear(`${processes.other} processes of neither unit hold GPUs`);
  const shown = (['ai', 'mine'] as const).filter(
    (owner) => units[owner] !== 'inactive' || processes[owner] > 0,
  );
  if (shown.length === 0) return text('idle');
  if (shown.length > 1) return unclear('miner and AI service both show');
  const owner = shown[0] ?? 'ai';
  if (units[owner] === 'inactive')
    return unclear(`the ${owner} unit is inactive and ${processes[owner]} of its processes hold GPUs`);
  return processes[owner] > 0
    ? text(owner)
    : unclear(`the ${owner} unit is ${units[owner]} without a process on a GPU`);
}
