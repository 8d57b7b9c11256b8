import { afterEach, expect, test } from 'vitest';
import { all, makeBench as openBench, modes, START_MS } from './bench.ts';
import type { Bench } from './bench.ts';
import { open, openRig } from './outlet-rig.ts';

const benches: Bench[] = [];
afterEach(async () => {
  for (const bench of benches.splice(0)) await bench.stop();
});

function makeBench(options: Parameters<typeof openBench>[0] = {}): Bench {
  const bench = openBench(options);
  benches.push(bench);
  return bench;
}

const forAnHour = { expiresAtMs: START_MS + 3_600_000 };
const listed = (bench: Bench): readonly string[] => bench.voice.status?.quarantined ?? [];
const said = (bench: Bench): string[] =>
  bench.voice.events
    .filter(({ code }) => code === 'QUARANTINED')
    .map(({ subject, state, text }) => `${state} ${subject}: ${text}`);

/** One of them says yes to everything and does nothing. */
async function withLiar(options: Parameters<typeof openBench>[0] = {}): Promise<Bench> {
  const bench = makeBench(options);
  const liar = bench.miners.get('r1-02');
  if (liar === undefined) throw new Error('no such miner');
  liar.behaviour = 'ignores';
  liar.identify = () => Promise.resolve({ vendor: 'Acme', model: 'M1', firmware: '3.1' });
  await bench.clock.advance(6_000);
  bench.voice.want('r1', 1, all(bench, 'sleep'), forAnHour);
  await bench.clock.advance(40_000);
  return bench;
}
const WORDS = 'Acme M1, firmware 3.1, ignores sleep: it counts as not controllable';

test('who says yes twice and does nothing is on the list, with make, model, firmware and verb, and told once more', async () => {
  const bench = await withLiar();
  expect(modes(bench)).toBe('smssssss');
  expect(bench.miners.get('r1-02')?.calls).toEqual(['sleep', 'sleep']);
  expect(listed(bench)).toEqual(['r1-02']);
  expect(said(bench)).toEqual([`raised r1-02: ${WORDS}`]);
});

test('who has no word for rest is told to nobody as quarantined, and counted on by nobody', async () => {
  const bench = makeBench();
  const reader = bench.miners.get('r1-02');
  if (reader !== undefined) reader.verbs = {};
  await bench.clock.advance(6_000);
  expect(listed(bench)).toEqual([]);
  expect(bench.voice.status?.unable).toEqual(['r1-02']);
});

test('it leaves the list when a command to it is observed, and not before', async () => {
  const bench = await withLiar();
  const liar = bench.miners.get('r1-02');
  bench.voice.want('r1', 2, all(bench, 'mine'), forAnHour);
  await bench.clock.advance(30_000);
  // It shows what is wanted: it did so before it was wanted.
  expect(listed(bench)).toEqual(['r1-02']);
  if (liar !== undefined) liar.behaviour = 'good';
  bench.voice.want('r1', 3, all(bench, 'sleep'), forAnHour);
  await bench.clock.advance(30_000);
  expect(listed(bench)).toEqual([]);
  expect(said(bench).at(-1)).toBe('cleared r1-02: sleep was observed');
});

test('many of a kind are told as one that counts them, and it ends with the last of them', async () => {
  const bench = makeBench();
  const miners = [...bench.miners.values()];
  for (const miner of miners) {
    miner.behaviour = 'ignores';
    miner.identify = () => Promise.resolve({ vendor: 'Acme', model: 'M1', firmware: '3.1' });
  }
  await bench.clock.advance(6_000);
  bench.voice.want('r1', 1, all(bench, 'sleep'), forAnHour);
  await bench.clock.advance(40_000);
  const kind = 'Acme M1, firmware 3.1, ignores sleep';
  const words = (count: number, from: number): string =>
    `${count} machines count as not controllable: ${[0, 1, 2, 3, 4].map((at) => `r1-0${from + at}`).join(', ')}`;
  expect(said(bench)).toEqual([`raised ${kind}: ${words(8, 1)} and 3 more`]);
  if (miners[0] !== undefined) miners[0].behaviour = 'good';
  await bench.clock.advance(90_000);
  expect(listed(bench)).toHaveLength(7);
  expect(said(bench).at(-1)).toBe(`raised ${kind}: ${words(7, 2)} and 2 more`);
  for (const miner of miners) miner.behaviour = 'good';
  await bench.clock.advance(90_000);
  expect(listed(bench)).toEqual([]);
  expect(said(bench).at(-1)).toBe(`cleared ${kind}: none of them is left on the list`);
});

test('with nobody else left, the guard tells those on the list too: they may obey this time', async () => {
  const bench = makeBench({ capKw: 30 });
  for (const miner of bench.miners.values()) miner.behaviour = 'ignores';
  await bench.clock.advance(6_000);
  bench.voice.want('r1', 1, all(bench, 'sleep'), forAnHour);
  await bench.clock.advance(40_000);
  expect(listed(bench)).toHaveLength(8);
  bench.voice.want('r1', 2, all(bench, 'mine'), forAnHour);
  await bench.clock.advance(30_000);
  for (const miner of bench.miners.values()) miner.behaviour = 'good';
  bench.extraW = 6_000;
  await bench.clock.advance(15_000);
  expect(modes(bench)).toBe('smmmmmmm');
  expect(listed(bench)).toHaveLength(7);
});

test('it stays on the list over a restart of the agent, until a person has had it in hand', async () => {
  const first = await withLiar();
  const second = makeBench({ disk: first.disk });
  await first.stop();
  await second.clock.advance(4_000);
  expect(listed(second)).toEqual(['r1-02']);
  expect(new Set(said(second))).toEqual(new Set([`raised r1-02: ${WORDS}`]));
  const manual = {
    id: 'op-1',
    kind: 'manual',
    by: 'anna',
    sinceMs: START_MS,
    reason: 'looked after',
    machines: ['r1-02'],
    freed: [],
  } as const;
  second.voice.lock('r1', [{ ...manual, machines: ['r1-02'], freed: [] }]);
  await second.clock.advance(3_000);
  expect(listed(second)).toEqual(['r1-02']);
  second.voice.lock('r1', [{ ...manual, machines: [], freed: ['r1-02'] }]);
  await second.clock.advance(3_000);
  expect(listed(second)).toEqual([]);
});

test('given back by a person while its rest is still wanted, it is told anew before it is on the list again', async () => {
  const bench = await withLiar();
  const manual = {
    id: 'op-1',
    kind: 'manual',
    by: 'anna',
    sinceMs: START_MS,
    reason: 'looked after',
  } as const;
  bench.voice.lock('r1', [{ ...manual, machines: ['r1-02'], freed: [] }]);
  await bench.clock.advance(3_000);
  const told = bench.miners.get('r1-02')?.calls.length;
  bench.voice.lock('r1', [{ ...manual, machines: [], freed: ['r1-02'] }]);
  await bench.clock.advance(3_000);
  expect(listed(bench)).toEqual([]);
  expect(bench.miners.get('r1-02')?.calls.slice(told)).toEqual(['sleep']);
  await bench.clock.advance(40_000);
  expect(bench.miners.get('r1-02')?.calls.slice(told)).toEqual(['sleep', 'sleep']);
  expect(listed(bench)).toEqual(['r1-02']);
});

test.each(['never', 'under-load'] as const)(
  'an outlet of policy %s, everything behind it ignoring: cut as the last rung, or not at all',
  async (policy) => {
    const { bench, writes, want } = openRig(undefined, 1_000, policy);
    benches.push(bench);
    for (const miner of bench.miners.values()) miner.behaviour = 'ignores';
    await bench.clock.advance(6_000);
    want(1, all(bench, 'sleep'));
    await bench.clock.advance(15_000);
    // Told once, and once more: not before that.
    expect(writes).toEqual([]);
    await bench.clock.advance(60_000);
    expect(listed(bench)).toHaveLength(8);
    expect(writes).toEqual(policy === 'never' ? [] : [0]);
    expect(open(bench)).toEqual(policy === 'never' ? [] : ['k1']);
    // A cut is no obedience.
    expect(said(bench).filter((one) => one.startsWith('cleared'))).toEqual([]);
  },
);

test('who is on the list for an earlier rest, and obeys this one, is not cut', async () => {
  const { bench, writes, want } = openRig(undefined, 1_000, 'under-load');
  benches.push(bench);
  for (const miner of bench.miners.values()) miner.behaviour = 'ignores';
  await bench.clock.advance(6_000);
  const ids = [...bench.miners.keys()];
  const half = (from: number): Record<string, 'sleep' | 'mine'> =>
    Object.fromEntries(ids.map((id, at) => [id, Math.floor(at / 4) === from ? 'sleep' : 'mine']));
  for (const from of [0, 1]) {
    want(from + 1, half(from));
    await bench.clock.advance(50_000);
  }
  want(3, all(bench, 'mine'));
  await bench.clock.advance(20_000);
  expect(listed(bench)).toHaveLength(8);
  for (const miner of bench.miners.values()) miner.behaviour = 'good';
  want(4, all(bench, 'sleep'));
  await bench.clock.advance(20_000);
  expect([writes, listed(bench), modes(bench)]).toEqual([[], [], 'ssssssss']);
});
