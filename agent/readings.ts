import type { Clock } from '../host/deps.ts';
import type { FaultCode } from '../protocols/faults.ts';
import { crc32 } from '../protocols/mqtt/crc32.ts';
import { numberOf } from '../protocols/reading.ts';
import type { Reading, Readings } from '../protocols/reading.ts';
import type { Unit } from '../protocols/units.ts';

/** What is physically possible for a quantity; beyond it a reading is VALUE_IMPLAUSIBLE. */
export interface Bounds {
  readonly unit: Unit;
  readonly min: number;
  readonly max: number;
}

/** Bounds no miner on the market leaves: the largest hydro-cooled ones draw 11 kW and make 1.2 PH/s. */
export const MINER_BOUNDS = {
  power: { unit: 'W', min: 0, max: 20_000 },
  hashrate: { unit: 'H/s', min: 0, max: 3e15 },
  temperature: { unit: '°C', min: -40, max: 150 },
  fan: { unit: 'rpm', min: 0, max: 30_000 },
  uptime: { unit: 's', min: 0, max: 20 * 366 * 86_400 },
  shares: { unit: '1', min: 0, max: 1e15 },
  boards: { unit: '1', min: 0, max: 32 },
  chips: { unit: '1', min: 0, max: 10_000 },
} as const satisfies Record<string, Bounds>;

/** A number from a device, checked; what is not one becomes VALUE_MISSING or VALUE_INVALID. `scale` brings it to `bounds.unit`. */
export function numberReading(raw: unknown, bounds: Bounds, atMs: number, scale = 1): Reading {
  const value = toNumber(raw);
  if (value === undefined) {
    if (raw === undefined || raw === '') return missing(atMs);
    return unreadable('VALUE_INVALID', atMs, `not a number: ${shown(raw)}`);
  }
  const scaled = value * scale;
  if (scaled < bounds.min || scaled > bounds.max) {
    return unreadable('VALUE_IMPLAUSIBLE', atMs, `${scaled} ${bounds.unit} is not possible`);
  }
  return { ok: true, value: scaled, unit: bounds.unit, quality: 'good', atMs };
}

/** A word from a device, at most 200 characters of it. */
export function textReading(raw: unknown, atMs: number): Reading {
  if (typeof raw !== 'string' || raw === '') return missing(atMs);
  return { ok: true, value: raw.slice(0, 200), unit: 'text', quality: 'good', atMs };
}

/** The device does not say. */
export function missing(atMs: number, detail?: string): Reading {
  return unreadable('VALUE_MISSING', atMs, detail);
}

/** There is no value, and why. */
export function unreadable(why: FaultCode, atMs: number, detail?: string): Reading {
  return detail === undefined ? { ok: false, why, atMs } : { ok: false, why, detail, atMs };
}

/** The same reading, marked uncertain with the reason; a failed one stays as it is. */
export function uncertain(reading: Reading, why: string): Reading {
  return reading.ok ? { ...reading, quality: 'uncertain', why } : reading;
}

/** A finite number from a number or a string that is one; firmwares use both. */
export function toNumber(raw: unknown): number | undefined {
  if (typeof raw === 'number') return Number.isFinite(raw) ? raw : undefined;
  if (typeof raw !== 'string' || !/^\s*[+-]?\d+(\.\d*)?\s*$/.test(raw)) return undefined;
  return Number(raw);
}

/** A device's value for a message, cut to a few words. */
export function shown(raw: unknown): string {
  return (JSON.stringify(raw) ?? 'nothing').slice(0, 40);
}

/** Tells whether a secret has changed without telling the secret: 16 bits of its checksum. */
export const fingerprint = (secret: string): string =>
  (crc32(new TextEncoder().encode(secret)) & 0xffff).toString(16);

/** UTC time in the middle of an exchange that took from `startMonoMs` until now. */
export function middleMs(clock: Clock, startMonoMs: number): number {
  return clock.wallMs() - (clock.monoMs() - startMonoMs) / 2;
}

/** The size of a power is known from elsewhere too: the driver checks it against volts, amperes and power factor, and all phases flow one way, which those do not tell. */
export function hasWitness(readings: Readings): boolean {
  const numbers = (name: (phase: string) => string): readonly (number | undefined)[] =>
    ['L1', 'L2', 'L3'].map((phase) => numberOf(readings[name(phase)]));
  const powers = numbers((phase) => `power.active.${phase}`);
  const all = [
    ...numbers((phase) => `voltage.${phase}N`),
    ...numbers((phase) => `current.${phase}`),
    ...powers,
  ];
  const isOneWay = powers.every((powerW = 0) => powerW >= 0) || powers.every((powerW = 0) => powerW <= 0);
  const hasFactor = ['total', 'L1'].some((each) => numberOf(readings[`powerFactor.${each}`]) !== undefined);
  return isOneWay && hasFactor && all.every((value) => value !== undefined);
}
