import { afterEach, expect, test } from 'vitest';
import { withFacts } from '../../../agent/driver.ts';
import { Fault } from '../../../protocols/faults.ts';
import type { FaultCode } from '../../../protocols/faults.ts';
import { SettingsRig } from './settings-rig.ts';
import { all, makeBench, START_MS } from './bench.ts';
import type { Bench } from './bench.ts';
import type { Miner } from './toy-miner.ts';

const benches: Bench[] = [];
afterEach(async () => {
  for (const bench of benches.splice(0)) await bench.stop();
});

/** Virtual ms from a miner's first answer to the command that rests it. */
async function msToRest(bench: Bench, miner: Miner): Promise<number> {
  let contactMs: number | undefined;
  const read = miner.read.bind(miner);
  miner.read = async () => {
    const readings = await read();
    contactMs ??= bench.clock.monoMs();
    return readings;
  };
  const before = miner.calls.length;
  for (let step = 0; step < 600 && miner.calls.length === before; step += 1) await bench.clock.advance(100);
  expect(miner.calls.at(-1)).toBe('sleep');
  return bench.clock.monoMs() - (contactMs ?? Number.NaN);
}

test.each([
  ['never seen before', 'dead', 0],
  ['lost while it worked', 'good', 0],
  ['lost right after it said yes to the sleep', 'good', 40],
] as const)('a machine %s obeys the event within 10 s of its first answer', async (_name, first, obeysMs) => {
  const bench = makeBench();
  benches.push(bench);
  const miner = bench.miners.get('r1-03');
  if (miner === undefined) throw new Error('no such miner');
  miner.behaviour = first;
  await bench.clock.advance(20_000);
  if (obeysMs === 0) miner.behaviour = 'dead';
  else miner.behaviour = 'ignores';
  bench.voice.want('r1', 1, all(bench, 'sleep'), { expiresAtMs: START_MS + 3_600_000 });
  await bench.clock.advance(obeysMs + 60);
  miner.behaviour = 'dead';
  await bench.clock.advance(obeysMs === 0 ? 90_000 : 9_000);
  miner.behaviour = 'good';
  expect(await msToRest(bench, miner)).toBeLessThanOrEqual(10_000);
});

test.each([61_000, 187_000])(
  'miners that were off the network for %s ms are found and at rest within 10 s of their return',
  async (awayMs) => {
    const rig = new SettingsRig();
    await rig.clock.advance(5 * 60_000);
    rig.want('mine');
    await rig.clock.advance(60_000);
    rig.isCut = true;
    await rig.clock.advance(30_000);
    expect(rig.alarms('DEVICE_LOST')).toHaveLength(2);
    rig.want('sleep');
    await rig.clock.advance(awayMs);
    const before = rig.voice.results.length;
    rig.isCut = false;
    await rig.clock.advance(10_000);
    const said = rig.voice.results.slice(before).filter(({ stage }) => stage === 'acknowledged');
    expect(said.map(({ machine, verb }) => `${machine} ${verb}`).sort()).toEqual([
      'r1-01 sleep',
      'r1-02 sleep',
    ]);
    rig.kill();
  },
);

test('an agent that starts again tells nobody again who does not say yet what it does', async () => {
  const first = makeBench({ count: 2 });
  await first.clock.advance(6_000);
  first.voice.want('r1', 1, all(first, 'sleep'), { expiresAtMs: START_MS + 3_600_000 });
  await first.clock.advance(15_000);
  await first.stop();
  const second = makeBench({ count: 2, mode: 'sleep', disk: first.disk });
  benches.push(second);
  const [one, other] = [...second.miners.values()];
  if (one === undefined || other === undefined) throw new Error('two miners');
  Object.assign(one, { isStarting: true });
  Object.assign(other, { isStarting: true });
  await second.clock.advance(6_000);
  second.voice.want('r1', 1, all(second, 'sleep'), { expiresAtMs: START_MS + 3_600_000 });
  await second.clock.advance(60_000);
  expect([one.calls, other.calls]).toEqual([[], []]);
  Object.assign(one, { isStarting: false });
  Object.assign(other, { isStarting: false, mode: 'mine' });
  await second.clock.advance(10_000);
  expect([one.calls, other.calls]).toEqual([[], ['sleep']]);
});

// Whatever came back, the command had been sent: only a reading tells whether it was carried out.
test.each<FaultCode>(['NET_TIMEOUT', 'NET_RESET', 'NET_OVERSIZE', 'ANSWER_GARBAGE', 'ANSWER_PARTIAL'])(
  'a command that was carried out and ended in %s is observed, not failed, and not given twice',
  async (code) => {
    const bench = makeBench({ count: 2 });
    benches.push(bench);
    const miner = bench.miners.get('r1-01');
    const sleep = miner?.verbs.sleep;
    if (miner === undefined || sleep === undefined) throw new Error('no such miner');
    const spoiled = async (...given: Parameters<typeof sleep>): Promise<void> => {
      await sleep(...given);
      throw new Fault(code);
    };
    Object.assign(miner.verbs, withFacts({ sleep: sleep.facts }, { sleep: spoiled }));
    await bench.clock.advance(10_000);
    bench.voice.want('r1', 1, all(bench, 'sleep'), { expiresAtMs: START_MS + 3_600_000 });
    await bench.clock.advance(30_000);
    const stages = bench.voice.results.filter(({ machine }) => machine === 'r1-01').map(({ stage }) => stage);
    expect(stages).toContain('observed');
    expect(stages).not.toContain('failed');
    expect(miner.calls).toEqual(['sleep']);
  },
);
