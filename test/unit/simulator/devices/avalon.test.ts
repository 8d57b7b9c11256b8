import { expect, test } from 'vitest';

import { loadModel } from '../../../../config/models.ts';
import { seededRandom } from '../../../../host/random.ts';
import { SimulatedAvalon } from '../../../../simulator/devices/avalon.ts';

function stand(): {
  readonly miner: SimulatedAvalon;
  readonly say: (words: string, nowMs: number) => string;
} {
  const model = loadModel('avalon-1246');
  if (model.kind !== 'asic') throw new Error(model.id);
  const miner = new SimulatedAvalon({ id: 'm', model, random: seededRandom(1), startMs: -1e6, password: '' });
  const say = (words: string, nowMs: number): string => {
    const answer = miner.respond(new TextEncoder().encode(words), nowMs);
    return answer.kind === 'bytes' ? new TextDecoder().decode(answer.bytes) : answer.kind;
  };
  return { miner, say };
}

// What others' software tells an A1346: tetherto/miningos-wrk-miner-avalon, workers/lib/miner.js.
test('it understands the words of others', () => {
  const { miner, say } = stand();
  expect(say('ascset|0,workmode,255', 0)).toMatch(/^STATUS=I,.*Msg=ASC 0 set info: WORKMODE\[1\] success,/);
  expect(say('summary', 100)).toMatch(/^STATUS=S,.*\|SUMMARY,Elapsed=\d+,MHS av=8\d{7}\.\d\d,/);
  say('ascset|0,led,0-1', 200);
  expect(miner.led).toBe(1);
  expect(say('ascset|0,softoff', 300)).toMatch(/^STATUS=S,.*Msg=ASC 0 set OK,/);
  expect(say('estats', 60_000)).toMatch(/Work: In Idle.*GHSspd\[0\.00\].*SoftOFF\[4\]/);
  expect(miner.power.mining).toBe(false);
});

// UpstreamData/pyasic, rpc/base.py `multicommand`: several reads at once, and numbers that are no texts.
test('in JSON it answers several reads at once, with numbers', () => {
  const { miner, say } = stand();
  const ask = (command: string, nowMs: number): unknown =>
    JSON.parse(say(JSON.stringify({ command }), nowMs).replace(/\0$/, ''));
  const status = [{ STATUS: 'S' }];
  expect(ask('summary+pools+devs', 0)).toMatchObject({
    summary: [{ STATUS: status, SUMMARY: [{ 'MHS av': expect.any(Number) }] }],
    pools: [{ STATUS: status, POOLS: [{ POOL: 0 }] }],
    devs: [{ STATUS: status, DEVS: [{ Name: 'AVALON' }] }],
  });
  for (const [n, word] of ['config', 'devdetails', 'litestats'].entries())
    expect(ask(word, 1_000 * (n + 1))).toMatchObject({ STATUS: status });
  expect(ask('summary+nonsense', 9_000)).toMatchObject({ nonsense: [{ STATUS: [{ STATUS: 'E' }] }] });
  expect(miner.changes).toBe(0);
});
