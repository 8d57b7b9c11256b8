import { seededRandom } from '../../host/random.ts';
import { encodeTable, FrameDecoder } from '../../protocols/mqtt/frame.ts';
import type { FrameTable } from '../../protocols/mqtt/frame.ts';
import { tableOf } from '../../protocols/mqtt/rows.ts';
import type { Reading, Readings } from '../../protocols/reading.ts';
import type { Unit } from '../../protocols/units.ts';
import { cpuUs, figure } from './measure.ts';
import type { Figure } from './measure.ts';

const MACHINES = 100;
const TICKS = 60;
const TICK_MS = 10_000;
const START_MS = Date.UTC(2026, 10, 22, 8);
const DECIDED_ON = new Set(['mode', 'power', 'hashrate', 'temperature.max']);

/** 35 quantities of one machine with the noise of their sensors. */
function machineAt(noise: () => number, base: number, tick: number): Readings {
  const atMs = START_MS + tick * TICK_MS - 500 - Math.floor(base * 8_000);
  const readings: Record<string, Reading> = {};
  const put = (quantity: string, unit: Unit, value: number | string): void => {
    readings[quantity] = { ok: true, value, unit, quality: 'good', atMs };
  };
  put('power', 'W', 3_200 + base * 100 + noise() * 30);
  put('hashrate', 'H/s', (190 + base * 5 + noise() * 4) * 1e12);
  put('mode', 'text', 'mine');
  put('temperature.max', '°C', Math.round(70 + base * 4 + noise() * 2));
  put('fan.max', 'rpm', 5_400 + Math.round(noise() * 3) * 30);
  put('uptime', 's', Math.floor(base * 1e6) + tick * 10);
  put('pool.active', '1', 1);
  put('power.limit', 'W', 3_500);
  for (let index = 0; index < 4; index += 1) put(`fan.${index}`, 'rpm', 5_400 + Math.round(noise() * 3) * 30);
  for (const part of ['inlet', 'outlet', 'environment', 'psu', 'ambient'])
    put(`temperature.${part}`, '°C', Math.round(30 + base * 20 + noise()));
  for (let index = 0; index < 6; index += 1) {
    put(`temperature.board.${index}`, '°C', Math.round(60 + base * 5 + noise() * 2));
    put(`temperature.chip.${index}`, '°C', Math.round(68 + base * 5 + noise() * 2));
    put(`hashrate.board.${index}`, 'H/s', (31 + base + noise()) * 1e12);
  }
  return readings;
}

/** What a machine-sample of 35 fields costs on the wire, in bytes, and at both ends, in CPU. */
export async function frameFigures(): Promise<Figure[]> {
  const random = seededRandom(3);
  const bases = Array.from({ length: MACHINES }, () => random.next());
  const cells = Array.from({ length: TICKS }, (_, tick) =>
    bases.map((base) => machineAt(() => random.next(), base, tick)),
  );
  const rows = bases.map((_, row) => `r1-m${row}`);
  const head = { site: 'bench', agent: 'a1', boot: 1, group: 'r1', rows };
  const frameAt = (tick: number): FrameTable => {
    const tickMs = START_MS + tick * TICK_MS;
    return { ...head, seq: tick, tickMs, table: tableOf(cells[tick] ?? [], tickMs) };
  };
  let messages: Uint8Array[] = [];
  const encode = (): void => {
    let last: FrameTable | undefined;
    messages = cells.map((_, tick) => {
      const frame = frameAt(tick);
      const bytes = encodeTable(frame, last);
      last = frame;
      return bytes;
    });
  };
  const decode = (wanted: ReadonlySet<string> | undefined): void => {
    const decoder = new FrameDecoder();
    for (const bytes of messages)
      if (decoder.decode(bytes, wanted).kind !== 'frame') throw new Error('a frame was not understood');
  };
  const operations = MACHINES * TICKS;
  const encodeUs = await cpuUs({ operations, run: encode });
  const decodeUs = await cpuUs({ operations, run: () => decode(undefined) });
  const decidedUs = await cpuUs({ operations, run: () => decode(DECIDED_ON) });
  const json = await cpuUs({
    operations,
    run: () => {
      for (const tick of cells) JSON.parse(JSON.stringify(tick));
    },
  });
  const bytes = messages.slice(1).reduce((sum, message) => sum + message.length, 0);
  const texts = cells.slice(1).reduce((sum, tick) => sum + Buffer.byteLength(JSON.stringify(tick)), 0);
  const samples = MACHINES * (TICKS - 1);
  return [
    figure('frame bytes per machine-sample of 35 fields', 'B', bytes / samples, {
      goal: 40,
      baseline: texts / samples,
    }),
    figure('frame encode + decode per machine-sample (baseline: JSON)', 'us', encodeUs + decodeUs, {
      baseline: json,
    }),
    figure('frame encode per machine-sample', 'us', encodeUs),
    figure('frame decode per machine-sample, only what is decided on', 'us', decidedUs),
  ];
}
