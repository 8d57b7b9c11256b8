/** The agent's disk fills: what gives way, and what does not. */
import { afterEach, expect, test } from 'vitest';
import { makeBench } from './bench.ts';
import type { Bench } from './bench.ts';
import { SpoolBench } from './spool-bench.ts';

let bench: Bench | undefined;
afterEach(() => bench?.stop());

const said = (of: Bench, code: string): string[] =>
  of.voice.events
    .filter((event) => event.code === code && event.subject === 'a1')
    .map(({ state, text }) => `${state}: ${text}`);
const LOCK = { kind: 'lockout' as const, by: 'kim@1', sinceMs: 0, reason: 'fan', freed: [] as string[] };

test('a disk that fills is said stage by stage, and a lockout is held on one without a free byte', async () => {
  bench = makeBench({ mode: 'mine', count: 3 });
  const { disk, clock, voice } = bench;
  await clock.advance(15_000);
  for (const share of [0.92, 0.96]) {
    disk.capacityBytes = Math.ceil(disk.usedBytes() / share);
    await clock.advance(12_000);
  }
  disk.capacityBytes = disk.usedBytes();
  await clock.advance(12_000);
  const stages = said(bench, 'DISK_LOW').filter((text) => text.startsWith('raised'));
  expect(stages).toHaveLength(3);
  expect(stages[0]).toMatch(/^raised: 9[12] % of the disk below \/data are used: debug lines are left out$/);
  expect(stages[1]).toMatch(/9[56] % .* thinned$/);
  expect(stages[2]).toMatch(/100 % .* in memory only/);
  for (const [place, id] of ['l1', 'l2'].entries()) {
    disk.capacityBytes = place === 0 ? disk.usedBytes() : disk.capacityBytes;
    voice.lock('r1', [{ ...LOCK, id, machines: [`r1-0${place + 1}`] }]);
    await clock.advance(5_000);
    expect(voice.held.map((lock) => lock.id)).toContain(id);
  }
  expect(said(bench, 'DISK_FULL')).toEqual([]);
  disk.capacityBytes = Infinity;
  await clock.advance(120_000);
  expect(said(bench, 'DISK_LOW').at(-1)).toMatch(/^cleared: /);
  // It is there for the next time.
  disk.capacityBytes = disk.usedBytes();
  voice.lock('r1', [{ ...LOCK, id: 'l3', machines: ['r1-03'] }]);
  await clock.advance(5_000);
  expect(voice.held.map((lock) => lock.id)).toContain('l3');
});

test('on a full disk what waits of machines is not written, results and meters are; short of room it is thinned', async () => {
  let room: 'ample' | 'short' | 'full' = 'full';
  const spool = new SpoolBench({ diskRoom: () => room, chunkBytes: 2_000 });
  spool.wire.connected = false;
  const kinds = (): Set<string> =>
    new Set(spool.disk.paths.flatMap((path) => /-([a-z]+)$/u.exec(path)?.[1] ?? []));
  for (let round = 0; round < 300; round += 1) {
    spool.frame('r1', 3_000 + round * 7);
    spool.frame('meters', 9_000 + round);
    spool.message();
    await spool.second();
  }
  expect(kinds()).toEqual(new Set(['meters', 'messages']));
  const { dropped, thinned } = spool.spool.status();
  expect(dropped).toBe(0);
  room = 'ample';
  await spool.second(5);
  expect(kinds()).toEqual(new Set(['meters', 'messages', 'machines']));
  room = 'short';
  await spool.second(60);
  expect(spool.spool.status().thinned).toBeGreaterThan(thinned + 200);
  expect(spool.said.some((text) => text.startsWith('loss: '))).toBe(true);
  spool.wire.connected = true;
  const came: string[] = [];
  for (let round = 0; round < 20; round += 1) {
    await spool.second();
    came.push(...spool.take());
    spool.ack();
  }
  expect(came.filter((name) => name.startsWith('late result'))).toHaveLength(300);
});
