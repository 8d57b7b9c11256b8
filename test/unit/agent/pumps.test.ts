import { afterEach, expect, test } from 'vitest';
import { makePlc } from '../../../simulator/devices/plc.ts';
import { all, makeBench, modes } from './bench.ts';
import type { Bench } from './bench.ts';

const benches: Bench[] = [];
afterEach(async () => {
  for (const bench of benches.splice(0)) await bench.stop();
});

/** A loop whose pump does what its coil says and is a condition for starting; 20 °C. */
function makeRig(
  mode: 'mine' | 'sleep',
  { pumpObeys = true, authority = 'automatic' as 'automatic' | 'observe', sleepW = 30 } = {},
) {
  const sees = { tenths: 200 };
  const writes: { readonly atMs: number; readonly value: number }[] = [];
  const target = 'modbus://127.0.0.1/7';
  const coil = (): number => writes.at(-1)?.value ?? 1;
  const plc = makePlc({
    unit: 7,
    inputs: [
      { area: 'discrete', address: 100, words: () => [pumpObeys ? coil() : 0] },
      { area: 'input', address: 4, words: () => [sees.tenths] },
    ],
    onWrite: (area, address, value, nowMs) => {
      if (area === 'coil' && address === 30) writes.push({ atMs: nowMs, value });
    },
  });
  const bench = makeBench({
    mode,
    authority,
    sleepW,
    plc,
    plant: {
      points: [
        { id: 'pump-run', target, kind: 'discrete', address: 100 },
        { id: 'water', target, kind: 'input', address: 4, type: 'int16', scale: 0.1, least: -40, most: 90 },
      ],
      permissives: [{ id: 'pump', node: 'r1', input: 'pump-run', about: 'pump', is: true, loop: 'hydro' }],
      loops: [
        { id: 'hydro', node: 'r1', target, address: 30, runOnS: 60, temperature: 'water', freezeBelowC: 5 },
      ],
    },
  });
  benches.push(bench);
  return { bench, plc, sees, writes, coil };
}

const events = (bench: Bench): string[] =>
  bench.voice.events.map(({ code, subject, state }) => `${code} ${subject} ${state}`);

test('it runs from the start on and while machines work, and so long after the last one rested', async () => {
  const { bench, writes, coil } = makeRig('mine');
  await bench.clock.advance(8_000);
  expect(writes.map(({ value }) => value)).not.toContain(0);
  bench.voice.want('r1', 1, all(bench, 'sleep'));
  await bench.clock.advance(50_000);
  expect(modes(bench)).toBe('ssssssss');
  expect(writes.map(({ value }) => value)).not.toContain(0);
  await bench.clock.advance(30_000);
  expect(coil()).toBe(0);
  // Written every second, changed or not: who hears nothing knows that nobody looks after the loop.
  expect(writes.length).toBeGreaterThan(80);
  // A pump that rests by order is no lost condition.
  expect(bench.voice.status?.inhibitions).toBeUndefined();
  expect(events(bench)).toEqual([]);
});

test('a start that is wanted brings the pump back first, and is not held up by its rest', async () => {
  const { bench, coil } = makeRig('sleep');
  await bench.clock.advance(75_000);
  expect(coil()).toBe(0);
  bench.voice.want('r1', 1, { ...all(bench, 'sleep'), 'r1-03': 'mine' });
  await bench.clock.advance(3_000);
  expect(coil()).toBe(1);
  await bench.clock.advance(12_000);
  expect(modes(bench)).toBe('ssmsssss');
  expect(events(bench)).toEqual([]);
});

test('a pump that does not come when it is demanded is lost, and nothing is started', async () => {
  const { bench, coil } = makeRig('sleep', { pumpObeys: false });
  await bench.clock.advance(75_000);
  expect(coil()).toBe(0);
  expect(bench.voice.status?.inhibitions).toBeUndefined();
  bench.voice.want('r1', 1, { ...all(bench, 'sleep'), 'r1-03': 'mine' });
  await bench.clock.advance(15_000);
  expect(bench.voice.status?.inhibitions?.map(({ why }) => why)).toEqual(['PERMISSIVE_LOST']);
  bench.voice.want('r1', 2, all(bench, 'mine'));
  await bench.clock.advance(15_000);
  expect(modes(bench)).toBe('ssssssss');
  for (const miner of bench.miners.values()) expect(miner.calls).not.toContain('wake');
});

test('what draws much at rest keeps its pump, and a pump that fails is lost, though nothing is wanted to work', async () => {
  const { bench, writes } = makeRig('sleep', { sleepW: 500, pumpObeys: false });
  await bench.clock.advance(100_000);
  expect(writes.map(({ value }) => value)).not.toContain(0);
  expect(bench.voice.status?.inhibitions?.map(({ why }) => why)).toEqual(['PERMISSIVE_LOST']);
});

test('where nothing may be commanded, no pump is either', async () => {
  const { bench, writes } = makeRig('sleep', { authority: 'observe' });
  await bench.clock.advance(120_000);
  expect(writes).toEqual([]);
});

test('one machine that cannot be seen may work', async () => {
  const { bench, writes } = makeRig('sleep');
  for (const [id, miner] of bench.miners) if (id.includes('3')) miner.behaviour = 'dead';
  await bench.clock.advance(120_000);
  expect(writes.map(({ value }) => value)).not.toContain(0);
});

test('in frost, or when nobody knows, it runs though all rest', async () => {
  const { bench, sees, coil } = makeRig('sleep');
  await bench.clock.advance(75_000);
  expect(coil()).toBe(0);
  sees.tenths = 48;
  await bench.clock.advance(3_000);
  expect(coil()).toBe(1);
  sees.tenths = 80;
  await bench.clock.advance(3_000);
  expect(coil()).toBe(0);
  // A broken sensor wire.
  sees.tenths = 32_000;
  await bench.clock.advance(20_000);
  expect(coil()).toBe(1);
});

test('with the agent the writing ends, and what was demanded stays; a PLC that refuses is said', async () => {
  const { bench, plc, writes, coil } = makeRig('mine');
  await bench.clock.advance(8_000);
  plc.silent = true;
  await bench.clock.advance(15_000);
  expect(events(bench)).toContain('PUMP_FAILED hydro raised');
  plc.silent = false;
  await bench.clock.advance(8_000);
  expect(events(bench)).toContain('PUMP_FAILED hydro cleared');
  await bench.stop();
  await bench.clock.advance(2_000);
  const before = writes.length;
  await bench.clock.advance(30_000);
  expect([writes.length, coil()]).toEqual([before, 1]);
});
