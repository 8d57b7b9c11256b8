import { afterEach, describe, expect, test } from 'vitest';
import type { MemoryDisk } from '../../../host/memory-disk.ts';
import type { Lock } from '../../../protocols/mqtt/lockouts.ts';
import { all, makeBench as openBench, modes, START_MS } from './bench.ts';
import type { Bench } from './bench.ts';

const benches: Bench[] = [];
afterEach(async () => {
  for (const bench of benches.splice(0)) await bench.stop();
});

function makeBench(options: Parameters<typeof openBench>[0] = {}): Bench {
  const bench = openBench(options);
  benches.push(bench);
  return bench;
}

const lock = (id: string, machines: readonly string[], changes: Partial<Lock> = {}): Lock => ({
  id,
  kind: 'lockout',
  by: 'anna',
  sinceMs: START_MS,
  reason: 'fan',
  machines: [...machines],
  freed: [],
  ...changes,
});
const forAnHour = { expiresAtMs: START_MS + 3_600_000 };
const calls = (bench: Bench, id: string): readonly string[] => bench.miners.get(id)?.calls ?? [];
const refusals = (bench: Bench, machine: string): string[] =>
  bench.voice.results
    .filter((result) => result.machine === machine && result.stage === 'refused')
    .map((result) => `${result.why}: ${result.detail}`);
const WORDS = 'locked out by anna since 2026-11-22T00:00Z (fan); only anna releases it: unlock r1-02';

test('a locked machine is put to rest once, without a lease, and then refuses every command by name', async () => {
  const bench = makeBench();
  bench.voice.speaking = false;
  await bench.clock.advance(6_000);
  bench.voice.lock('r1', [lock('op-1', ['r1-02'])]);
  await bench.clock.advance(12_000);
  expect(modes(bench)).toBe('msmmmmmm');
  bench.voice.speaking = true;
  bench.voice.want('r1', 1, all(bench, 'mine'), forAnHour);
  await bench.clock.advance(10_000);
  bench.voice.act('a-1', 'r1-02', 'reboot');
  bench.voice.act('a-2', 'r1-02', 'locate');
  bench.voice.act('a-3', 'r1-03', 'locate');
  await bench.clock.advance(5_000);
  expect(calls(bench, 'r1-02')).toEqual(['sleep']);
  expect(calls(bench, 'r1-03')).toEqual(['locate']);
  const refused = `LOCKED_OUT: ${WORDS}`;
  expect(refusals(bench, 'r1-02')).toEqual([refused, refused, refused]);
});

test('neither silence nor a new epoch, a restart, or a controller that forgot it ends a lockout', async () => {
  const first = makeBench({ mode: 'sleep' });
  await first.clock.advance(4_000);
  first.voice.lock('r1', [lock('op-1', ['r1-02'])]);
  await first.clock.advance(4_000);
  expect(first.voice.held).toEqual([lock('op-1', ['r1-02'])]);
  first.voice.lock('r1', []);
  first.voice.epoch = 2;
  await first.clock.advance(4_000);
  first.voice.want('r1', 1, all(first, 'mine'), forAnHour);
  await first.clock.advance(20_000);
  expect(modes(first)).toBe('msmmmmmm');
  await first.stop();
  const second = makeBench({ mode: 'sleep', disk: first.disk });
  second.voice.epoch = 9;
  await second.clock.advance(5_000);
  expect(second.voice.held).toEqual([lock('op-1', ['r1-02'])]);
  second.voice.want('r1', 1, all(second, 'mine'), forAnHour);
  await second.clock.advance(20_000);
  expect(modes(second)).toBe('msmmmmmm');
  expect(calls(second, 'r1-02')).toEqual([]);
});

test('it ends by its release alone: of the same lockout, in the name of who placed it, and for good', async () => {
  const bench = makeBench({ mode: 'sleep' });
  await bench.clock.advance(4_000);
  const machines = ['r1-02', 'r1-03'];
  bench.voice.lock('r1', [lock('op-1', machines), lock('op-2', ['r1-03'], { by: 'bert' })]);
  await bench.clock.advance(2_000);
  bench.voice.want('r1', 1, all(bench, 'mine'), forAnHour);
  await bench.clock.advance(10_000);
  const free = (id: string, by: string): void =>
    bench.voice.lock('r1', [lock(id, [], { by, freed: machines })]);
  free('op-1', 'mallory');
  free('op-7', 'anna');
  await bench.clock.advance(10_000);
  expect(modes(bench)).toBe('mssmmmmm');
  free('op-1', 'anna');
  await bench.clock.advance(12_000);
  expect(modes(bench)).toBe('mmsmmmmm');
  // The word of before, come late.
  bench.voice.lock('r1', [lock('op-1', machines)]);
  await bench.clock.advance(12_000);
  expect(modes(bench)).toBe('mmsmmmmm');
});

test('found at work after its rest, a locked machine is left alone and said aloud; guard and fail-safe let it be', async () => {
  const bench = makeBench({ capKw: 24, lease: { t1S: 5, t2S: 20, failSafe: 'sleep' } });
  await bench.clock.advance(2_000);
  bench.voice.lock('r1', [lock('op-1', ['r1-02'])]);
  await bench.clock.advance(12_000);
  expect(modes(bench)[1]).toBe('s');
  const miner = bench.miners.get('r1-02');
  if (miner !== undefined) miner.mode = 'mine';
  bench.extraW = 12_000;
  await bench.clock.advance(15_000);
  bench.voice.speaking = false;
  await bench.clock.advance(40_000);
  expect(modes(bench)).toBe('smssssss');
  expect(calls(bench, 'r1-02')).toEqual(['sleep']);
  const events = bench.voice.events.filter((event) => event.subject === 'r1-02');
  expect(events.map((event) => `${event.code} ${event.state}`)).toEqual(['LOCKOUT_AWAKE raised']);
  // A controller that has just taken over knows nothing of it.
  bench.voice.speaking = true;
  bench.voice.epoch += 1;
  await bench.clock.advance(5_000);
  const again = bench.voice.events.filter((event) => event.subject === 'r1-02');
  expect(again.map(({ code }) => code)).toEqual(['LOCKOUT_AWAKE', 'LOCKOUT_AWAKE']);
});

test('the rest that a lockout owes is given after a restart, and one that was given is not given again', async () => {
  const first = makeBench();
  const mute = first.miners.get('r1-02');
  if (mute !== undefined) mute.behaviour = 'dead';
  await first.clock.advance(30_000);
  first.voice.lock('r1', [lock('op-1', ['r1-01', 'r1-02'])]);
  await first.clock.advance(12_000);
  await first.stop();
  const second = makeBench({ disk: first.disk });
  await second.clock.advance(15_000);
  expect(calls(second, 'r1-01')).toEqual([]);
  expect(calls(second, 'r1-02')).toEqual(['sleep']);
});

test('a rest that no machine has heard is owed until one has, soon and not only once, and said meanwhile', async () => {
  const bench = makeBench();
  await bench.clock.advance(6_000);
  const deaf = bench.miners.get('r1-02');
  if (deaf !== undefined) deaf.behaviour = 'deaf';
  bench.voice.lock('r1', [lock('op-1', ['r1-02'])]);
  await bench.clock.advance(60_000);
  const said = (): string[] =>
    bench.voice.events
      .filter(({ subject }) => subject === 'r1-02')
      .map(({ code, state }) => `${code} ${state}`);
  expect(said()).toEqual(['LOCKOUT_AWAKE raised']);
  expect(bench.voice.status?.quarantined ?? []).toEqual([]);
  if (deaf !== undefined) deaf.behaviour = 'good';
  await bench.clock.advance(40_000);
  expect(modes(bench)).toBe('msmmmmmm');
  expect(calls(bench, 'r1-02')).toEqual(['sleep']);
  expect(said()).toEqual(['LOCKOUT_AWAKE raised', 'LOCKOUT_AWAKE cleared']);
  if (deaf !== undefined) deaf.mode = 'mine';
  await bench.clock.advance(40_000);
  // It has had its rest: with hands in the rack nothing moves.
  expect(calls(bench, 'r1-02')).toEqual(['sleep']);
});

test.each(['ignores', 'refuses'] as const)(
  'each lockout has its rest, also behind one that it %s',
  async (how) => {
    const bench = makeBench();
    await bench.clock.advance(6_000);
    const stubborn = bench.miners.get('r1-02');
    if (stubborn === undefined) throw new Error('no such miner');
    stubborn.behaviour = how;
    bench.voice.lock('r1', [lock('op-1', ['r1-02'])]);
    await bench.clock.advance(180_000);
    const before = calls(bench, 'r1-02').length;
    expect(modes(bench)[1]).toBe('m');
    bench.voice.lock('r1', [lock('op-1', [], { freed: ['r1-02'] })]);
    await bench.clock.advance(120_000);
    stubborn.behaviour = 'good';
    bench.voice.lock('r1', [lock('op-2', ['r1-02'])]);
    await bench.clock.advance(60_000);
    expect([modes(bench)[1], calls(bench, 'r1-02').length]).toEqual(['s', before + 1]);
  },
);

test('a lockout counts at once, and is confirmed only when it is on disk', async () => {
  const bench = makeBench({ mode: 'sleep' });
  const { disk } = bench;
  await bench.clock.advance(4_000);
  bench.voice.want('r1', 1, all(bench, 'sleep'), forAnHour);
  await bench.clock.advance(4_000);
  disk.fail('replace', 'DISK_FULL', Infinity);
  bench.voice.lock('r1', [lock('op-1', ['r1-02'])]);
  await bench.clock.advance(1_000);
  bench.voice.want('r1', 2, all(bench, 'mine'), forAnHour);
  await bench.clock.advance(10_000);
  expect(modes(bench)).toBe('msmmmmmm');
  expect(bench.voice.held).toEqual([]);
  expect(bench.voice.events.map((event) => event.code)).toContain('DISK_FULL');
  disk.heal();
  await bench.clock.advance(5_000);
  expect(bench.voice.held.map((one) => one.id)).toEqual(['op-1']);
  expect(bench.voice.events.at(-1)).toMatchObject({ code: 'DISK_FULL', state: 'cleared' });
});

/** An agent that has obeyed an epoch and holds a lockout of r1-02, stopped; its disk. */
async function lockedDisk(): Promise<MemoryDisk> {
  const first = makeBench({ mode: 'sleep' });
  await first.clock.advance(4_000);
  first.voice.lock('r1', [lock('op-1', ['r1-02'])]);
  await first.clock.advance(4_000);
  await first.stop();
  return first.disk;
}

/** What becomes of machines that are wanted to mine by an agent that starts on this disk. */
async function startedOn(disk: MemoryDisk): Promise<{ modes: string; codes: readonly string[] }> {
  const bench = makeBench({ mode: 'sleep', disk });
  await bench.clock.advance(5_000);
  bench.voice.want('r1', 1, all(bench, 'mine'), forAnHour);
  await bench.clock.advance(10_000);
  await bench.stop();
  return { modes: modes(bench), codes: bench.voice.events.map((event) => event.code) };
}

describe.each(['lockouts', 'epoch'])('a damaged file of %s', (name) => {
  const path = `/data/agent-a1.${name}.json`;
  const copy = `${path}.copy`;

  /** With the checksum, a name, the last brace flipped in these files. */
  async function damaged(...paths: readonly string[]): Promise<Awaited<ReturnType<typeof startedOn>>[]> {
    const disk = await lockedDisk();
    const whole = (await disk.read(path)) ?? new Uint8Array();
    const found = [];
    for (const at of [0, Math.floor(whole.length / 2), whole.length - 2]) {
      for (const one of [path, copy]) disk.put(one, whole);
      for (const one of paths) disk.flip(one, at);
      found.push(await startedOn(disk));
      if (paths.length === 1) expect(await disk.read(paths[0] ?? '')).toEqual(await disk.read(path));
    }
    return found;
  }

  test('and its copy too: nothing is armed, whichever byte it is', async () => {
    for (const { modes, codes } of await damaged(path, copy)) {
      expect(modes).toBe('ssssssss');
      expect(codes).toContain('KEPT_DAMAGED');
    }
  });

  test.each([path, copy])(
    'alone (%s): the other one serves, it is said, and both are whole again',
    async (one) => {
      for (const { modes, codes } of await damaged(one)) {
        expect(modes).toBe('msmmmmmm');
        expect(codes).toContain('KEPT_DAMAGED');
      }
    },
  );
});

test('released to manual a machine is nobody’s but people’s: through a restart and a second controller, until given back', async () => {
  const released = lock('op-1', ['r1-02'], { kind: 'manual' });
  const first = makeBench();
  await first.clock.advance(4_000);
  first.voice.lock('r1', [released]);
  await first.clock.advance(2_000);
  first.voice.want('r1', 1, all(first, 'sleep'), forAnHour);
  await first.clock.advance(15_000);
  expect(modes(first)).toBe('smssssss');
  await first.stop();
  const second = makeBench({ disk: first.disk });
  second.voice.epoch = 9;
  await second.clock.advance(8_000);
  // This controller has heard of nothing.
  expect(second.voice.held).toEqual([released]);
  second.voice.want('r1', 1, all(second, 'sleep'), forAnHour);
  await second.clock.advance(15_000);
  expect(modes(second)).toBe('smssssss');
  expect(calls(second, 'r1-02')).toEqual([]);
  // Anyone gives it back, in the name of who took it.
  second.voice.lock('r1', [{ ...released, machines: [], freed: ['r1-02'] }]);
  await second.clock.advance(15_000);
  expect(modes(second)).toBe('ssssssss');
});

test('what protects goes on over a machine that is released to manual', async () => {
  const bench = makeBench({ count: 2, capKw: 8 });
  await bench.clock.advance(4_000);
  bench.voice.lock('r1', [lock('op-1', ['r1-01', 'r1-02'], { kind: 'manual' })]);
  await bench.clock.advance(2_000);
  bench.extraW = 3_000;
  await bench.clock.advance(15_000);
  expect(modes(bench)).toMatch(/s/);
});
