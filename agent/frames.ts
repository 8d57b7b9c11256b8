import type { Clock } from '../host/deps.ts';
import type { Table } from '../protocols/mqtt/columns.ts';
import { tableOf } from '../protocols/mqtt/rows.ts';
import type { Plant } from './plant.ts';
import type { Spool } from './spool.ts';

export interface FramesOptions {
  readonly site: string;
  readonly agent: string;
  readonly clock: Clock;
  readonly plant: Plant;
  readonly spool: Spool;
}

/** Makes one message of each rack per tick of its own, and one of all meters as often as one of them is read. */
export interface Frames {
  /** Soon, because something changed that control waits for. */
  soon(rack: number): void;
  /** Called once a second: says the meters unless nothing new is expected of them yet. */
  meters(): void;
  stop(): void;
}

/** A rack says what is new at half the period of its polls, within these bounds; changes of mode go out at once. */
const TICK_LEAST_MS = 1_000;
const TICK_MOST_MS = 10_000;
const SOON_MS = 100;
const GOLDEN = 0.618_033_988_749_895;

export function startFrames(options: FramesOptions): Frames {
  const { clock, plant, spool } = options;
  const meterIds = plant.meters.map((meter) => meter.config.id);
  const rackIds = plant.racks.map((rack) => rack.machines.map((machine) => machine.config.id));
  const hurried = plant.racks.map(() => false);
  const bounded = (ms: number): number => Math.min(TICK_MOST_MS, Math.max(TICK_LEAST_MS, ms));
  const tickMs = plant.racks.map((rack) =>
    bounded(Math.min(...rack.machines.map((machine) => machine.config.periodMs)) / 2),
  );
  const metersMs = bounded(Math.min(...plant.meters.map((meter) => meter.config.periodMs)));
  let metersDueMs = 0;
  let stopped = false;

  const send = (group: string, rows: readonly string[], table: (tickMs: number) => Table): void => {
    if (rows.length === 0) return;
    const tickMs = Math.round(clock.wallMs());
    const { site, agent } = options;
    spool.frame({ site, agent, group, tickMs, rows, table: table(tickMs) });
  };
  const sendRack = (place: number): void => {
    const rack = plant.racks[place];
    if (rack === undefined || stopped) return;
    send(rack.id, rackIds[place] ?? [], (tickMs) => rack.rows.table(tickMs));
  };
  const tick = (place: number): void => {
    if (stopped) return;
    clock.after(tickMs[place] ?? TICK_MOST_MS, () => tick(place));
    // One that has just gone out early counts as this tick's.
    if (!hurried[place]) sendRack(place);
  };
  for (const place of plant.racks.keys())
    clock.after(Math.floor(((place * GOLDEN) % 1) * (tickMs[place] ?? TICK_MOST_MS)), () => tick(place));
  return {
    soon: (place) => {
      if (hurried[place]) return;
      hurried[place] = true;
      clock.after(SOON_MS, () => {
        hurried[place] = false;
        sendRack(place);
      });
    },
    meters: () => {
      const nowMs = clock.monoMs();
      if (stopped || nowMs < metersDueMs) return;
      metersDueMs = nowMs + metersMs - TICK_LEAST_MS / 2;
      send('meters', meterIds, (tickMs) =>
        tableOf(
          plant.meters.map((meter) => meter.readings),
          tickMs,
        ),
      );
    },
    stop: () => {
      stopped = true;
    },
  };
}
