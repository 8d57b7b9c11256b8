/** nvidia-smi of a simulated host: queries, loop, compute processes, power limits. Written from captured runs. */
import type { ExecAnswer } from '../device.ts';
import type { GpuHost } from './gpu-host.ts';

const DRIVER = '590.48.01';
const ABSENT = '[N/A]';

interface Column {
  /** Unit in the header's brackets and behind each number. */
  readonly unit?: string;
  readonly alias?: string;
  readonly cell: (host: GpuHost, gpu: number, nowMs: number) => string;
}

const watts = (value: number): string => value.toFixed(2);
const busId = (gpu: number): string =>
  `00000000:${(0x1b + gpu * 0x11).toString(16).toUpperCase().padStart(2, '0')}:00.0`;
const load = (host: GpuHost, gpu: number, nowMs: number): number =>
  host.workload(nowMs) === 'idle' ? 0 : 97 + (gpu % 4);
const heat = (host: GpuHost, gpu: number, nowMs: number): number =>
  Math.round(31 + gpu * 0.5 + (host.power.gpuPowerW(gpu, nowMs) / host.model.capMaxW) * 38);

const COLUMNS: Readonly<Record<string, Column>> = {
  timestamp: { cell: (_host, _gpu, nowMs) => stamp(nowMs) },
  driver_version: { cell: () => DRIVER },
  count: { cell: (host) => String(host.model.gpus) },
  name: {
    alias: 'gpu_name',
    cell: (host) => (host.model.capMaxW >= 600 ? 'NVIDIA H100 80GB HBM3' : 'NVIDIA A100-SXM4-80GB'),
  },
  uuid: { alias: 'gpu_uuid', cell: (host, gpu) => host.uuids[gpu] ?? ABSENT },
  'pci.bus_id': { alias: 'gpu_bus_id', cell: (_host, gpu) => busId(gpu) },
  index: { cell: (_host, gpu) => String(gpu) },
  persistence_mode: { cell: () => 'Enabled' },
  gpu_recovery_action: { cell: () => 'None' },
  pstate: { cell: () => 'P0' },
  'clocks_event_reasons.active': {
    alias: 'clocks_throttle_reasons.active',
    cell: (host, gpu, nowMs) =>
      host.workload(nowMs) === 'idle' ? '0x0000000000000001' : binds(host, gpu, nowMs),
  },
  'fan.speed': { unit: '%', cell: () => ABSENT },
  'memory.total': { unit: 'MiB', cell: () => '81559' },
  'memory.used': { unit: 'MiB', cell: (host, gpu) => String(host.memoryMib(gpu)) },
  'utilization.gpu': { unit: '%', cell: (host, gpu, nowMs) => String(Math.min(100, load(host, gpu, nowMs))) },
  'utilization.memory': {
    unit: '%',
    cell: (host, gpu, nowMs) => String(Math.round(load(host, gpu, nowMs) / 4)),
  },
  'temperature.gpu': { cell: (host, gpu, nowMs) => String(heat(host, gpu, nowMs)) },
  'temperature.memory': { cell: (host, gpu, nowMs) => String(heat(host, gpu, nowMs) - 4) },
  'power.management': { cell: () => '[Requested functionality has been deprecated]' },
  'power.draw': { unit: 'W', cell: (host, gpu, nowMs) => watts(host.power.gpuPowerW(gpu, nowMs)) },
  'power.draw.average': { unit: 'W', cell: (host, gpu, nowMs) => watts(host.power.gpuPowerW(gpu, nowMs)) },
  'power.draw.instant': { unit: 'W', cell: (host, gpu, nowMs) => watts(host.power.gpuPowerW(gpu, nowMs)) },
  'power.limit': { unit: 'W', cell: (host, gpu) => watts(host.power.capW(gpu)) },
  'enforced.power.limit': { unit: 'W', cell: (host, gpu) => watts(host.power.capW(gpu)) },
  'power.default_limit': { unit: 'W', cell: (host) => watts(host.model.capMaxW) },
  'power.min_limit': { unit: 'W', cell: (host) => watts(host.model.capMinW) },
  'power.max_limit': { unit: 'W', cell: (host) => watts(host.model.capMaxW) },
  'clocks.sm': {
    alias: 'clocks.current.sm',
    unit: 'MHz',
    cell: (host, gpu, nowMs) => (load(host, gpu, nowMs) > 0 ? '1755' : '345'),
  },
  'mig.mode.current': { cell: () => 'Disabled' },
};

const APP_COLUMNS = [
  'timestamp',
  'gpu_name',
  'gpu_bus_id',
  'gpu_serial',
  'gpu_uuid',
  'pid',
  'process_name',
  'used_gpu_memory',
];

function binds(host: GpuHost, gpu: number, nowMs: number): string {
  return host.power.gpuPowerW(gpu, nowMs) > host.power.capW(gpu) * 0.97
    ? '0x0000000000000004'
    : '0x0000000000000000';
}

/** Day and time without a zone, from the simulation's own start: nobody may rely on it. */
function stamp(nowMs: number): string {
  const s = Math.floor(nowMs / 1_000);
  const two = (value: number): string => String(Math.floor(value)).padStart(2, '0');
  const ms = String(Math.floor(nowMs % 1_000)).padStart(3, '0');
  return `2026/07/${two(1 + ((s / 86_400) % 28))} ${two((s / 3_600) % 24)}:${two((s / 60) % 60)}:${two(s % 60)}.${ms}`;
}

/** Answers the words behind `nvidia-smi`. */
export function answerSmi(host: GpuHost, words: readonly string[], nowMs: number): ExecAnswer {
  if (host.misbehaviour === 'wedged') return { kind: 'silence' };
  const option = (name: string): string | undefined => {
    const at = words.findIndex((word) => word === name || word.startsWith(`${name}=`));
    if (at < 0) return undefined;
    return words[at]?.includes('=') === true ? words[at]?.slice(name.length + 1) : words[at + 1];
  };
  if (words.includes('--help-query-gpu')) return done(0, help(), 25);
  const gpus = chosen(host, option('-i') ?? option('--id'));
  if (gpus === undefined) return done(6, 'No devices were found\n', 40);
  const limit = option('-pl') ?? option('--power-limit');
  if (limit !== undefined) return setLimits(host, gpus, Number(limit), nowMs);
  const format = (option('--format') ?? '').split(',');
  const apps = option('--query-compute-apps');
  if (apps !== undefined) return queryApps(host, apps.split(','), format);
  const asked = option('--query-gpu');
  if (asked === undefined) return done(0, `NVIDIA-SMI ${DRIVER}\n`, 60);
  const fields = asked.split(',');
  const unknown = fields.find((field) => columnOf(field) === undefined);
  if (unknown !== undefined) return done(2, `Field "${unknown}" is not a valid field to query.\n\n`, 20);
  // Looked up once: a loop prints the same columns for as long as it runs.
  const columns = fields.flatMap((field) => columnOf(field) ?? []);
  const bare = format.includes('nounits');
  const rows = (atMs: number): string[] => {
    host.advance(atMs);
    return gpus.map((gpu) => {
      let line = '';
      for (const { unit, cell } of columns) {
        const text = cell(host, gpu, atMs);
        if (line !== '') line += ', ';
        line += unit === undefined || bare || text === ABSENT ? text : `${text} ${unit}`;
      }
      return line;
    });
  };
  const header = format.includes('noheader')
    ? []
    : [fields.map((field) => heading(field, format)).join(', ')];
  const everyMs = Number(option('--loop-ms') ?? option('-lms') ?? 0);
  if (!(everyMs >= 1)) return done(0, `${[...header, ...rows(nowMs)].join('\n')}\n`, 60);
  return { kind: 'stream', everyMs: Math.max(everyMs, 100), lines: (atMs) => (mute(host) ? [] : rows(atMs)) };
}

function mute(host: GpuHost): boolean {
  return host.misbehaviour === 'wedged' || host.misbehaviour === 'dead';
}

function columnOf(field: string): Column | undefined {
  if (Object.hasOwn(COLUMNS, field)) return COLUMNS[field];
  return Object.values(COLUMNS).find((column) => column.alias === field);
}

function heading(field: string, format: readonly string[]): string {
  const unit = columnOf(field)?.unit;
  return unit === undefined || format.includes('nounits') ? field : `${field} [${unit}]`;
}

function chosen(host: GpuHost, id: string | undefined): number[] | undefined {
  const all = host.uuids.map((_uuid, gpu) => gpu);
  if (id === undefined) return all;
  const gpu = all.find((at) => String(at) === id || host.uuids[at] === id || busId(at) === id);
  return gpu === undefined ? undefined : [gpu];
}

function setLimits(host: GpuHost, gpus: readonly number[], limitW: number, nowMs: number): ExecAnswer {
  const { capMinW, capMaxW } = host.model;
  const lines: string[] = [];
  for (const gpu of gpus) {
    if (!(limitW >= capMinW && limitW <= capMaxW)) {
      const range = `between ${watts(capMinW)} W and ${watts(capMaxW)} W`;
      const text = `Provided power limit ${watts(limitW)} W is not a valid power limit which should be ${range} for GPU ${busId(gpu)}`;
      return done(1, `${text}\nTerminating early due to previous errors.\n`, 30);
    }
    const beforeW = host.power.capW(gpu);
    if (host.misbehaviour !== 'ignores') host.power.setCap(gpu, limitW, nowMs);
    lines.push(`Power limit for GPU ${busId(gpu)} was set to ${watts(limitW)} W from ${watts(beforeW)} W.`);
  }
  return done(0, `${lines.join('\n')}\nAll done.\n`, 35);
}

function queryApps(host: GpuHost, fields: readonly string[], format: readonly string[]): ExecAnswer {
  const unknown = fields.find((field) => !APP_COLUMNS.includes(field));
  if (unknown !== undefined) return done(2, `Field "${unknown}" is not a valid field to query.\n\n`, 20);
  const bare = format.includes('nounits');
  const lines = host.processes().map((process) => {
    const cells: Readonly<Record<string, string>> = {
      gpu_uuid: host.uuids[process.gpu] ?? ABSENT,
      gpu_bus_id: busId(process.gpu),
      pid: String(process.pid),
      process_name: process.name,
      used_gpu_memory: bare ? String(process.memoryMib) : `${process.memoryMib} MiB`,
    };
    return fields.map((field) => cells[field] ?? ABSENT).join(', ');
  });
  const header = fields
    .map((field) => (field === 'used_gpu_memory' && !bare ? `${field} [MiB]` : field))
    .join(', ');
  const all = format.includes('noheader') ? lines : [header, ...lines];
  return done(0, all.map((line) => `${line}\n`).join(''), 60);
}

function help(): string {
  const parts = Object.entries(COLUMNS).map(([name, column]) => {
    const title = column.alias === undefined ? `"${name}"` : `"${name}" or "${column.alias}"`;
    return `${title}\nA property of the GPU.\n`;
  });
  return `List of valid properties to query for the switch "--query-gpu":\n\n${parts.join('\n')}`;
}

function done(code: number, stdout: string, afterMs: number): ExecAnswer {
  return { kind: 'result', code, stdout, stderr: '', afterMs };
}
