import { expect, test } from 'vitest';
import type { Meter } from '../../../agent/plant.ts';
import { supplyOf } from '../../../agent/supply.ts';
import type { Readings } from '../../../protocols/reading.ts';

const NOW = 100_000;
const volts = (value: number, agoMs = 0): Readings[string] => ({
  ok: true,
  value,
  unit: 'V',
  quality: 'good',
  atMs: NOW - agoMs,
});
const failed = (why: 'VALUE_MISSING' | 'NET_TIMEOUT'): Readings[string] => ({ ok: false, why, atMs: NOW });
const power: Readings[string] = { ok: true, value: 0, unit: 'W', quality: 'good', atMs: NOW };
const supply = (told: Readings, isQuiet = true, change: Partial<Meter> = {}): string => {
  const readings = { 'power.active.total': power, ...told };
  const config = { periodMs: 1_000 } as Meter['config'];
  const meter = { readings, config, goodW: 0, goodMs: NOW, isWhole: true, ...change } as Meter;
  return supplyOf({ meter }, isQuiet, NOW);
};

test('one voltage between whatever lines is enough to be live', () => {
  expect(supply({ 'voltage.L1N': volts(230) })).toBe('live');
  expect(supply({ 'voltage.L1L2': volts(400) })).toBe('live');
  expect(supply({ 'voltage.LL': volts(400, 9_000) })).toBe('live');
  expect(supply({ 'voltage.L1N': volts(0), 'voltage.L2N': volts(229) })).toBe('live');
  expect(supply({ 'voltage.L1N': volts(230), 'voltage.L2N': failed('VALUE_MISSING') }, false)).toBe('live');
});

test('dead are all voltages that the meter has, with next to nothing drawn, and told lately', () => {
  const none = { 'voltage.L1N': volts(0), 'voltage.L2N': volts(3), 'voltage.L3N': volts(0) };
  expect(supply(none)).toBe('dead');
  expect(supply({ ...none, 'voltage.L3N': failed('VALUE_MISSING') })).toBe('dead');
  // Megawatts without volts: a fuse of the meter's own.
  expect(supply(none, false)).toBe('unknown');
  expect(supply({ ...none, 'voltage.L3N': failed('NET_TIMEOUT') })).toBe('unknown');
  expect(supply({ ...none, 'voltage.L3N': volts(0, 16_000) })).toBe('unknown');
  expect(supply({ 'voltage.L1N': volts(230, 16_000) })).toBe('unknown');
});

test('a meter that is silent tells nothing; one that has no voltage to tell is none for this', () => {
  expect(supply({ 'voltage.L1N': volts(230) }, true, { goodMs: NOW - 4_000 })).toBe('unknown');
  expect(supply({})).toBe('unmeasured');
  // It may tell them with what is slow.
  expect(supply({}, true, { isWhole: false })).toBe('unknown');
  expect(supply({ 'voltage.L1N': failed('VALUE_MISSING') })).toBe('unknown');
  expect(supplyOf(undefined, true, NOW)).toBe('unmeasured');
});
