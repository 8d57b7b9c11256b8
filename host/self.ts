import type { Reading, Readings } from '../protocols/reading.ts';
import type { Unit } from '../protocols/units.ts';
import { makeBox } from './box.ts';
import type { Box } from './box.ts';
import type { Clock } from './deps.ts';

export interface HostReader {
  /**
   * What this box says of itself: `host.cpu` %, `host.memoryUsed|memoryTotal` B, `host.diskUsed` % of the fullest file
   * system, `host.temperature` °C, `host.netReceived|netSent` B since boot. Never rejects; asks at most every 10 s and
   * gives the last values in between, with their time.
   */
  readHost(): Promise<Readings>;
}

const LEAST_APART_MS = 10_000;
const CALL_TIMEOUT_MS = 5_000;

interface Quantity {
  readonly name: string;
  readonly unit: Unit;
  readonly value: number | undefined;
}

/** Reads the host this process runs on. */
export function makeHostReader(clock: Clock, box: Box = makeBox()): HostReader {
  let last: { atMs: number; readings: Promise<Readings> } | undefined;
  return {
    readHost: () => {
      const nowMs = clock.monoMs();
      if (!last || nowMs - last.atMs >= LEAST_APART_MS) last = { atMs: nowMs, readings: readAll(clock, box) };
      return last.readings;
    },
  };
}

async function readAll(clock: Clock, box: Box): Promise<Readings> {
  const parts = await Promise.all([
    read(
      clock,
      () => box.loadPct(),
      ['host.cpu'],
      (value) => [{ name: 'host.cpu', unit: '%', value }],
    ),
    read(
      clock,
      () => box.memory(),
      ['host.memoryUsed', 'host.memoryTotal'],
      ({ totalBytes, availableBytes }) => [
        { name: 'host.memoryUsed', unit: 'B', value: totalBytes - availableBytes },
        { name: 'host.memoryTotal', unit: 'B', value: totalBytes },
      ],
    ),
    read(
      clock,
      () => box.disksUsedPct(),
      ['host.diskUsed'],
      (disks) => [
        { name: 'host.diskUsed', unit: '%', value: disks.length === 0 ? undefined : Math.max(...disks) },
      ],
    ),
    read(
      clock,
      () => box.network(),
      ['host.netReceived', 'host.netSent'],
      (traffic) => [
        { name: 'host.netReceived', unit: 'B', value: traffic?.receivedBytes },
        { name: 'host.netSent', unit: 'B', value: traffic?.sentBytes },
      ],
    ),
    read(
      clock,
      () => box.processorC(),
      ['host.temperature'],
      (value) => [{ name: 'host.temperature', unit: '°C', value }],
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
