import { afterEach, expect, test } from 'vitest';
import { makePlc } from '../../../simulator/devices/plc.ts';
import { all, makeBench as openBench, modes } from './bench.ts';
import type { Bench } from './bench.ts';
import type { Trip } from '../../../protocols/mqtt/status.ts';

const benches: Bench[] = [];
afterEach(async () => {
  for (const bench of benches.splice(0)) await bench.stop();
});

/** What the plant does: the pump runs, water is 18.5 °C, the breaker is closed. */
function makeRig(
  options: Parameters<typeof openBench>[0] = {},
  onLoss: 'inhibit' | 'shed' = 'inhibit',
  onUnknown: 'inhibit' | 'shed' = 'inhibit',
) {
  const sees = { pump: 1, tenths: 185, tripped: 0 };
  const target = 'modbus://127.0.0.1/7';
  const plc = makePlc({
    unit: 7,
    inputs: [
      { area: 'discrete', address: 100, words: () => [sees.pump] },
      { area: 'discrete', address: 103, words: () => [sees.tripped] },
      { area: 'input', address: 4, words: () => [sees.tenths] },
    ],
  });
  const bench = openBench({
    mode: 'sleep',
    plc,
    plant: {
      points: [
        { id: 'pump-run', target, kind: 'discrete', address: 100 },
        { id: 'breaker-open', target, kind: 'discrete', address: 103 },
        { id: 'inlet', target, kind: 'input', address: 4, type: 'int16', scale: 0.1, least: -40, most: 90 },
      ],
      permissives: [
        { id: 'pump', node: 'r1', input: 'pump-run', about: 'pump', is: true, onLoss, onUnknown, delayS: 3 },
        { id: 'water', node: 'r1', input: 'inlet', about: 'temperature', max: 40, hysteresis: 5 },
      ],
      protections: [{ id: 'q1', node: 'r1', input: 'breaker-open', kind: 'breaker' }],
    },
    ...options,
  });
  benches.push(bench);
  return { bench, plc, sees };
}

const inhibitions = (bench: Bench): string =>
  (bench.voice.status?.inhibitions ?? []).map(({ effect, why }) => `${effect} ${why}`).join('; ');
/** The trip that the agent says it holds for. */
const trip = (bench: Bench): Trip | undefined => bench.voice.status?.inhibitions?.[0]?.trip;
const refusals = (bench: Bench): Set<string> =>
  new Set(
    bench.voice.results
      .filter(({ stage }) => stage === 'refused')
      .map(({ why, detail }) => `${why}: ${detail}`),
  );
const events = (bench: Bench): string[] =>
  bench.voice.events.map(({ code, subject, state }) => `${code} ${subject} ${state}`);

test('without its pump nothing below is started, what works goes on; when it runs again the start follows', async () => {
  const { bench, sees } = makeRig({ mode: 'mine' });
  await bench.clock.advance(8_000);
  expect(inhibitions(bench)).toBe('');
  bench.voice.want('r1', 1, { ...all(bench, 'mine'), 'r1-01': 'sleep' });
  await bench.clock.advance(10_000);
  expect(modes(bench)).toBe('smmmmmmm');
  sees.pump = 0;
  await bench.clock.advance(6_000);
  expect(inhibitions(bench)).toBe('inhibit PERMISSIVE_LOST');
  bench.voice.want('r1', 2, all(bench, 'mine'));
  await bench.clock.advance(10_000);
  expect(modes(bench)).toBe('smmmmmmm');
  const words = "'pump' (pump of r1) is lost; starts go on when it has been on for 10 s";
  expect(refusals(bench)).toEqual(new Set([`PERMISSIVE_LOST: ${words}`]));
  sees.pump = 1;
  await bench.clock.advance(25_000);
  expect(modes(bench)).toBe('mmmmmmmm');
  expect(events(bench)).toEqual(['PERMISSIVE_LOST pump raised', 'PERMISSIVE_LOST pump cleared']);
});

test('declared so, the loss puts what works below to rest, controller or not', async () => {
  const { bench, sees } = makeRig({ mode: 'mine' }, 'shed');
  bench.voice.speaking = false;
  await bench.clock.advance(8_000);
  sees.pump = 0;
  await bench.clock.advance(3_000);
  expect(modes(bench)).toBe('mmmmmmmm');
  await bench.clock.advance(8_000);
  expect(modes(bench)).toBe('ssssssss');
  sees.pump = 1;
  await bench.clock.advance(60_000);
  expect(modes(bench)).toBe('ssssssss');
});

test('an input that cannot be read holds starts back and sheds nothing; nor does a broken sensor wire', async () => {
  const { bench, plc, sees } = makeRig({ mode: 'mine' }, 'shed');
  await bench.clock.advance(8_000);
  sees.tenths = 32_000;
  await bench.clock.advance(20_000);
  expect(inhibitions(bench)).toBe('inhibit PERMISSIVE_UNKNOWN');
  plc.silent = true;
  await bench.clock.advance(40_000);
  expect(new Set(inhibitions(bench).split('; '))).toEqual(new Set(['inhibit PERMISSIVE_UNKNOWN']));
  expect(modes(bench)).toBe('mmmmmmmm');
  expect(events(bench)).toContain('INPUT_LOST pump-run raised');
  plc.silent = false;
  sees.tenths = 200;
  await bench.clock.advance(10_000);
  expect(inhibitions(bench)).toBe('');
});

test('an agent that stood still asks its PLC again before it sheds for what it does not know', async () => {
  const { bench, plc, sees } = makeRig({ mode: 'mine' }, 'shed', 'shed');
  await bench.clock.advance(8_000);
  bench.clock.freeze(35_000);
  await bench.clock.advance(20_000);
  expect(modes(bench)).toBe('mmmmmmmm');
  expect(inhibitions(bench)).toBe('');
  // Wrong for a moment when it stood still, and right again when it goes on.
  await bench.clock.advance(20_000);
  sees.pump = 0;
  await bench.clock.advance(1_500);
  sees.pump = 1;
  bench.clock.freeze(10_000);
  await bench.clock.advance(10_000);
  expect(modes(bench)).toBe('mmmmmmmm');
  expect(events(bench).filter((event) => event.includes('PERMISSIVE'))).toEqual([]);
  // A PLC that does not answer then either is unknown, and that is shed for as declared.
  await bench.clock.advance(30_000);
  plc.silent = true;
  bench.clock.freeze(35_000);
  await bench.clock.advance(2_500);
  expect(bench.voice.status?.inhibitions?.map(({ effect }) => effect)).not.toContain('shed');
  await bench.clock.advance(10_000);
  expect(inhibitions(bench)).toContain('shed PERMISSIVE_UNKNOWN');
  expect(modes(bench)).toBe('ssssssss');
});

test('a trip holds what is below at rest after its return, until a person permits the restart', async () => {
  const { bench, sees } = makeRig({ mode: 'sleep' });
  await bench.clock.advance(8_000);
  sees.tripped = 1;
  await bench.clock.advance(3_000);
  expect(inhibitions(bench)).toBe('shed PROTECTION_TRIPPED');
  // No permission while it is open.
  bench.voice.act('p-1', 'q1', 'permit', { trip: trip(bench) });
  sees.tripped = 0;
  await bench.clock.advance(5_000);
  // Power is back, and firmware starts by itself.
  for (const miner of bench.miners.values()) miner.mode = 'mine';
  bench.voice.want('r1', 1, all(bench, 'mine'), { expiresAtMs: bench.clock.wallMs() + 600_000 });
  await bench.clock.advance(15_000);
  expect(modes(bench)).toBe('ssssssss');
  bench.voice.act('p-2', 'q1', 'permit', { trip: trip(bench) });
  await bench.clock.advance(20_000);
  expect(modes(bench)).toBe('mmmmmmmm');
  expect(events(bench).filter((event) => event.includes('PROTECTION'))).toEqual([
    'PROTECTION_TRIPPED q1 raised',
    'PROTECTION_TRIPPED q1 raised',
    'PROTECTION_TRIPPED q1 cleared',
  ]);
});

test('a trip outlives the agent, and nothing is started before the disk has been read', async () => {
  const first = makeRig({ mode: 'sleep' });
  await first.bench.clock.advance(8_000);
  first.sees.tripped = 1;
  await first.bench.clock.advance(3_000);
  const disk = first.bench.disk;
  await first.bench.stop();
  const second = makeRig({ mode: 'sleep', disk });
  await second.bench.clock.advance(6_000);
  expect(inhibitions(second.bench)).toBe('shed PROTECTION_TRIPPED');
  second.bench.voice.want('r1', 1, all(second.bench, 'mine'));
  await second.bench.clock.advance(10_000);
  expect(modes(second.bench)).toBe('ssssssss');
  expect([...refusals(second.bench)].every((text) => text.startsWith('PROTECTION_TRIPPED'))).toBe(true);
});

test('the watchdog output moves while the agent guards, stands still when it is blind, and with its death', async () => {
  const moves: number[] = [];
  const plc = makePlc({
    unit: 7,
    inputs: [],
    onWrite: (area, address, value, nowMs) => {
      if (area === 'coil' && address === 12) moves.push(value + Math.floor(nowMs / 1_000) * 10);
    },
  });
  const target = 'modbus://127.0.0.1/7';
  const bench = openBench({
    mode: 'mine',
    plc,
    plant: { watchdogs: [{ target, kind: 'coil', address: 12 }] },
  });
  benches.push(bench);
  const within = async (ms: number): Promise<number> => {
    const before = moves.length;
    await bench.clock.advance(ms);
    return moves.length - before;
  };
  expect(await within(10_000)).toBeGreaterThan(5);
  expect(moves.every((move, place) => place === 0 || move % 10 !== (moves[place - 1] ?? 0) % 10)).toBe(true);
  // No controller is needed for it.
  bench.voice.speaking = false;
  expect(await within(60_000)).toBeGreaterThan(55);
  bench.meterFault = true;
  expect(await within(30_000)).toBeGreaterThan(25);
  for (const miner of bench.miners.values()) miner.behaviour = 'dead';
  await within(60_000);
  expect(await within(30_000)).toBe(0);
  expect(events(bench)).toContain('WATCHDOG_STANDS a1 raised');
  bench.meterFault = false;
  expect(await within(30_000)).toBeGreaterThan(15);
  await bench.stop();
  expect(await within(30_000)).toBe(0);
});

test('a permission that came when no controller was in charge is taken when it is said again, and then once', async () => {
  const { bench, sees } = makeRig({ mode: 'sleep' });
  await bench.clock.advance(8_000);
  sees.tripped = 1;
  await bench.clock.advance(3_000);
  sees.tripped = 0;
  await bench.clock.advance(5_000);
  const { epoch } = bench.voice;
  const first = trip(bench);
  bench.voice.epoch = epoch + 1;
  bench.voice.act('p-1', 'q1', 'permit', { trip: first });
  bench.voice.act('p-1', 'q1', 'permit', { trip: first });
  bench.voice.epoch = epoch;
  await bench.clock.advance(1_000);
  expect(inhibitions(bench)).toBe('shed PROTECTION_TRIPPED');
  expect(events(bench).filter((event) => event.startsWith('DESIRED_STALE')).length).toBe(1);
  bench.voice.act('p-1', 'q1', 'permit', { trip: first });
  await bench.clock.advance(3_000);
  expect(inhibitions(bench)).toBe('');
  sees.tripped = 1;
  await bench.clock.advance(3_000);
  sees.tripped = 0;
  await bench.clock.advance(5_000);
  bench.voice.act('p-1', 'q1', 'permit', { trip: trip(bench) });
  await bench.clock.advance(3_000);
  expect(inhibitions(bench)).toBe('shed PROTECTION_TRIPPED');
});

test('a permission is for the trip it was given for: not for a later one, nor after the input was lost again', async () => {
  const { bench, plc, sees } = makeRig({ mode: 'sleep' });
  await bench.clock.advance(8_000);
  sees.tripped = 1;
  await bench.clock.advance(3_000);
  // Given while it is open, or without a trip: none, also when it arrives after the return.
  const open = trip(bench);
  sees.tripped = 0;
  await bench.clock.advance(3_000);
  const back = trip(bench);
  expect(open).toMatchObject({ protection: 'q1' });
  expect(back).toEqual({ ...open, returnedMs: expect.any(Number) });
  bench.voice.act('p-1', 'q1', 'permit', { trip: open });
  bench.voice.act('p-2', 'q1', 'permit');
  // It opens once more before the word arrives.
  sees.tripped = 1;
  await bench.clock.advance(3_000);
  sees.tripped = 0;
  await bench.clock.advance(3_000);
  bench.voice.act('p-3', 'q1', 'permit', { trip: back });
  await bench.clock.advance(3_000);
  expect(inhibitions(bench)).toBe('shed PROTECTION_TRIPPED');
  expect(bench.voice.events.at(-1)?.text).toMatch(/^not permitted: it has tripped or was lost again since/);
  // It cannot be read for a while: nobody knows what it was meanwhile.
  const again = trip(bench);
  plc.silent = true;
  await bench.clock.advance(60_000);
  plc.silent = false;
  await bench.clock.advance(10_000);
  bench.voice.act('p-4', 'q1', 'permit', { trip: again });
  await bench.clock.advance(3_000);
  expect(inhibitions(bench)).toContain('shed PROTECTION_TRIPPED');
  bench.voice.act('p-5', 'q1', 'permit', { trip: trip(bench) });
  await bench.clock.advance(3_000);
  expect(inhibitions(bench)).not.toContain('PROTECTION_TRIPPED');
});
