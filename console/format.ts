import type { CommandView, ConsoleView, MachineView, SiteView, Stage } from '../protocols/console/view.ts';
import type { Mode } from '../protocols/reading.ts';

/** What stands for a number that is not known. Never a zero. */
export const UNKNOWN = '–';

/** Kilowatts or megawatts with unit from W: `612 kW`, `12.34 MW`. */
export function powerText(powerW: number | null): string {
  return powerW === null || !Number.isFinite(powerW) ? UNKNOWN : kwText(powerW / 1_000);
}

/** Kilowatts or megawatts with unit from kW; small ones with decimals. */
export function kwText(powerKw: number | null): string {
  if (powerKw === null || !Number.isFinite(powerKw)) return UNKNOWN;
  const size = Math.abs(powerKw);
  const sign = powerKw < 0 ? '−' : '';
  if (size >= 10_000) return `${sign}${(size / 1_000).toFixed(2)} MW`;
  return `${sign}${size.toFixed(size >= 100 ? 0 : size >= 10 ? 1 : 2)} kW`;
}

/** With a sign, for a change. */
export function deltaKwText(powerKw: number): string {
  return `${powerKw > 0 ? '+' : powerKw < 0 ? '−' : ''}${kwText(Math.abs(powerKw))}`;
}

/** `$12.34` or `−$12.34`. */
export function usdText(usd: number | null): string {
  if (usd === null || !Number.isFinite(usd)) return UNKNOWN;
  return `${usd < 0 ? '−' : ''}$${Math.abs(usd).toFixed(Math.abs(usd) >= 1_000 ? 0 : 2)}`;
}

/** Hashes per second with the prefix that fits: `1.24 PH/s`. */
export function hashrateText(hashrateHs: number | null): string {
  if (hashrateHs === null || !Number.isFinite(hashrateHs)) return UNKNOWN;
  const steps: readonly (readonly [number, string])[] = [
    [1e18, 'EH/s'],
    [1e15, 'PH/s'],
    [1e12, 'TH/s'],
    [1e9, 'GH/s'],
    [1e6, 'MH/s'],
  ];
  const step = steps.find(([size]) => Math.abs(hashrateHs) >= size);
  return step === undefined
    ? `${hashrateHs.toFixed(0)} H/s`
    : `${(hashrateHs / step[0]).toFixed(2)} ${step[1]}`;
}

/** A duration in its two largest parts: `1 h 04 min`, `4 min 09 s`, `12 s`. */
export function durationText(ms: number): string {
  const s = Math.max(0, Math.round(ms / 1_000));
  if (s < 60) return `${s} s`;
  if (s < 3_600) return `${Math.floor(s / 60)} min ${String(s % 60).padStart(2, '0')} s`;
  return `${Math.floor(s / 3_600)} h ${String(Math.floor((s % 3_600) / 60)).padStart(2, '0')} min`;
}

/** What a mode is called, and a letter that tells it without colour. */
export const MODE_NAMES: Readonly<
  Record<Mode | 'unknown', { readonly name: string; readonly letter: string }>
> = {
  off: { name: 'off', letter: 'o' },
  sleep: { name: 'asleep', letter: 'z' },
  mine: { name: 'mining', letter: 'M' },
  ai: { name: 'AI', letter: 'A' },
  idle: { name: 'idle', letter: '.' },
  unknown: { name: 'unknown', letter: '?' },
};

/** The mode shown for a machine: what it reports, or unknown. */
export function shownMode(machine: MachineView): Mode | 'unknown' {
  return machine.stage === 'unknown' ? 'unknown' : (machine.mode ?? 'unknown');
}

/** Told to change and not yet seen to have changed. */
export const isOnTheWay = (stage: Stage): boolean => stage === 'sent' || stage === 'acknowledged';

/** Site power in kW, or null where it is only the sum of a part of the machines. */
export function sitePowerKw(site: SiteView): number | null {
  const partial = site.powerFrom === 'sum' && site.reporting < 0.9 * site.expected;
  return site.powerW === null || partial ? null : site.powerW / 1_000;
}

/** What the site draws above its limit, kW, and how long it still may, ms; undefined when it draws less. */
export function excessOf(
  { site, signals }: ConsoleView,
  nowMs: number,
): { readonly excessKw: number; readonly leftMs: number } | undefined {
  const powerKw = site.powerW === null ? 0 : site.powerW / 1_000;
  if (powerKw <= site.limitKw) return undefined;
  const dueMs = signals.find(({ kind, untilMs }) => kind === 'limit' && untilMs !== null)?.untilMs ?? nowMs;
  return {
    excessKw: powerKw - site.limitKw,
    leftMs: powerKw > site.capKw ? 0 : Math.max(0, dueMs - nowMs),
  };
}

/** Machines by rack in the order they come. */
export function byRack(machines: readonly MachineView[]): ReadonlyMap<string, readonly MachineView[]> {
  const racks = new Map<string, MachineView[]>();
  for (const machine of machines) {
    const rack = racks.get(machine.rack);
    if (rack === undefined) racks.set(machine.rack, [machine]);
    else rack.push(machine);
  }
  return racks;
}

/** What a command shall move: `48 machines, −142 kW`. */
export function aimText(command: CommandView): string {
  return `${command.machines} machine${command.machines === 1 ? '' : 's'}, ${deltaKwText(command.expectedKw)}`;
}

/** `412/420 acknowledged, 380 observed, 8 failed`. */
export function progressText(command: CommandView): string {
  const failed = command.failed > 0 ? `, ${command.failed} failed` : '';
  return `${command.acknowledged}/${command.machines} acknowledged, ${command.observed} observed${failed}`;
}
