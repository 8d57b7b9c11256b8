import { describe, expect, test } from 'vitest';
import { seededRandom } from '../../../host/random.ts';
import { StormJudge } from '../../../proof/storm-judge.ts';
import { StormMiner } from '../../../proof/storm-miner.ts';
import { runStorm } from '../../../proof/storm.ts';
import { VirtualClock } from '../../../proof/virtual-clock.ts';
import type { Desired, Lease } from '../../../protocols/mqtt/desired.ts';
import type { Mode } from '../../../protocols/reading.ts';

const T1_MS = 5_000;
const LATER_MS = 1_000;

function doc(epoch: number, generation: number, mode: Mode, expiresAtMs = 60_000): Desired {
  const because = { owner: 'price' as const, rule: 'test', text: 'test' };
  return {
    v: 1,
    site: 's',
    rack: 'r1',
    epoch,
    generation,
    commandId: `c${generation}`,
    issuedAtMs: 0,
    expiresAtMs,
    urgent: false,
    machines: { m1: { mode, because } },
  };
}

const beat = (epoch: number, generation: number, nonce = 'n1'): Lease => ({
  v: 1,
  site: 's',
  epoch,
  seq: 0,
  atMs: 0,
  racks: { r1: generation },
  nonces: { a1: nonce },
});

/** A judge of one machine at rest whose agent has given out a nonce. */
function rig(): { judge: StormJudge; miner: StormMiner } {
  const judge = new StormJudge([{ id: 'm1', rack: 'r1' }], T1_MS);
  const clock = new VirtualClock({ startWallMs: 0 });
  const miner = new StormMiner(0, clock, seededRandom(1), () => undefined);
  judge.nonce('n1', 0);
  return { judge, miner };
}

describe('the judge of commands', () => {
  test('finds nothing wrong with what a live beat names', () => {
    const { judge, miner } = rig();
    judge.desired(doc(1, 1, 'mine'), 0, 10);
    judge.beat(beat(1, 1), 'a1', 20);
    judge.call(miner, 'mine', 30);
    expect(judge.counts).toEqual({ twice: 0, late: 0, stale: 0, unasked: 0, again: 0, commands: 1 });
  });

  test('a document that comes after the beat that names it is armed by it', () => {
    const { judge, miner } = rig();
    judge.beat(beat(1, 1), 'a1', 20);
    judge.desired(doc(1, 1, 'mine'), 0, 25);
    judge.call(miner, 'mine', 30);
    expect(judge.wrong).toEqual([]);
  });

  test.each([
    ['no beat has named it', 'unasked', undefined, 30],
    ['the beat was delayed', 'unasked', 6_000, 6_010],
    ['it is over', 'late', 20, 60_001],
    ['the last beat is long ago', 'unasked', 20, 5_200],
  ] as const)('notices a start when %s', (_, how, beatMs, callMs) => {
    const { judge, miner } = rig();
    judge.desired(doc(1, 1, 'mine'), 0, 10);
    if (beatMs !== undefined) judge.beat(beat(1, 1), 'a1', beatMs);
    judge.call(miner, 'mine', callMs);
    expect(judge.counts[how]).toBe(1);
  });

  test.each([
    ['generation', doc(1, 2, 'sleep'), beat(1, 2)],
    ['epoch', doc(2, 1, 'sleep'), beat(2, 1)],
  ])('notices what an older %s wanted', (_, newer, naming) => {
    const { judge, miner } = rig();
    judge.desired(doc(1, 1, 'mine'), 0, 10);
    judge.beat(beat(1, 1), 'a1', 20);
    judge.desired(newer, 0, 30);
    judge.beat(naming, 'a1', 40);
    judge.call(miner, 'mine', 40 + LATER_MS);
    expect(judge.counts.stale).toBe(1);
  });

  test('notices a command to a machine that was there and had said so', async () => {
    const clock = new VirtualClock({ startWallMs: 0 });
    const { judge } = rig();
    const miner = new StormMiner(0, clock, seededRandom(4), () => undefined);
    const reading = miner.device(() => true).read('full', 1_000);
    await clock.advance(100);
    await reading;
    judge.desired(doc(1, 1, 'sleep'), 0, 10);
    judge.beat(beat(1, 1), 'a1', 20);
    judge.call(miner, 'sleep', 200);
    expect(judge.counts.twice).toBe(1);
  });
});

test('a storm of commands: none twice, late, stale or unasked', { timeout: 120_000 }, async () => {
  const result = await runStorm({ seed: 5, machines: 60, commands: 2_000 });
  expect(result.wrong).toEqual([]);
  expect(result.ok).toBe(true);
  expect(result.commands).toBeGreaterThanOrEqual(2_000);
  // Something was at stake.
  expect(result.agentKills).toBeGreaterThan(0);
  expect(result.controllers).toBeGreaterThan(1);
});
