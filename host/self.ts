import { cpuTemperature, currentLoad, fsSize, mem, networkStats } from 'systeminformation';
import type { Reading, Readings } from '../protocols/reading.ts';
import type { Unit } from '../protocols/units.ts';
import type { Clock } from './deps.ts';

/**
 * The calls of systeminformation that are safe to repeat: none blocks the event loop for long, takes input, or runs a
 * tool without a time limit (`graphics`, `versions`, `wifi*` and `networkInterfaces` do).
 */
export interface HostSource {
  currentLoad(): Promise<{ readonly currentLoad: number | null }>;
  mem(): Promise<{ readonly total: number | null; readonly available: number | null }>;
  fsSize(): Promise<readonly { readonly use: number | null; readonly rw: boolean | null }[]>;
  networkStats(): Promise<readonly { readonly rx_bytes: number | null; readonly tx_bytes: number | null }[]>;
  cpuTemperature(): Promise<{ readonly main: number | null }>;
}

export interface HostReader {
  /**
   * What this box says of itself: `host.cpu` %, `host.memoryUsed|memoryTotal` B, `host.diskUsed` % of the fullest file
   * system, `host.temperature` °C, `host.netReceived|netSent` B since boot. Never rejects; asks at most
   * once a minute, since that starts programs, and gives the last values in between, with their time.
   */
  readHost(): Promise<Readings>;
}

const LEAST_APART_MS = 60_000;
const CALL_TIMEOUT_MS = 5_000;

const systemSource: HostSource = {
  currentLoad: () => currentLoad(),
  mem: () => mem(),
  fsSize: () => fsSize(),
  networkStats: () => networkStats(),
  cpuTemperature: () => cpuTemperature(),
};

interface Quantity {
  readonly name: string;
  readonly unit: Unit;
  readonly value: number | null | undefined;
}

/** Reads the host this process runs on. */
export function makeHostReader(clock: Clock, source: HostSource = systemSource): HostReader {
  let last: { atMs: number; readings: Promise<Readings> } | undefined;
  return {
    readHost: () => {
      const nowMs = clock.monoMs();
      if (!last || nowMs - last.atMs >= LEAST_APART_MS)
        last = { atMs: nowMs, readings: readAll(clock, source) };
      return last.readings;
    },
  };
}

async function readAll(clock: Clock, source: HostSource): Promise<Readings> {
  const parts = await Promise.all([
    read(
      clock,
      () => source.currentLoad(),
      ['host.cpu'],
      (load) => [{ name: 'host.cpu', unit: '%', value: load.currentLoad }],
    ),
    read(
      clock,
      () => source.mem(),
      ['host.memoryUsed', 'host.memoryTotal'],
      ({ total, available }) => [
        {
          name: 'host.memoryUsed',
          unit: 'B',
          value: total === null || available === null ? null : total - available,
        },
        { name: 'host.memoryTotal', unit: 'B', value: total },
      ],
    ),
    read(
      clock,
      () => source.fsSize(),
      ['host.diskUsed'],
      (disks) => [
        {
          name: 'host.diskUsed',
          unit: '%',
          value: highest(disks.filter((disk) => disk.rw).map((disk) => disk.use)),
        },
      ],
    ),
    read(
      clock,
      () => source.networkStats(),
      ['host.netReceived', 'host.netSent'],
      (links) => [
        { name: 'host.netReceived', unit: 'B', value: total(links.map((link) => link.rx_bytes)) },
        { name: 'host.netSent', unit: 'B', value: total(links.map((link) => link.tx_bytes)) },
      ],
    ),
    read(
      clock,
      () => source.cpuTemperature(),
      ['host.temperature'],
      ({ main }) => [{ name: 'host.temperature', unit: '°C', value: main }],
    ),
  ]);
  return Object.assign({}, ...parts) as Readings;
}

/** One call, not longer than 5 s; every name gets its value or the reason there is none. */
async function read<Answer>(
  clock: Clock,
  call: () => Promise<Answer>,
  names: readonly string[],
  values: (answer: Answer) => readonly Quantity[],
): Promise<Readings> {
  const startedMs = clock.wallMs();
  let quantities: readonly Quantity[] = [];
  let detail = 'the system does not say';
  try {
    quantities = values(await limited(clock, call));
  } catch (error) {
    detail = error instanceof Error ? error.message : String(error);
  }
  const atMs = Math.round((startedMs + clock.wallMs()) / 2);
  const missing = names.map((name): [string, Reading] => [
    name,
    { ok: false, why: 'VALUE_MISSING', detail, atMs },
  ]);
  const found = quantities.flatMap(({ name, unit, value }): [string, Reading][] =>
    typeof value === 'number' && Number.isFinite(value)
      ? [[name, { ok: true, value, unit, quality: 'good', atMs }]]
      : [],
  );
  return Object.fromEntries([...missing, ...found]);
}

function limited<Answer>(clock: Clock, call: () => Promise<Answer>): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const cancel = clock.after(CALL_TIMEOUT_MS, () => reject(new Error('the system did not answer in time')));
    call().then(resolve, reject).finally(cancel);
  });
}

const highest = (values: readonly (number | null)[]): number | null => {
  const known = values.filter((value) => value !== null);
  return known.length === 0 ? null : Math.max(...known);
};

const total = (values: readonly (number | null)[]): number | null =>
  values.length === 0 || values.includes(null)
    ? null
    : values.reduce((sum: number, value) => sum + (value ?? 0), 0);
